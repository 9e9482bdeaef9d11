package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// docs/deny-paths.md: every way of being refused, and the answer on the wire, as the program gives it.

const denyPathsFile = "../docs/deny-paths.md"

var update = flag.Bool("update", false, "write "+denyPathsFile)

// A denyPath is one way of being refused.
type denyPath struct {
	what string
	// rule is what the operator finds in the log; empty if the log does not speak of it.
	rule string
	// only is the protocol version that it exists in, 0 for both.
	only byte
	// qos are the QoS that it exists at; none stands for all.
	qos []byte
	// try has a client refused, and returns the answer.
	try func(g *denyGate, at denyCell) string
}

// A denyCell is where in a table an answer stands.
type denyCell struct {
	policy       string
	version, qos byte
	rule         string
}

// A denySection is one table of the document, or one for each policy.
type denySection struct {
	title, intro string
	paths        []denyPath
	perQoS       bool // the QoS matters, and has columns
}

var denyPolicies = []string{"drop", "rfc9431"}

func TestDenyPathsAreAnsweredAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	sections := []denySection{
		connectSection(), publishSection(), subscribeSection(), authSection(), endSection(), deliverySection(),
	}
	found := make([]denyAnswers, len(denyPolicies))
	t.Run("each", func(t *testing.T) {
		for i, policy := range denyPolicies {
			t.Run(policy, func(t *testing.T) {
				t.Parallel()
				found[i] = newDenyGate(t, policy).walk(sections)
			})
		}
	})
	if t.Failed() {
		return
	}
	answers := denyAnswers{}
	for _, some := range found {
		maps.Copy(answers, some)
	}
	text := renderDenyPaths(t, sections, answers)
	if *update {
		harness.Must(t, os.WriteFile(filepath.FromSlash(denyPathsFile), []byte(text), 0o600))
		return
	}
	written, err := os.ReadFile(filepath.FromSlash(denyPathsFile))
	harness.Must(t, err)
	if line, is, want := firstDifference(text, string(written)); line > 0 {
		t.Errorf("%s, line %d:\nit says    %s\nanswered   %s\ngo test ./e2e -run DenyPaths -update writes it anew", denyPathsFile, line, want, is)
	}
}

func firstDifference(is, want string) (line int, left, right string) {
	a, b := strings.Split(is, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		left, right = "", ""
		if i < len(a) {
			left = a[i]
		}
		if i < len(b) {
			right = b[i]
		}
		if left != right {
			return i + 1, left, right
		}
	}
	return 0, "", ""
}

// A denyGate is a running server with one policy, and what the trials need beside it.
type denyGate struct {
	*harness.Server
	tb       testing.TB
	policy   string
	forger   harness.Forger
	watch    *harness.Wire // sees every message
	author   *harness.Wire // may publish everything
	count    *int          // of clients
	operator string
}

func newDenyGate(t *testing.T, policy string) *denyGate {
	t.Helper()
	s, f := harness.StartForging(t, "--on-denied", policy, "--leeway", "0s", "--max-packet-size", "100000", "--max-failures-per-ip", "60")
	g := &denyGate{Server: s, tb: t, policy: policy, forger: f, count: new(int), operator: s.OperatorToken()}
	token := s.Token(s.Service("watch", "sub:#", "sub:$other/#", "pub:marker"))
	g.watch = harness.Enter(t, s, 5, harness.Hello{ID: "watch", Password: token})
	g.watch.MustSubscribe(2, "#", "$other/#")
	token = s.Token(s.Service("author", "pub:#", "pub:$other/#"))
	g.author = harness.Enter(t, s, 5, harness.Hello{ID: "author", Password: token})
	return g
}

// in is the gate seen from a subtest.
func (g *denyGate) in(tb testing.TB) *denyGate {
	tb.Helper()
	g.watch.TB, g.author.TB = tb, tb
	return &denyGate{g.Server.In(tb), tb, g.policy, g.forger.In(tb), g.watch, g.author, g.count, g.operator}
}

type denyAnswers map[denyPlace]string

type denyPlace struct {
	section, path string
	policy        string
	version, qos  byte
}

// walk tries every path in each version and at each QoS.
func (g *denyGate) walk(sections []denySection) denyAnswers {
	answers := denyAnswers{}
	t, _ := g.tb.(*testing.T)
	for _, section := range sections {
		for _, path := range section.paths {
			for _, version := range path.versions() {
				for _, qos := range path.levels() {
					t.Run(fmt.Sprintf("%s/%s/version %d/QoS %d", section.title, path.what, version, qos), func(t *testing.T) {
						answer := path.try(g.in(t), denyCell{g.policy, version, qos, path.rule})
						answers[denyPlace{section.title, path.what, g.policy, version, qos}] = answer
					})
				}
			}
		}
	}
	return answers
}

func (p denyPath) versions() []byte {
	if p.only != 0 {
		return []byte{p.only}
	}
	return harness.Versions
}

func (p denyPath) levels() []byte {
	if len(p.qos) == 0 {
		return []byte{0, 1, 2}
	}
	return p.qos
}

// once is for paths to which QoS means nothing.
func once(paths ...denyPath) []denyPath {
	for i := range paths {
		if len(paths[i].qos) == 0 {
			paths[i].qos = []byte{0}
		}
	}
	return paths
}

// A subject is the client of one trial, which no other trial has anything to do with.
type denySubject struct {
	harness.Credential
	id, token string
}

// client makes a subject with these scopes.
func (g *denyGate) client(scopes ...string) denySubject {
	g.tb.Helper()
	return g.subject(harness.Grants(g.nextID(), scopes...))
}

// denyLimits are limits of a role, by their names.
type denyLimits map[string]int

// under makes a subject with these scopes and limits.
func (g *denyGate) under(limits denyLimits, scopes ...string) denySubject {
	g.tb.Helper()
	if limits == nil {
		return g.client(scopes...)
	}
	return g.holding(limits, scopes...)
}

// holding makes a subject that has these scopes and limits from a role of its own name.
func (g *denyGate) holding(limits denyLimits, scopes ...string) denySubject {
	g.tb.Helper()
	id := g.nextID()
	role := harness.Grants(id, scopes...)
	if limits != nil {
		role["limits"] = limits
	}
	g.must(http.StatusCreated, "/v1/roles", role)
	return g.subject(map[string]any{"id": id, "roles": []string{id}})
}

func (g *denyGate) subject(body map[string]any) denySubject {
	g.tb.Helper()
	var c harness.Credential
	harness.Must(g.tb, json.Unmarshal(g.must(http.StatusCreated, "/v1/services", body), &c))
	return denySubject{c, c.ClientID, g.Token(c)}
}

// must posts something to the fleet API. It asks for no token of its own, of which hundreds would take their time.
func (g *denyGate) must(status int, path string, body map[string]any) []byte {
	g.tb.Helper()
	got, answer := g.FleetAs(g.operator, http.MethodPost, path, body)
	if got != status {
		g.tb.Fatalf("POST %s: %d %s", path, got, answer)
	}
	return answer
}

func (g *denyGate) nextID() string {
	*g.count++
	return fmt.Sprint("client", *g.count)
}

// enter lets a subject in.
func (g *denyGate) enter(at denyCell, h harness.Hello) *harness.Wire {
	g.tb.Helper()
	return harness.Enter(g.tb, g.Server, at.version, h)
}

// expectRule waits for the rule in the operator's log.
func (g *denyGate) expectRule(at denyCell, texts ...string) {
	g.tb.Helper()
	if at.rule != "" {
		g.Log.Wait(g.tb, append(texts, "rule="+at.rule+" ")...)
	}
}

// exchange sends something and returns what comes until a PING behind it is answered, or the connection is closed.
func (g *denyGate) exchange(w *harness.Wire, sent []byte) (came []harness.Packet, closed bool) {
	g.tb.Helper()
	_, _ = w.Conn.Write(append(slices.Clone(sent), harness.EncodePing()...)) // a connection that is closed shows when it is read
	return g.collect(w, harness.TypePingresp)
}

// collect returns what comes up to a packet of this type, or up to the end of the connection.
func (g *denyGate) collect(w *harness.Wire, last byte) (came []harness.Packet, closed bool) {
	g.tb.Helper()
	for {
		p, err := w.Read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			g.tb.Fatal("the server neither answered nor closed the connection")
		case err != nil:
			return came, true
		case p.Kind == last:
			return came, false
		}
		came = append(came, p)
	}
}

// arrived returns the messages that everybody has got by now who may have them.
func (g *denyGate) arrived() []harness.Packet {
	g.tb.Helper()
	g.watch.Publish(harness.Message{Topic: "marker"})
	return g.watch.Until("marker")
}

// The names of packets that a server sends (MQTT 5.0 §2.1.2).
var packetNames = map[byte]string{
	2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 7: "PUBCOMP", 9: "SUBACK", 14: "DISCONNECT", 15: "AUTH",
}

// spell writes an answer down.
func spell(came []harness.Packet, closed bool) string {
	var parts []string
	for _, p := range came {
		name := packetNames[p.Kind]
		if code := p.Code(); code != 0 || p.Kind == harness.TypeConnack || p.Kind == harness.TypeSuback {
			name += fmt.Sprintf(" 0x%02X", code)
		}
		parts = append(parts, name)
	}
	if closed {
		parts = append(parts, "closed")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
