package badgerstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/storetest"
)

// crashDir names the folder in which a child of the crash test writes.
const crashDir = "BOOMGATE_TEST_CRASH_DIR"

// TestMain runs the tests, or, as the child of the crash test, writes until it
// is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled creates clients, one and three at a time, from eight
// goroutines, and writes the number of each that has been acknowledged.
func writeUntilKilled(dir string, out io.Writer) error {
	s, err := badgerstore.Open(context.Background(), badgerstore.Config{Dir: dir})
	if err != nil {
		return err
	}
	var last atomic.Int64
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				first, count := int(last.Add(3))-2, 3
				if first%2 == 0 {
					count = 1
				}
				set := creation(first)
				for i := 1; i < count; i++ {
					set.Clients = append(set.Clients, creation(first+i).Clients...)
				}
				if err := s.Apply(context.Background(), set); err != nil {
					failed <- err
					return
				}
				for i := range count {
					fmt.Fprintf(out, "%d\n", first+i)
				}
			}
		}()
	}
	return <-failed
}

func TestEveryAcknowledgedClientIsThereAfterAKill(t *testing.T) {
	t.Parallel()
	for range 2 {
		dir := t.TempDir()
		acknowledged := killWhileWriting(t, dir, 300)
		s := open(t, dir)
		for i := range acknowledged {
			got, err := s.Client(context.Background(), storetest.Device(i).ID)
			if err != nil || got.Name != storetest.Device(i).Name || len(got.Secrets) != 1 {
				t.Fatalf("client %d was acknowledged and is now %+v, error %v", i, got, err)
			}
		}
		checkWhole(t, s)
	}
}

// killWhileWriting lets a child write, kills it after some acknowledgements and
// returns what was acknowledged. Before that, the store is locked by the child.
func killWhileWriting(t *testing.T, dir string, lines int) (acknowledged map[int]bool) {
	t.Helper()
	acknowledged = map[int]bool{}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		i, err := strconv.Atoi(scanner.Text())
		if err != nil {
			t.Fatal(err)
		}
		acknowledged[i] = true
		if len(acknowledged) < lines || killed {
			continue // read on: what was written before the end counts
		}
		_, err = badgerstore.Open(context.Background(), badgerstore.Config{Dir: dir})
		if !errors.Is(err, badgerstore.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", child.Process.Pid)) {
			t.Errorf("opening the store of a living process returned %v", err)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed = true
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || !killed {
		t.Fatalf("the child ended with %v after %d acknowledgements", err, len(acknowledged))
	}
	return acknowledged
}

// checkWhole checks that whatever is there is there whole: change sets of three
// have three, every client is in all of its indexes, and no index has more.
func checkWhole(t *testing.T, s *badgerstore.Store) {
	t.Helper()
	all := map[string]bool{}
	for _, c := range list(t, s, provisioning.Query{}) {
		all[c.ID] = true
	}
	for i := 1; all[storetest.Device(i).ID] || i < 3000; i += 3 {
		a, b, c := all[storetest.Device(i).ID], all[storetest.Device(i+1).ID], all[storetest.Device(i+2).ID]
		if i%2 == 1 && (a != b || b != c) {
			t.Errorf("of the set of %d to %d there are %v %v %v", i, i+2, a, b, c)
		}
	}
	if found := list(t, s, provisioning.Query{Kind: provisioning.KindDevice, Status: provisioning.StatusActive}); len(found) != len(all) {
		t.Errorf("%d clients are listed by kind and status, and there are %d", len(found), len(all))
	}
	bySite := 0
	for i := range 20 {
		bySite += len(list(t, s, provisioning.Query{Labels: storetest.Device(i).Labels, Kind: provisioning.KindDevice}))
		bySite += len(list(t, s, provisioning.Query{Labels: map[string]string{"site": fmt.Sprint("garage-", i)}}))
	}
	ofFirst := 0
	for i := range 20 {
		if all[storetest.Device(i).ID] {
			ofFirst++
		}
	}
	if bySite != len(all)+ofFirst {
		t.Errorf("%d clients are listed by labels, and there are %d", bySite, len(all)+ofFirst)
	}
}

// list reads a whole list.
func list(t *testing.T, s provisioning.Store, q provisioning.Query) (clients []provisioning.Client) {
	t.Helper()
	for q.Limit = provisioning.MaxPageSize; ; {
		page, err := s.Clients(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, page.Clients...)
		if page.Next == "" {
			return clients
		}
		q.Cursor = page.Next
	}
}
