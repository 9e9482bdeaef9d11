package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// fakeFleet answers as a server might; the token is always there.
func fakeFleet(tb testing.TB, handler http.HandlerFunc) *apiClient {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	return &apiClient{base: server.URL, http: newHTTPClient(), tokens: func() (*oauth2.Token, error) {
		return &oauth2.Token{AccessToken: "t", TokenType: "Bearer"}, nil
	}}
}

func TestAListIsReadPageByPageUntilTheLimit(t *testing.T) {
	t.Parallel()

	const total = 2500
	for _, limit := range []int{0, 1, 999, 1000, 1001, 2500, 9000} {
		api := fakeFleet(t, func(w http.ResponseWriter, r *http.Request) {
			from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
			size, _ := strconv.Atoi(r.URL.Query().Get("limit"))
			if size < 1 || size > maxPage || r.URL.Query().Get("label") != "site=north" {
				t.Errorf("asked for %s", r.URL)
			}
			end := min(from+size, total)
			answer := page{}
			for i := from; i < end; i++ {
				answer.Items = append(answer.Items, json.RawMessage(strconv.Itoa(i)))
			}
			if end < total {
				answer.NextCursor = strconv.Itoa(end)
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
		var got []string
		err := api.each(t.Context(), listing{path: "/v1/devices", query: url.Values{"label": {"site=north"}}, size: maxPage, limit: limit}, func(items []json.RawMessage) error {
			for _, item := range items {
				got = append(got, string(item))
			}
			return nil
		})
		want := total
		if limit > 0 {
			want = min(limit, total)
		}
		if err != nil || len(got) != want || got[want-1] != strconv.Itoa(want-1) || len(slices.Compact(got)) != want {
			t.Errorf("limit %d: %d items, error %v", limit, len(got), err)
		}
	}
}

func TestAListEndsWhereItsReaderFails(t *testing.T) {
	t.Parallel()

	api := fakeFleet(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[1],"next_cursor":"more"}`)
	})
	full := errors.New("disk full")
	if err := api.each(t.Context(), listing{path: "/v1/devices"}, func([]json.RawMessage) error { return full }); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

func TestARefusalIsToldFieldByFieldAndWithoutTheToken(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		name, media, body, want string
		status                  int
	}{
		{
			"problem details", "application/problem+json; charset=utf-8",
			`{"title":"A rule is broken","status":422,"detail":"see errors","errors":[{"location":"body.id","message":"too long"},{"message":"odd"}]}`,
			"A rule is broken\n  - id: too long\n  - odd", 422,
		},
		{"a detail", "application/problem+json", `{"title":"Gone","detail":"It was deleted."}`, "It was deleted.", 410},
		{"a title alone", "application/problem+json", `{"title":"Gone"}`, "Gone", 410},
		{"an empty problem", "application/problem+json", `{}`, "Conflict", 409},
		{"a proxy's page", "text/html", "<html>Bad Gateway</html>", "the server answered 502 Bad Gateway", 502},
		{"a torn problem", "application/problem+json", `{"title":`, "the server answered 400 Bad Request", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := fakeFleet(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer t" {
					t.Errorf("Authorization: %s", r.Header.Get("Authorization"))
				}
				w.Header().Set("Content-Type", c.media)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := api.do(t.Context(), apiCall{method: http.MethodGet, path: "/v1/devices/x"})
			if err == nil || err.Error() != c.want {
				t.Errorf("got %q, want %q", err, c.want)
			}
			if !hasStatus(err, c.status) {
				t.Errorf("the status %d is lost", c.status)
			}
		})
	}
}

func TestARequestCarriesItsBodyAndTheVersionThatItMeans(t *testing.T) {
	t.Parallel()

	api := fakeFleet(t, func(w http.ResponseWriter, r *http.Request) {
		got := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.Header.Get("Content-Type"), r.Header.Get("If-Match")}, " ")
		if got != `PATCH /v1/sessions/a%2Fb application/merge-patch+json "3"` {
			t.Errorf("the request is %s", got)
		}
		w.Header().Set("ETag", `"4"`)
	})
	answer, err := api.do(t.Context(), apiCall{
		method: http.MethodPatch, path: sessionPath("a/b"), body: map[string]any{"x": nil}, media: mediaMergePatch, ifMatch: `"3"`,
	})
	if err != nil || answer.etag != `"4"` {
		t.Errorf("etag %s, error %v", answer.etag, err)
	}
}

func TestATokenIsNotCarriedToAnotherServer(t *testing.T) {
	t.Parallel()

	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if header := r.Header.Get("Authorization"); header != "" {
			t.Errorf("the other server was sent %s", header)
		}
	}))
	t.Cleanup(elsewhere.Close)
	api := fakeFleet(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
	})
	if _, err := api.do(t.Context(), apiCall{method: http.MethodGet, path: "/v1/devices"}); err == nil {
		return // followed, without the token
	}
}
