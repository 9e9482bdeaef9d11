package fleetapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestARepeatedCreationHasTheSameAnswerAndMakesNoSecondRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := []string{"Idempotency-Key", "batch-1"}
	first := f.do(http.MethodPost, "/v1/devices", object{"name": "x"}, key...).is(http.StatusCreated)
	again := f.do(http.MethodPost, "/v1/devices", `{ "name" : "x" }`, key...).is(http.StatusCreated)
	if again.text != first.text || again.header.Get("Location") != first.header.Get("Location") || again.header.Get("ETag") != `"1"` {
		t.Errorf("first %s, again %s", first.text, again.text)
	}
	if first.header.Get("Idempotent-Replayed") != "false" || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("Idempotent-Replayed is %q, then %q", first.header.Get("Idempotent-Replayed"), again.header.Get("Idempotent-Replayed"))
	}
	others := []answer{
		f.do(http.MethodPost, "/v1/devices", object{"name": "y"}, key...),
		f.do(http.MethodPost, "/v1/services", object{"name": "x"}, key...),
		f.do(http.MethodPost, "/v1/roles", object{"id": "x"}, key...),
	}
	for _, a := range others {
		a.isProblem(http.StatusUnprocessableEntity, "idempotency-key-reused")
	}
	foreign := f.do(http.MethodPost, "/v1/devices", object{"name": "x"}, append(key, f.as("other", "devices:write")...)...).is(http.StatusCreated)
	if foreign.text == first.text {
		t.Error("another caller got the answer, secret included")
	}
	f.do(http.MethodPost, "/v1/devices", object{"name": "x"}, append(key, f.as("root", "devices:read")...)...).
		isProblem(http.StatusForbidden, "insufficient-scope")
	for _, bad := range []string{"a b", strings.Repeat("k", 256), "ü"} {
		f.do(http.MethodPost, "/v1/devices", object{}, "Idempotency-Key", bad).isProblem(http.StatusUnprocessableEntity, "invalid")
	}
	f.clock.forward(24 * time.Hour)
	if late := f.do(http.MethodPost, "/v1/devices", object{"name": "x"}, key...).is(http.StatusCreated); late.text == first.text {
		t.Error("after a day the answer is still kept")
	}
}

func TestARepeatedRotationDrawsNoSecondSecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{"id": "d"})
	f.create("devices", object{"id": "e"})
	key := []string{"Idempotency-Key", "rotation-1"}
	first := f.do(http.MethodPost, "/v1/devices/d/rotate", nil, key...).is(http.StatusOK)
	again := f.do(http.MethodPost, "/v1/devices/d/rotate", nil, key...).is(http.StatusOK)
	if first.text != again.text {
		t.Errorf("first %s, again %s", first.text, again.text)
	}
	f.do(http.MethodPost, "/v1/devices/e/rotate", nil, key...).isProblem(http.StatusUnprocessableEntity, "idempotency-key-reused")

	role := f.do(http.MethodPost, "/v1/roles", object{"id": "r"}, "Idempotency-Key", "role-1").is(http.StatusCreated)
	if again := f.do(http.MethodPost, "/v1/roles", object{"id": "r"}, "Idempotency-Key", "role-1").is(http.StatusCreated); again.text != role.text {
		t.Errorf("first %s, again %s", role.text, again.text)
	}
}

func TestAFailedCreationIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := object{"id": "d", "roles": []string{"later"}}
	f.do(http.MethodPost, "/v1/devices", body, "Idempotency-Key", "k").isProblem(http.StatusUnprocessableEntity, "invalid")
	f.do(http.MethodPost, "/v1/roles", object{"id": "later"}).is(http.StatusCreated)
	f.do(http.MethodPost, "/v1/devices", body, "Idempotency-Key", "k").is(http.StatusCreated)
}

func TestConcurrentRepetitionsAreDoneOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	texts := map[string]int{}
	for range 16 {
		wg.Go(func() {
			a, err := f.try(http.MethodPost, "/v1/devices", object{"labels": object{"batch": "7"}}, "Idempotency-Key", "same")
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("status %d, %v: %s", a.status, err, a.text)
			}
			mu.Lock()
			defer mu.Unlock()
			texts[a.text]++
		})
	}
	wg.Wait()
	list := decode[fleetapi.Page[fleetapi.Client]](f.do(http.MethodGet, "/v1/devices?label=batch%3D7", nil))
	if len(texts) != 1 || len(list.Items) != 1 {
		t.Errorf("%d answers, %d devices, want one of each", len(texts), len(list.Items))
	}
}

func TestTheCallersWhoWereIdleLongestAreForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	create := func(caller int) answer {
		f.clock.forward(time.Second)
		headers := append(f.as(fmt.Sprintf("operator-%d", caller), "devices:write"), "Idempotency-Key", "k")
		return f.do(http.MethodPost, "/v1/devices", object{}, headers...).is(http.StatusCreated)
	}
	first, second := create(0), create(1)
	for i := range fleetapi.ReplayCallers {
		create(0)
		create(i + 2)
	}
	if create(0).text != first.text {
		t.Error("a caller who was just there is forgotten")
	}
	if create(1).text == second.text {
		t.Error("more callers are kept than the bound says")
	}
}

func TestOldAnswersMakeRoomForNewOnes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	large := object{}
	for i := range 32 {
		large[fmt.Sprintf("claim-%02d", i)] = strings.Repeat("x", 1000)
	}
	create := func(key string) answer {
		return f.do(http.MethodPost, "/v1/devices", object{"attributes": large}, "Idempotency-Key", key).is(http.StatusCreated)
	}
	oldest := create("0")
	if create("0").text != oldest.text {
		t.Fatal("the first answer is not kept")
	}
	n := fleetapi.ReplayBytes/32000 + 2
	var newest answer
	for i := range n {
		newest = create(fmt.Sprint(i + 1))
	}
	if create(fmt.Sprint(n)).text != newest.text {
		t.Error("the newest answer is not kept")
	}
	if create("0").text == oldest.text {
		t.Error("the oldest answer is kept beyond the bound")
	}
}
