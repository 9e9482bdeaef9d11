package harness

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// Memory is what a process uses, in MiB. The files of the store that are mapped into it are not
// counted as resident: they are the system's cache.
type Memory struct{ resident, virtual int }

// Memory reads what the server uses now. Only Linux tells; elsewhere it is nothing, which exceeds
// no bound.
func (s *Server) Memory() Memory {
	s.tb.Helper()
	if runtime.GOOS != "linux" {
		return Memory{}
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	Must(s.tb, err)
	defer func() { _ = file.Close() }()
	var m Memory
	for lines := bufio.NewScanner(file); lines.Scan(); {
		for prefix, into := range map[string]*int{"RssAnon:": &m.resident, "VmSize:": &m.virtual} {
			if rest, found := strings.CutPrefix(lines.Text(), prefix); found {
				var kilobytes int
				_, err := fmt.Sscanf(rest, "%d kB", &kilobytes)
				Must(s.tb, err)
				*into = kilobytes >> 10
			}
		}
	}
	return m
}

// ExpectBounded wants the server to use little more memory than before, in MiB.
func (s *Server) ExpectBounded(tb testing.TB, before Memory, resident, virtual int) {
	tb.Helper()
	if raceEnabled { // the race detector keeps shadows of all memory
		resident, virtual = 4*resident, 4*virtual
	}
	now := s.Memory()
	tb.Logf("grown by %d MiB resident, %d MiB virtual", now.resident-before.resident, now.virtual-before.virtual)
	if grown := now.resident - before.resident; grown > resident {
		tb.Errorf("the server uses %d MiB more than before, want %d at most", grown, resident)
	}
	if grown := now.virtual - before.virtual; grown > virtual {
		tb.Errorf("the server has %d MiB more of address space than before, want %d at most", grown, virtual)
	}
}

// Arguments are those of the server's process, as everybody on the machine can read them on Linux.
func (s *Server) Arguments() string {
	s.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.cmd.Process.Pid))
	Must(s.tb, err)
	return string(text)
}
