package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// population makes clients of every kind, status, role and label, in a random
// order that is always the same, and the roles that they hold.
func population(count int) (roles, clients provisioning.ChangeSet) {
	random := rand.New(rand.NewPCG(1, 2))
	ids := []string{"r0", "r1", "r2"}
	for _, id := range ids {
		roles.Roles = append(roles.Roles, provisioning.RoleChange{Role: newRole(id)})
	}
	kinds := []provisioning.Kind{provisioning.KindDevice, provisioning.KindDevice, provisioning.KindService, provisioning.KindOperator}
	for _, i := range random.Perm(count) {
		c := newClient(fmt.Sprintf("c%d", i))
		c.Kind = kinds[random.IntN(len(kinds))]
		if random.IntN(5) == 0 {
			c.Status = provisioning.StatusDisabled
		}
		c.Labels = map[string]string{"site": fmt.Sprint("s", random.IntN(4))}
		if random.IntN(2) == 0 {
			c.Labels["floor"] = fmt.Sprint(random.IntN(3))
		}
		for _, id := range ids {
			if random.IntN(3) == 0 {
				c.Roles = append(c.Roles, id)
			}
		}
		clients.Clients = append(clients.Clients, provisioning.ClientChange{Client: c})
	}
	return roles, clients
}

// queries combines all filters.
func queries() []provisioning.Query {
	var list []provisioning.Query
	for _, kind := range []provisioning.Kind{"", provisioning.KindDevice, provisioning.KindOperator} {
		for _, status := range []provisioning.Status{"", provisioning.StatusDisabled, provisioning.StatusActive} {
			for _, role := range []string{"", "r1", "none"} {
				for _, labels := range []map[string]string{
					nil, {"site": "s2"}, {"site": "s1", "floor": "0"}, {"site": "nowhere"}, {"floor": ""},
				} {
					list = append(list, provisioning.Query{Kind: kind, Status: status, Role: role, Labels: labels})
				}
			}
		}
	}
	return list
}

func testListOracle(t *testing.T, s provisioning.Store) {
	roles, clients := population(300)
	apply(t, s, roles, clients)
	for _, q := range queries() {
		var want []provisioning.Client
		for _, change := range clients.Clients {
			if Matches(change.Client, q) {
				want = append(want, *change.Client)
			}
		}
		slices.SortFunc(want, func(a, b provisioning.Client) int { return compareIDs(a.ID, b.ID) })
		for _, q.Limit = range []int{0, 1, 7, provisioning.MaxPageSize} {
			if q.Limit == 1 && len(want) > 30 {
				continue // every client a page of its own is enough of a test on short lists
			}
			got := pages(t, s, q)
			if len(got) != len(want) {
				t.Fatalf("%+v: got %d clients, want %d", q, len(got), len(want))
			}
			if difference := compare(got, want); difference != "" {
				t.Fatalf("%+v: %s", q, difference)
			}
		}
	}
}

func compareIDs(a, b string) int { return slices.Compare([]byte(a), []byte(b)) }

// pages reads a whole list and checks the size of each page.
func pages(tb testing.TB, s provisioning.Store, q provisioning.Query) []provisioning.Client {
	tb.Helper()
	var clients []provisioning.Client
	for {
		page, err := s.Clients(context.Background(), q)
		if err != nil {
			tb.Fatalf("%+v: %v", q, err)
		}
		if len(page.Clients) > q.PageSize() || page.Next != "" && len(page.Clients) != q.PageSize() {
			tb.Fatalf("%+v: a page of %d clients, next %q", q, len(page.Clients), page.Next)
		}
		clients = append(clients, page.Clients...)
		if page.Next == "" {
			return clients
		}
		q.Cursor = page.Next
	}
}

func testListFollows(t *testing.T, s provisioning.Store) {
	apply(t, s, putRole(newRole("r")), putRole(newRole("q")))
	first := newClient("a")
	first.Roles = []string{"r"}
	apply(t, s, put(first))
	second := next(first, func(c *provisioning.Client) {
		c.Roles, c.Status = []string{"q"}, provisioning.StatusDisabled
		c.Labels = map[string]string{"site": "garage-2", "floor": "b2"}
	})
	apply(t, s, put(second))
	for _, c := range []struct {
		q    provisioning.Query
		want int
	}{
		{provisioning.Query{Role: "r"}, 0},
		{provisioning.Query{Role: "q"}, 1},
		{provisioning.Query{Status: provisioning.StatusActive}, 0},
		{provisioning.Query{Status: provisioning.StatusDisabled, Kind: provisioning.KindDevice}, 1},
		{provisioning.Query{Labels: map[string]string{"site": "garage-1"}}, 0},
		{provisioning.Query{Labels: map[string]string{"empty": ""}}, 0},
		{provisioning.Query{Labels: map[string]string{"site": "garage-2", "floor": "b2"}}, 1},
	} {
		if got := pages(t, s, c.q); len(got) != c.want {
			t.Errorf("%+v: got %d clients, want %d", c.q, len(got), c.want)
		}
	}
	apply(t, s, bury(tombstone(second)))
	for _, q := range []provisioning.Query{{}, {Role: "q"}, {Kind: provisioning.KindDevice}, {Labels: map[string]string{"floor": "b2"}}} {
		if got := pages(t, s, q); len(got) != 0 {
			t.Errorf("%+v: got %d clients after the deletion", q, len(got))
		}
	}
}

func testListStable(t *testing.T, s provisioning.Store) {
	var all []*provisioning.Client
	for i := range 40 {
		all = append(all, newClient(fmt.Sprintf("c%02d", i)))
	}
	apply(t, s, put(all...))
	for _, q := range []provisioning.Query{{Limit: 10}, {Limit: 10, Labels: map[string]string{"site": "garage-1"}}} {
		page, err := s.Clients(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		seen := page.Clients
		// What happens between two pages: the last one listed goes, and others
		// come before and behind it.
		last := seen[len(seen)-1]
		apply(t, s, bury(tombstone(&last)))
		apply(t, s, put(newClient(last.ID+"-new"), newClient("a-"+last.ID)))
		q.Cursor = page.Next
		seen = append(seen, pages(t, s, q)...)
		counts := map[string]int{}
		for _, c := range seen {
			counts[c.ID]++
		}
		for _, c := range all {
			if _, err := s.Client(context.Background(), c.ID); err == nil && counts[c.ID] != 1 {
				t.Errorf("%+v: client %q was listed %d times", q, c.ID, counts[c.ID])
			}
		}
	}
}

func testQueryBounds(t *testing.T, s provisioning.Store) {
	roles, clients := population(30)
	apply(t, s, roles, clients)
	q := provisioning.Query{Kind: provisioning.KindDevice, Limit: 2}
	page, err := s.Clients(context.Background(), q)
	if err != nil || page.Next == "" {
		t.Fatalf("got cursor %q, error %v", page.Next, err)
	}
	many := map[string]string{}
	for i := range provisioning.MaxQueryLabels + 1 {
		many[fmt.Sprint("k", i)] = ""
	}
	tampered := []byte(page.Next)
	tampered[len(tampered)-2] ^= 1
	for name, q := range map[string]provisioning.Query{
		"a negative limit":              {Limit: -1},
		"a limit too high":              {Limit: provisioning.MaxPageSize + 1},
		"no kind":                       {Kind: "robot"},
		"no status":                     {Status: "asleep"},
		"no role's ID":                  {Role: "A b"},
		"too many labels":               {Labels: many},
		"no label's key":                {Labels: map[string]string{"a b": ""}},
		"a cursor that is none":         {Cursor: "!"},
		"a cursor of nothing":           {Cursor: "AA"},
		"the cursor of another list":    {Cursor: page.Next},
		"the cursor of a narrower list": {Kind: provisioning.KindDevice, Role: "r1", Cursor: page.Next},
		"a tampered cursor":             {Kind: provisioning.KindDevice, Cursor: string(tampered)},
	} {
		if _, err := s.Clients(context.Background(), q); !errors.Is(err, provisioning.ErrInvalid) {
			t.Errorf("%s: got error %v, want an invalid one", name, err)
		}
	}
}
