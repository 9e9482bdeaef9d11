package attacks_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on what the server tells of itself, O1 and O4: logs, metrics, answers, arguments of processes.

// leaks are texts that must not be found where somebody reads who may not know them.
type leaks map[string]string // by what they are

// addToken adds a token and its parts.
func (l leaks) addToken(what, token string) {
	for i, part := range strings.Split(token, ".") {
		l[fmt.Sprint(what, ", part ", i+1)] = part
	}
}

func (l leaks) expectNoneIn(tb testing.TB, where, text string) {
	tb.Helper()
	for what, secret := range l {
		if at := strings.Index(text, secret); at >= 0 {
			tb.Errorf("%s holds %s: …%.200s", where, what, text[max(0, at-80):])
		}
	}
}

func TestO1_NeitherLogsNorMetricsNorAnswersHoldASecretOrATokenOrRawText(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t, "--log-level", "debug")
	// Raw text of a client that nobody has authenticated: it would be seen in any of them.
	const raw = "raw text\tof\"nobody\x1b[31m"
	secret := leaks{"raw text": "raw text", "raw text, escaped": `of\"nobody`, "an escape": "\x1b[31m"}
	meter := s.Service("meter", "pub:meter/#", "sub:meter/#")
	token, fleet := s.Token(meter), s.OperatorToken()
	expired := f.Alter(token, harness.Claims{"iat": 1, "nbf": nil, "exp": 2})
	secret["a secret"] = meter.ClientSecret
	secret["a part of a secret"] = meter.ClientSecret[3:23]
	secret.addToken("a token", token)
	secret.addToken("a token of the fleet API", fleet)
	secret["the payload of a refused token"] = strings.Split(expired, ".")[1]

	// Answers are looked through as they come, the log and the metrics in the end.
	answered := func(where string, got harness.Answer) {
		secret.expectNoneIn(t, "the answer to "+where, fmt.Sprint(got.Header)+got.Body)
	}
	for _, field := range []string{"grant_type", "client_id", "client_secret", "scope", "audience", "client_assertion", "x"} {
		for _, text := range []string{raw, meter.ClientSecret + "x", token} {
			answered("a bad "+field, s.AskToken(harness.Credential{ClientID: "meter", ClientSecret: "x"}, field, text))
			answered("a bad "+field+" in the query", s.Ask(http.MethodPost, tokenPath+"?"+field+"="+strings.NewReplacer(" ", "%20", "\t", "%09", "\x1b", "%1b").Replace(text), asForm, ""))
		}
		answered("a bad "+field+" in JSON", s.Ask(http.MethodPost, tokenPath, asJSON, fmt.Sprintf(`{"grant_type":"client_credentials","client_id":"meter",%q:%q}`, field, raw)))
	}
	for _, authorization := range []string{basic("meter", meter.ClientSecret+"x"), basic(raw, raw), "Bearer " + token, "Bearer " + expired, "Bearer raw text", "raw text"} {
		header := http.Header{"Content-Type": {harness.Form}, "Authorization": {authorization}, "X-Request-Id": {"raw text"}, "User-Agent": {"raw text"}}
		answered("a bad Authorization", s.Ask(http.MethodPost, tokenPath, header, "grant_type=client_credentials"))
		answered("a bad Authorization at the fleet API", s.Ask(http.MethodGet, "/v1/services/raw%20text?x=raw%20text", header, ""))
		answered("a bad path", s.Ask(http.MethodGet, "/raw%20text", header, ""))
	}
	bearer := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + fleet}}
	answered("a bad explanation", s.Ask(http.MethodPost, "/v1/explain", bearer, fmt.Sprintf(`{"token":%q,"action":"publish","topic":"a"}`, expired)))
	answered("a good explanation", s.Ask(http.MethodPost, "/v1/explain", bearer, fmt.Sprintf(`{"token":%q,"action":"publish","topic":"a"}`, token)))
	answered("an unknown member", s.Ask(http.MethodPost, "/v1/services", bearer, fmt.Sprintf(`{"client_secret":%q}`, meter.ClientSecret)))
	answered("a bad body", s.Ask(http.MethodPost, "/v1/services", bearer, meter.ClientSecret))
	answered("the last refusals", s.Ask(http.MethodGet, "/v1/explain/last?client_id=meter", bearer, ""))

	for _, version := range harness.Versions {
		for _, h := range []harness.Hello{
			{ID: "meter", Password: expired},
			{ID: "meter", Password: meter.ClientSecret}, // of people who misread the manual
			{ID: raw, User: raw, Password: raw},
			{ID: meter.ClientSecret, User: token, Password: expired},
			{ID: "meter", User: meter.ClientSecret, Password: token, Will: &harness.Message{Topic: raw, Payload: raw}},
			{ID: "meter", Method: raw, Data: token},
		} {
			w := harness.Dial(t, s.MQTT, version)
			w.Send(h.Encode(version))
			w.End()
		}
	}
	w := enterByMethod(t, s, "meter", token)
	w.Renew(oauth2JWT, expired)
	w.End()
	w = enterByMethod(t, s, "meter", token)
	w.Send(harness.Hello{ID: "meter", Password: token}.Encode(5)) // a second CONNECT
	w.End()

	secret.expectNoneIn(t, "/metrics", s.Ask(http.MethodGet, "/metrics", nil, "").Body)
	delete(secret, "raw text, escaped") // a will's topic is shown of a client that has proved who it is, and escaped
	delete(secret, "raw text")
	secret.expectNoneIn(t, "the log", s.Log.String())
}

func TestO1_NobodyForgesALineOfTheLog(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--log-level", "debug")
	token := s.Token(s.Service("meter", "pub:meter/#"))
	const forged = "x\nlevel=ERROR msg=forged\r\nlevel=ERROR msg=forged"
	harness.EachVersion(t, func(_ *testing.T, version byte) {
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		w.Publish(harness.Message{Topic: forged, QoS: 1})
		w.Subscribe(0, forged)
		for _, h := range []harness.Hello{
			{ID: forged, Password: token},
			{ID: forged, User: forged, Password: forged},
			{ID: "meter", Method: forged, Password: forged},
			{ID: "meter", Password: token, Will: &harness.Message{Topic: forged}},
		} {
			w := harness.Dial(t, s.MQTT, version)
			w.Send(h.Encode(version))
			w.End()
		}
	})
	s.AskToken(harness.Credential{ClientID: forged, ClientSecret: forged})
	s.Log.Wait(t, "event=publish", "msg=refused")
	for line := range strings.Lines(s.Log.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("a line of the log that the server did not begin: %q", line)
		}
	}
}

func TestO1_NoProcessTakesOrShowsASecretAmongItsArguments(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	c := s.Service("meter", "pub:a")
	for _, command := range [][]string{
		{"token", "--client-secret", c.ClientSecret},
		{"token", "--secret", c.ClientSecret},
		{"token", "--password", c.ClientSecret},
		{"explain", "--token", "x", "publish", "a"},
		{"subscribe", "--token", "x"},
		{"devices", "list", "--token", "x"},
		{"devices", "create", "--secret", c.ClientSecret},
		{"serve", "--root-secret", "x"},
	} {
		output, code := s.Try(command...)
		if code != 2 || !strings.Contains(output, "unknown flag") || strings.Contains(output, c.ClientSecret) {
			t.Errorf("boomgate %s %s: exit code %d: %s", command[0], command[1], code, output)
		}
	}
	if runtime.GOOS != "linux" {
		return // only Linux shows the arguments of others in a file
	}
	root, err := os.ReadFile(s.DataDir + "/root.json")
	harness.Must(t, err)
	for lines := bufio.NewScanner(strings.NewReader(string(root))); lines.Scan(); {
		if _, value, found := strings.Cut(lines.Text(), `"client_secret": "`); found && strings.Contains(s.Arguments(), strings.TrimRight(value, `",`)) {
			t.Error("the arguments of the server hold the root operator's secret")
		}
	}
}

func TestO4_NoHashComesInFromOutside(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	b := newBystander(t, s)
	hashes := map[string]string{
		"argon2": "$argon2id$v=19$m=4194304,t=1000,p=1$c2FsdHNhbHQ$aGFzaA", "bcrypt": "$2b$31$" + strings.Repeat("a", 53),
		"scrypt": "$scrypt$ln=30,r=32,p=16$c2FsdA$aGFzaA", "pbkdf2": "$pbkdf2-sha256$i=4000000000$c2FsdA$aGFzaA",
	}
	for what, hash := range hashes {
		for _, member := range []string{"client_secret", "secret", "secret_hash", "hash", "secrets", "password", "imported_secret"} {
			for _, value := range []any{hash, []any{map[string]any{"id": "secret-1", "hash": hash}}} {
				status, answer := s.Fleet(http.MethodPost, "/v1/devices", map[string]any{"id": "device-" + what, member: value})
				if status != http.StatusUnprocessableEntity || strings.Contains(string(answer), hash) {
					t.Errorf("creating a device with %s as %s: %d %s", what, member, status, answer)
				}
				if status, answer := s.Fleet(http.MethodPatch, "/v1/services/bystander", map[string]any{member: value}); status != http.StatusUnprocessableEntity {
					t.Errorf("changing one with %s as %s: %d %s", what, member, status, answer)
				}
			}
		}
		expectNoToken(t, s.AskToken(harness.Credential{ClientID: "bystander", ClientSecret: hash}), http.StatusUnauthorized, "invalid_client")
		expectNoToken(t, s.AskToken(harness.Credential{ClientID: "device-" + what, ClientSecret: hash}), http.StatusUnauthorized, "invalid_client")
	}
	b.expectUndisturbed(t)
}
