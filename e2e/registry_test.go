package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// service creates a client that may do what these scopes say, and without scopes something that
// does not matter: a client without any gets no token.
func (s *server) service(id string, scopes ...string) credential {
	s.tb.Helper()
	return s.provision("services", grants(id, scopes...))
}

// grants is the body that creates a client with topic scopes.
func grants(id string, scopes ...string) map[string]any {
	if len(scopes) == 0 {
		scopes = []string{"pub:{client_id}/nothing"}
	}
	return map[string]any{"id": id, "grants": []any{map[string]any{"audience": "boomgate:mqtt", "scopes": scopes}}}
}

// provision creates a client over the fleet API.
func (s *server) provision(kind string, body map[string]any) credential {
	s.tb.Helper()
	var c credential
	status, answer := s.fleet(http.MethodPost, "/v1/"+kind, body)
	if status != http.StatusCreated {
		s.tb.Fatalf("creating %v: %d %s", body["id"], status, answer)
	}
	must(s.tb, json.Unmarshal(answer, &c))
	return c
}

// change makes a change over the fleet API that has to succeed, and returns the answer.
func (s *server) change(method, path string, body any) []byte {
	s.tb.Helper()
	status, answer := s.fleet(method, path, body)
	if status/100 != 2 {
		s.tb.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// fleet calls the fleet API as the operator root.
func (s *server) fleet(method, path string, body any) (status int, answer []byte) {
	s.tb.Helper()
	return s.fleetAs(s.operatorToken(), method, path, body)
}

func (s *server) fleetAs(bearer, method, path string, body any) (status int, answer []byte) {
	s.tb.Helper()
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		must(s.tb, err)
		text = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(s.tb.Context(), method, s.http+path, text)
	must(s.tb, err)
	req.Header.Set("Authorization", "Bearer "+bearer)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	must(s.tb, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	must(s.tb, err)
	return resp.StatusCode, answer
}

// receipt is what taking rights away has ended.
type receipt struct {
	Sessions      int `json:"sessions_closed"`
	Subscriptions int `json:"subscriptions_dropped"`
	Queued        int `json:"queued_dropped"`
}

// disable disables a service and returns the receipt.
func (s *server) disable(id string) receipt {
	s.tb.Helper()
	return readReceipt(s.tb, s.change(http.MethodPost, "/v1/services/"+id+"/disable", nil))
}

func readReceipt(tb testing.TB, answer []byte) receipt {
	tb.Helper()
	var body struct {
		Receipt receipt `json:"receipt"`
	}
	must(tb, json.Unmarshal(answer, &body))
	return body.Receipt
}

// liveSession is a session as the fleet API lists it.
type liveSession struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Protocol string `json:"protocol"`
	Listener string `json:"listener"`
}

// sessions lists the live sessions of a client.
func (s *server) sessions(clientID string) []liveSession {
	s.tb.Helper()
	var page struct {
		Items []liveSession `json:"items"`
	}
	must(s.tb, json.Unmarshal(s.change(http.MethodGet, "/v1/sessions?client_id="+clientID, nil), &page))
	return page.Items
}
