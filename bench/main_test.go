package bench_test

import (
	"os"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
