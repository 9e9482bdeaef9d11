package fleetapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestAQuestionReachesTheGateAsItWasAskedAndSoDoesTheAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.gate.answer = fleetapi.Explanation{
		Rule: "no-grant", ReasonCode: 0x87, ReturnCode: 0x80, Fix: "Grant sub:a/+.", ClientID: "d", Issuer: "https://gate.example",
		Checks: []fleetapi.Check{{Name: "client", Passed: true, Detail: "active"}, {Name: "grants", Detail: "no grant covers it"}},
		Grants: []string{"sub:a/b"},
	}
	cases := []struct {
		body string
		want fleetapi.ExplainRequest
	}{
		{
			`{"client_id":"d","action":"publish","topic":"a/b","qos":2,"retain":true,"payload_bytes":10}`,
			fleetapi.ExplainRequest{ClientID: "d", Action: "publish", Topic: "a/b", QoS: 2, Retain: true, PayloadBytes: 10},
		},
		{
			`{"token":"x.y.z","action":"subscribe","topic":"$share/g/a/+","qos":1}`,
			fleetapi.ExplainRequest{Token: "x.y.z", Action: "subscribe", Topic: "$share/g/a/+", QoS: 1},
		},
		{`{"client_id":"d","action":"receive","topic":"a/b"}`, fleetapi.ExplainRequest{ClientID: "d", Action: "receive", Topic: "a/b"}},
		{
			`{"token":"x.y.z","connect":{},"action":"receive","topic":"a"}`,
			fleetapi.ExplainRequest{Token: "x.y.z", Connect: &fleetapi.ConnectQuestion{}, Action: "receive", Topic: "a"},
		},
		{`{"token":"x.y.z","connect":{}}`, fleetapi.ExplainRequest{Token: "x.y.z", Connect: &fleetapi.ConnectQuestion{}}},
		{
			`{"client_id":"d","connect":{"mqtt_client_id":"d:1","thumbprint":"abc","will":{"topic":"a/$state","qos":1,"retain":true}}}`,
			fleetapi.ExplainRequest{ClientID: "d", Connect: &fleetapi.ConnectQuestion{
				MQTTClientID: "d:1", Thumbprint: "abc", Will: &fleetapi.WillQuestion{Topic: "a/$state", QoS: 1, Retain: true},
			}},
		},
	}
	for i, c := range cases {
		a := f.do(http.MethodPost, "/v1/explain", c.body).is(http.StatusOK)
		if got := decode[fleetapi.Explanation](a); !reflect.DeepEqual(got, f.gate.answer) {
			t.Errorf("%s is answered %s", c.body, a.text)
		}
		// Equal by reflection: a question masks itself when it is printed.
		if len(f.gate.asked) != i+1 || !reflect.DeepEqual(f.gate.asked[i], c.want) {
			t.Errorf("%s reached the gate as topic %q, connect %+v", c.body, f.gate.asked[i].Topic, f.gate.asked[i].Connect)
		}
	}
	f.gate.answer = fleetapi.Explanation{Allowed: true, Rule: "granted"}
	a := f.do(http.MethodPost, "/v1/explain", cases[0].body, f.as("helper", "sessions:read")...).is(http.StatusOK)
	if !strings.Contains(a.text, `"checks":[]`) || !strings.Contains(a.text, `"grants":[]`) {
		t.Errorf("empty lists are %s", a.text)
	}
	if lines := f.log.lines(t, "fleet API write"); len(lines) != 0 {
		t.Errorf("a question is logged as a write: %v", lines)
	}
}

func TestAQuestionThatIsNoneOrTwoIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := []struct{ body, location string }{
		{`{"action":"publish","topic":"a"}`, "body.token"},
		{`{"token":"t","client_id":"d","action":"publish","topic":"a"}`, "body.token"},
		{`{"client_id":"d"}`, "body.action"},
		{`{"client_id":"d","action":"publish"}`, "body.topic"},
		{`{"client_id":"d","action":"delete","topic":"a"}`, "body.action"},
		{`{"client_id":"d","action":"publish","topic":"a","qos":3}`, "body.qos"},
		{`{"client_id":"d","action":"publish","topic":"a","qos":-1}`, "body.qos"},
		{`{"client_id":"d","action":"publish","topic":"a","payload_bytes":-1}`, "body.payload_bytes"},
		{`{"client_id":"d","action":"subscribe","topic":"a","retain":true}`, "body.retain"},
		{`{"client_id":"d","action":"receive","topic":"a","payload_bytes":1}`, "body.payload_bytes"},
		{`{"client_id":"d","connect":{},"topic":"a"}`, "body.topic"},
		{`{"client_id":"d","connect":{},"qos":1}`, "body.qos"},
		{`{"client_id":"d","connect":{"will":{}}}`, "body.connect.will.topic"},
		{`{"client_id":"d","connect":{"will":{"topic":""}}}`, "body.connect.will.topic"},
		{`{"client_id":"d","connect":{"password":"x"}}`, "body.connect.password"},
		{`{"token":"` + strings.Repeat("a", 8193) + `","connect":{}}`, "body.token"},
	}
	for _, c := range cases {
		p := f.do(http.MethodPost, "/v1/explain", c.body).isProblem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) != 1 || !strings.HasPrefix(c.location, p.Errors[0].Location) {
			t.Errorf("%.80s: errors %+v, want one at %s", c.body, p.Errors, c.location)
		}
	}
	f.do(http.MethodPost, "/v1/explain", `{"token":"a","token":"b","connect":{}}`).isProblem(http.StatusBadRequest, "bad-request")
	if len(f.gate.asked) != 0 {
		t.Errorf("%d refused questions reached the gate", len(f.gate.asked))
	}
	f.gate.broken = provisioning.Invalid("topic", "is malformed")
	p := f.do(http.MethodPost, "/v1/explain", `{"client_id":"d","action":"publish","topic":"a/#"}`).isProblem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.topic" {
		t.Errorf("errors %+v, want one at body.topic", p.Errors)
	}
	f.gate.broken = fmt.Errorf("client: %w", provisioning.ErrNotFound)
	f.do(http.MethodPost, "/v1/explain", `{"client_id":"d","connect":{}}`).isProblem(http.StatusNotFound, "not-found")
}

func TestO1_ATokenInAQuestionIsRepeatedNowhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const header, payload, signature = "eyJhbGciOiJub25lIn0", "eyJzdWIiOiJyb290In0", "c2lnbmF0dXJlIG9mIHNvbWVib2R5"
	token := header + "." + payload + "." + signature
	question := object{"token": token, "connect": object{}}
	var answers []answer
	ask := func(body any) { answers = append(answers, f.do(http.MethodPost, "/v1/explain", body)) }
	ask(object{"token": token})
	ask(object{"token": token, "client_id": token, "connect": object{}})
	ask(object{"token": []string{token}, "connect": object{}})
	ask(object{"client_id": "d", "action": token, "topic": "a"})
	ask(object{"client_id": "d", "connect": object{token: token}})
	ask(`{"token":"` + token)
	f.gate.broken = fmt.Errorf("verifying %q: %w", token, errors.New("the keys cannot be read: "+signature))
	ask(question)
	f.gate.broken = provisioning.Invalid("token", "cannot be read: "+token)
	ask(question)
	for i, a := range answers {
		for _, part := range []string{header, payload, signature} {
			if a.status < 400 || strings.Contains(a.text, part) {
				t.Errorf("answer %d, status %d, is no refusal or repeats the token: %s", i, a.status, a.text)
			}
		}
	}
	f.gate.broken, f.gate.answer = nil, fleetapi.Explanation{
		Rule: "token-signature", Fix: "Present another one than " + token + ".", Checks: []fleetapi.Check{{Name: "token", Detail: "got " + payload}},
	}
	if a := f.do(http.MethodPost, "/v1/explain", question).is(http.StatusOK); strings.Contains(a.text, payload) {
		t.Errorf("the answer repeats the token: %s", a.text)
	}
	for _, part := range []string{header, payload, signature} {
		if strings.Contains(f.log.String(), part) {
			t.Errorf("the log repeats the token: %s", f.log)
		}
	}
	if !strings.Contains(f.log.String(), "the keys cannot be read") {
		t.Errorf("the log does not say why the server failed: %s", f.log)
	}
	masked := fleetapi.ExplainRequest{Token: token}
	if text := fmt.Sprintf("%v %+v %#v %s", masked, &masked, masked, masked.LogValue()); strings.Contains(text, payload) {
		t.Errorf("a question shows its token: %s", text)
	}
}

func TestTheLastRefusalsOfAClientAreShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	refusal := fleetapi.Refusal{
		Time: f.clock.Now(), Kind: "publish", Rule: "no-grant", ReasonCode: 0x87, ClientID: "d", MQTTClientID: "d:1",
		Remote: "192.0.2.1:4711", Topic: "a/b", Detail: "no grant covers it", Verified: true,
	}
	f.gate.refusals = map[string][]fleetapi.Refusal{"d": {refusal, {ClientID: "d", Kind: "connect"}}}
	list := decode[fleetapi.Page[fleetapi.Refusal]](f.do(http.MethodGet, "/v1/explain/last?client_id=d", nil).is(http.StatusOK))
	if len(list.Items) != 2 || list.Items[0] != refusal || list.Items[1].Verified {
		t.Errorf("the refusals are %+v", list.Items)
	}
	if a := f.do(http.MethodGet, "/v1/explain/last?client_id=e", nil).is(http.StatusOK); !strings.Contains(a.text, `"items":[]`) {
		t.Errorf("without refusals the answer is %s", a.text)
	}
	for _, query := range []string{"", "?client_id=", "?client_id=" + strings.Repeat("x", 257), "?client_id=d&limit=1"} {
		f.do(http.MethodGet, "/v1/explain/last"+query, nil).isProblem(http.StatusUnprocessableEntity, "invalid")
	}
	f.gate.broken = errors.New("out of memory")
	f.do(http.MethodGet, "/v1/explain/last?client_id=d", nil).isProblem(http.StatusInternalServerError, "internal")
}
