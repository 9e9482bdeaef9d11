package soak_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// How much more the server may use after the soak than before it.
const (
	moreDescriptors = 4   // files of the store
	moreHeap        = 64  // MiB, garbage included
	moreResident    = 192 // MiB
	moreVirtual     = 2048
)

// Names that Prometheus has for what the audit looks at.
const (
	goroutines  = "go_goroutines"
	descriptors = "process_open_fds"
	heap        = "go_memstats_heap_alloc_bytes"
	sessions    = "boomgate_sessions"
)

// An audit knows how the server stood before the soak.
type audit struct {
	tb     testing.TB
	world  *world
	before numbers
	memory harness.Memory

	expired int       // sessions, when nobody of the crowd was connected any more
	silence time.Time // by then every timer has fired that a session of the crowd has left behind
}

// numbers are what the server says of itself, by the names that Prometheus has for it.
type numbers map[string]float64

func newAudit(tb testing.TB, w *world) *audit {
	tb.Helper()
	a := &audit{tb: tb, world: w}
	for _, version := range harness.Versions { // what is done at first use is done now
		h := harness.Hello{ID: w.clients[0].id, Password: w.Token(w.clients[0].credential())}
		harness.Enter(tb, w.Server, version, h).Leave()
	}
	a.before = a.atRest()
	a.memory = w.Memory()
	return a
}

// atRest reads the numbers when the server does nothing any more: when they have not fallen for a while.
func (a *audit) atRest() numbers {
	a.tb.Helper()
	least, steady := a.alone(), 0
	harness.Eventually(a.tb, "the server has come to rest", func() bool {
		now := a.alone()
		if steady++; now[goroutines] < least[goroutines] || now[descriptors] < least[descriptors] {
			least, steady = now, 0
		}
		return steady >= 10 && now[sessions] == 0
	})
	return least
}

// alone reads the numbers when nobody else is connected.
func (a *audit) alone() numbers {
	a.tb.Helper()
	a.world.http.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	return a.read()
}

// read reads the numbers, over a connection that is closed with that.
func (a *audit) read() numbers {
	a.tb.Helper()
	req, err := http.NewRequestWithContext(a.tb.Context(), http.MethodGet, a.world.HTTP+"/metrics", nil)
	harness.Must(a.tb, err)
	req.Close = true
	resp, err := a.world.http.Do(req)
	harness.Must(a.tb, err)
	defer resp.Body.Close()
	n := numbers{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if ok {
			name += "}"
		} else {
			name, value, ok = strings.Cut(lines.Text(), " ")
		}
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil {
			n[name] = number
		}
	}
	return n
}

// allowed is how often the gate has allowed something.
func (n numbers) allowed(kind, rule string) int {
	return int(n[fmt.Sprintf(`boomgate_decisions_total{allowed="true",kind=%q,rule=%q}`, kind, rule)])
}

// expectRatesKept wants no client to have published more than it may.
func (a *audit) expectRatesKept(took time.Duration) {
	a.tb.Helper()
	most := int64(rateMost * (took.Seconds() + 2))
	for _, c := range a.world.clients {
		if got := c.accepted.Load(); got > most {
			a.tb.Errorf("%s was acknowledged %d messages, more than %d", c.id, got, most)
		}
	}
}

// expectDecisionsCounted wants the server to have counted what the devices have seen. What they asked and did not stay to hear it may
// have counted as well.
func (a *audit) expectDecisionsCounted() {
	a.tb.Helper()
	now := a.read()
	for _, test := range []struct {
		kind, rule    string
		seen, perhaps int
	}{
		{"connect", "granted", a.world.count("CONNECT accepted"), a.world.count("CONNECT without an answer")},
		{"renew", "renewed", a.world.count("renewal accepted"), a.world.count("renewal without an answer")},
	} {
		counted := now.allowed(test.kind, test.rule) - a.before.allowed(test.kind, test.rule)
		if counted < test.seen || counted > test.seen+test.perhaps {
			a.tb.Errorf("%s, %s: the server counts %d, the devices %d, and %d heard no answer", test.kind, test.rule, counted, test.seen, test.perhaps)
		}
	}
}

// expectEmpty ends all that the crowd has left, each time with a receipt that has to be exact, and wants the server as it was before.
func (a *audit) expectEmpty() {
	a.tb.Helper()
	harness.Eventually(a.tb, "nobody is connected", func() bool { return a.read()[sessions] == 0 })
	a.expired, a.silence = a.expiries(), time.Now().Add(longest+leeway)
	retained := a.countRetained("auditor")
	a.tb.Logf("%d retained messages are left", retained)
	removed := 0
	for _, r := range a.world.roles {
		a.world.Change(http.MethodPatch, "/v1/roles/"+r.id, harness.Rights("sub:plant/elsewhere/#", "pub:plant/elsewhere/#"))
	}
	a.world.FreshToken(a.world.clients[0].credential()) // the second is over in which a client may have been disabled
	for i, c := range a.world.clients {
		removed += a.bury(c, i)
	}
	if removed != retained {
		a.tb.Errorf("the receipts speak of %d retained messages, want %d", removed, retained)
	}
	if left := a.countRetained("auditor-of-the-end"); left != 0 {
		a.tb.Errorf("%d retained messages are left of clients that were deleted", left)
	}
	a.expectAtRest()
}

// expectAtRest wants nothing to be left of anybody.
func (a *audit) expectAtRest() {
	a.tb.Helper()
	w := a.world
	if answer := string(w.Change(http.MethodGet, "/v1/sessions", nil)); strings.Contains(answer, `"id"`) {
		a.tb.Errorf("sessions are left: %s", answer)
	}
	var now numbers
	defer func() {
		for _, name := range []string{goroutines, descriptors, heap} {
			a.tb.Logf("%s %v, before %v", name, now[name], a.before[name])
		}
	}()
	harness.Eventually(a.tb, "the server is as it was before", func() bool {
		now = a.alone()
		return now[sessions] == 0 && now[goroutines] <= a.before[goroutines] &&
			now[descriptors] <= a.before[descriptors]+moreDescriptors && time.Now().After(a.silence)
	})
	if more := a.expiries() - a.expired; more > 0 {
		a.tb.Errorf("%d sessions have expired that had ended before", more)
	}
	if more := (now[heap] - a.before[heap]) / (1 << 20); more > moreHeap {
		a.tb.Errorf("the heap has grown by %.0f MiB, want %d at most", more, moreHeap)
	}
	w.ExpectBounded(a.tb, a.memory, moreResident, moreVirtual)
	w.Stop()
}

// expiries counts the sessions that have expired, by the log.
func (a *audit) expiries() int { return len(a.world.Log.Lines("event=expire")) }

// countRetained counts the retained messages.
func (a *audit) countRetained(id string) int {
	a.tb.Helper()
	c := a.world.Service(id, "sub:plant/#", "sub:audit", "pub:audit")
	w := harness.Enter(a.tb, a.world.Server, 5, harness.Hello{ID: id, Password: a.world.Token(c)})
	w.MustSubscribe(0, "plant/#")
	w.MustSubscribe(0, "audit")
	w.Publish(harness.Message{Topic: "audit"})
	count := len(w.Until("audit"))
	w.Leave()
	return count
}

// bury deletes a client. Of its devices every other one has left a session behind, with as many subscriptions and messages as the receipt
// has to say; of the others nothing may be left.
func (a *audit) bury(c *client, number int) (retained int) {
	a.tb.Helper()
	w := a.world
	area := "plant/elsewhere/" + c.id
	token := w.Token(c.credential())
	var want harness.Receipt
	for n := range devicesOfOne {
		id := c.id
		if n > 0 {
			id = fmt.Sprint(c.id, ":", n)
		}
		version := harness.Versions[(number+n)%2]
		harness.Enter(a.tb, w.Server, version, harness.Hello{ID: id, Password: token}).Leave() // clean: nothing is left of before
		if (number+n)%2 == 0 {
			continue
		}
		kept := harness.Enter(a.tb, w.Server, version, harness.Hello{ID: id, Password: token, Keep: true})
		kept.MustSubscribe(1, area+"/a", area+"/b")
		kept.Leave()
		want.Sessions++
		want.Subscriptions += 2
		want.Queued += 3
	}
	author := harness.Enter(a.tb, w.Server, 5, harness.Hello{ID: c.id + ":author", Password: token})
	for _, topic := range []string{"/a", "/b", "/b", "/c"} {
		author.Publish(harness.Message{Topic: area + topic, QoS: 1})
	}
	author.Leave()
	got := harness.ReadReceipt(a.tb, w.Change(http.MethodDelete, "/v1/services/"+c.id, nil))
	want.Retained, want.Secrets = got.Retained, 1
	if got != want {
		a.tb.Errorf("%s was deleted with the receipt %+v, want %+v", c.id, got, want)
	}
	return got.Retained
}
