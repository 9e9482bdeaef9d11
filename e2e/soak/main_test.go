package soak_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

var (
	soakFor  = flag.Duration("soak", 8*time.Second, "how long the crowd is let loose")
	soakSeed = flag.Uint64("seed", 0, "what the crowd does; 0 for something else each time")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
