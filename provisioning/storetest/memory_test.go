package storetest_test

import (
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/storetest"
)

func TestTheStoreInMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) provisioning.Store { return storetest.NewMemory() })
}
