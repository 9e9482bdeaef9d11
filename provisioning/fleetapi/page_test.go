package fleetapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// pages follows a list by its Link headers to the end and returns the IDs, which
// must rise.
func pages[T any](f *fixture, path string, id func(T) string) []string {
	f.tb.Helper()
	var seen []string
	for path != "" {
		a := f.do(http.MethodGet, path, nil).is(http.StatusOK)
		page := decode[fleetapi.Page[T]](a)
		for _, item := range page.Items {
			seen = append(seen, id(item))
		}
		link, more := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
		if more != (page.NextCursor != "") {
			f.tb.Fatalf("Link is %q, next_cursor is %q", a.header.Get("Link"), page.NextCursor)
		}
		path = strings.TrimPrefix(link, "<")
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
		f.tb.Errorf("the list is out of order or repeats: %q", seen)
	}
	return seen
}

func TestAListComesInPartsAndIsNarrowedByItsParameters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 12 {
		body := object{"id": fmt.Sprintf("d-%02d", i), "labels": object{"site": []string{"north", "south"}[i%2], "floor": fmt.Sprint(i % 3), "note": "a=b,c d"}}
		if i%4 == 0 {
			body["roles"] = []string{"parking-sensor"}
		}
		f.create("devices", body)
	}
	f.do(http.MethodPost, "/v1/devices/d-00/disable", nil).is(http.StatusOK)
	cases := []struct {
		query string
		want  int
	}{
		{"", 12},
		{"limit=5", 12},
		{"limit=1", 12},
		{"limit=3&label=site%3Dnorth", 6},
		{"limit=1&label=site%3Dnorth&label=floor%3D0", 2},
		{"label=site=north&label=site=north", 6},
		{"label=note%3Da%3Db%2Cc+d", 12},
		{"label=site=east", 0},
		{"limit=2&role=parking-sensor", 3},
		{"status=disabled", 1},
		{"limit=4&status=active", 11},
		{"role=parking-sensor&status=active&label=floor=2", 1},
	}
	for _, c := range cases {
		if seen := pages(f, "/v1/devices?"+c.query, func(c fleetapi.Client) string { return c.ID }); len(seen) != c.want {
			t.Errorf("%q lists %q, want %d", c.query, seen, c.want)
		}
	}
}

func TestAMistypedListIsRefusedAndNotJustWide(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := map[string]string{
		"lables=site%3Dnorth":               "query.lables",
		"label=site":                        "query.label",
		"label=":                            "query.label",
		"label=&label=a=b":                  "query.label",
		"label==x":                          "query.label",
		"label=a=1&label=a=2":               "query.label",
		"limit=0":                           "query.limit",
		"limit=1001":                        "query.limit",
		"limit=many":                        "query.limit",
		"status=asleep":                     "query.status",
		"cursor=no-such-cursor":             "query.cursor",
		"role=No_Role":                      "query.role",
		"limit=1&limit=2&access_token=abcd": "query.access_token",
	}
	for query, location := range cases {
		p := f.do(http.MethodGet, "/v1/devices?"+query, nil).isProblem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Location != location {
			t.Errorf("%s: errors %+v, want one at %s", query, p.Errors, location)
		}
	}
	f.do(http.MethodGet, "/v1/devices?limit=%zz", nil).isProblem(http.StatusBadRequest, "bad-request")
	f.do(http.MethodGet, "/v1/devices?a=1;b=2", nil).isProblem(http.StatusBadRequest, "bad-request")
}
