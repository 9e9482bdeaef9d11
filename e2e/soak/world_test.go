package soak_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// The limits that all clients of the soak have.
const (
	leeway      = time.Second
	payloadMost = 2000 // bytes
	rateMost    = 100  // messages a second of one client
	faultsTold  = 20
)

// areas are the parts of the plant that rights are about: plant/<area>/<client>/<what>.
var areas = []string{"north", "east", "south", "west"}

// A world is everything that takes part in a soak.
type world struct {
	*harness.Server
	tb     testing.TB
	seed   uint64
	forger harness.Forger
	http   *http.Client

	operator string // a token for the fleet API
	roles    []*role
	clients  []*client
	links    sync.Map // by number: *link
	lastLink atomic.Int64

	mu     sync.Mutex
	counts map[string]int // guarded by mu
	faults int            // guarded by mu
}

// A role is what its clients hold, and changes.
type role struct {
	id   string
	held timeline[grants]
}

// grants are templates of scopes.
type grants []string

func (g grants) of(clientID string) rights { return rightsOf(clientID, g...) }

// A client is a service with a secret, and several devices behind it.
type client struct {
	id     string
	role   *role
	active timeline[bool]

	mu           sync.Mutex
	secret       string            // guarded by mu
	secretNumber int               // guarded by mu
	kills        []kill            // guarded by mu
	disturbed    []span            // guarded by mu: when an operator closed sessions of it
	known        map[string]*token // guarded by mu: by ID, those that may be revoked
	accepted     atomic.Int64      // messages
}

func (c *client) credential() harness.Credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	return harness.Credential{ClientID: c.id, ClientSecret: c.secret}
}

// A token is what a client got, and when.
type token struct {
	text, id string
	secret   int
	issued   time.Time
	expires  time.Time
	rights   rights
}

func newWorld(tb testing.TB, seed uint64) *world {
	tb.Helper()
	s, f := harness.StartForging(tb,
		"--leeway", leeway.String(), "--connect-timeout", "4s", "--write-timeout", "2s",
		"--client-max-messages-per-second", fmt.Sprint(rateMost), "--client-max-payload-bytes", fmt.Sprint(payloadMost),
		"--client-max-connects-per-minute", "0")
	w := &world{
		Server: s, tb: tb, seed: seed, forger: f, counts: map[string]int{}, operator: s.OperatorToken(),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: harness.Patience},
	}
	return w
}

// populate creates roles, and clients that hold them.
func (w *world) populate(roles, clientsEach int) {
	w.tb.Helper()
	random := w.random(0)
	for n := range roles {
		r := &role{id: fmt.Sprint("role", n)}
		r.held.set(someGrants(random))
		w.Role(r.id, nil, r.held.last()...)
		w.roles = append(w.roles, r)
		for m := range clientsEach {
			c := &client{id: fmt.Sprintf("c%d-%d", n, m), role: r, secretNumber: 1, known: map[string]*token{}}
			c.active.set(true)
			c.secret = w.Holding(r.id, c.id).ClientSecret
			w.clients = append(w.clients, c)
		}
	}
}

// someGrants are rights in some areas, never in all and never in none.
func someGrants(random *rand.Rand) grants {
	shuffled := slices.Clone(areas)
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var g grants
	for _, area := range shuffled[:1+random.IntN(len(areas)-1)] {
		g = append(g, "pub:plant/"+area+"/{client_id}/#")
	}
	for _, area := range shuffled[1 : 2+random.IntN(len(areas)-1)] {
		g = append(g, "sub:plant/"+area+"/#")
	}
	return g
}

// random is a source of its own for one of those who take part.
func (w *world) random(who uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, who)) }

// saw counts something that has happened.
func (w *world) saw(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

func (w *world) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[what]
}

// tale tells what has happened how often.
func (w *world) tale() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(w.counts)) {
		lines = append(lines, fmt.Sprintf("%8d  %s", w.counts[what], what))
	}
	return strings.Join(lines, "\n")
}

// faultf reports something that must not be.
func (w *world) faultf(format string, args ...any) {
	w.mu.Lock()
	w.faults++
	told := w.faults <= faultsTold
	w.mu.Unlock()
	if told {
		w.tb.Errorf(time.Now().UTC().Format("15:04:05.000 ")+format, args...)
	}
}

// hopeless says that there are so many faults that more of them tell nothing.
func (w *world) hopeless() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults > faultsTold
}

// ask sends a request to the server. What is begun is finished, even if the soak ends meanwhile.
func (w *world) ask(ctx context.Context, method, path, contentType, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, w.HTTP+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	if strings.HasPrefix(path, "/v1/") {
		req.Header.Set("Authorization", "Bearer "+w.operator)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// fetch gets a token for a client; nil if it gets none at the moment.
func (w *world) fetch(ctx context.Context, c *client) *token {
	c.mu.Lock()
	secret, number := c.secret, c.secretNumber
	c.mu.Unlock()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.id}, "client_secret": {secret}}
	status, answer, err := w.ask(ctx, http.MethodPost, "/oauth/token", "application/x-www-form-urlencoded", form.Encode())
	switch {
	case err != nil:
		w.faultf("a token for %s: %v", c.id, err)
		return nil
	case status != http.StatusOK:
		w.saw("token refused")
		return nil
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		w.faultf("a token for %s: %v", c.id, err)
		return nil
	}
	w.saw("token got")
	return w.read(c, got.AccessToken, number)
}

// shorten makes a token of one that ends earlier.
func (w *world) shorten(c *client, t *token, life time.Duration) *token {
	header, payload := part(t.text, 0), part(t.text, 1)
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		w.faultf("reading a token of %s: %v", c.id, err)
		return t
	}
	claims["exp"] = json.Number(fmt.Sprintf("%.3f", harness.SecondsFromNow(life)))
	text, err := json.Marshal(claims)
	if err != nil {
		w.faultf("writing a token of %s: %v", c.id, err)
		return t
	}
	return w.read(c, w.forger.Sign(header, string(text)), t.secret)
}

// read notes a token of a client.
func (w *world) read(c *client, text string, secret int) *token {
	var claims struct {
		ID      string   `json:"jti"`
		Issued  float64  `json:"iat"`
		Expires float64  `json:"exp"`
		Scopes  []string `json:"scp"`
	}
	if err := json.Unmarshal([]byte(part(text, 1)), &claims); err != nil {
		w.faultf("reading a token of %s: %v", c.id, err)
	}
	t := &token{
		text: text, id: claims.ID, secret: secret, rights: rightsOf(c.id, claims.Scopes...),
		issued: time.UnixMilli(int64(claims.Issued * 1000)), expires: time.UnixMilli(int64(claims.Expires * 1000)),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[t.id] = t
	return t
}

// part is the JSON in a part of a token.
func part(text string, n int) string {
	decoded, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[n])
	return string(decoded)
}

// holding is a timeline of one token.
func holding(t *token) *timeline[*token] {
	var l timeline[*token]
	l.set(t)
	l.changes[0].asked = always.from
	return &l
}
