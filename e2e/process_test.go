package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// memory is what a process uses, in MiB. The files of the store that are mapped into it are not
// counted as resident: they are the system's cache.
type memory struct{ resident, virtual int }

// memory reads what the server uses now. Only Linux tells; elsewhere it is nothing, which exceeds
// no bound.
func (s *server) memory() memory {
	s.tb.Helper()
	if runtime.GOOS != "linux" {
		return memory{}
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	must(s.tb, err)
	defer func() { _ = file.Close() }()
	var m memory
	for lines := bufio.NewScanner(file); lines.Scan(); {
		for prefix, into := range map[string]*int{"RssAnon:": &m.resident, "VmSize:": &m.virtual} {
			if rest, found := strings.CutPrefix(lines.Text(), prefix); found {
				var kilobytes int
				_, err := fmt.Sscanf(rest, "%d kB", &kilobytes)
				must(s.tb, err)
				*into = kilobytes >> 10
			}
		}
	}
	return m
}

// expectBounded wants the server to use little more memory than before, in MiB.
func (s *server) expectBounded(tb testing.TB, before memory, resident, virtual int) {
	tb.Helper()
	if raceEnabled { // the race detector keeps shadows of all memory
		resident, virtual = 4*resident, 4*virtual
	}
	now := s.memory()
	tb.Logf("grown by %d MiB resident, %d MiB virtual", now.resident-before.resident, now.virtual-before.virtual)
	if grown := now.resident - before.resident; grown > resident {
		tb.Errorf("the server uses %d MiB more than before, want %d at most", grown, resident)
	}
	if grown := now.virtual - before.virtual; grown > virtual {
		tb.Errorf("the server has %d MiB more of address space than before, want %d at most", grown, virtual)
	}
}
