package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// Service creates a client that may do what these scopes say, and without scopes something that
// does not matter: a client without any gets no token.
func (s *Server) Service(id string, scopes ...string) Credential {
	s.tb.Helper()
	return s.Provision("services", Grants(id, scopes...))
}

// Grants is the body that creates a client with topic scopes.
func Grants(id string, scopes ...string) map[string]any {
	if len(scopes) == 0 {
		scopes = []string{"pub:{client_id}/nothing"}
	}
	return map[string]any{"id": id, "grants": []any{map[string]any{"audience": "boomgate:mqtt", "scopes": scopes}}}
}

// Provision creates a client over the fleet API.
func (s *Server) Provision(kind string, body map[string]any) Credential {
	s.tb.Helper()
	var c Credential
	status, answer := s.Fleet(http.MethodPost, "/v1/"+kind, body)
	if status != http.StatusCreated {
		s.tb.Fatalf("creating %v: %d %s", body["id"], status, answer)
	}
	Must(s.tb, json.Unmarshal(answer, &c))
	return c
}

// Change makes a change over the fleet API that has to succeed, and returns the answer.
func (s *Server) Change(method, path string, body any) []byte {
	s.tb.Helper()
	status, answer := s.Fleet(method, path, body)
	if status/100 != 2 {
		s.tb.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// Fleet calls the fleet API as the operator root.
func (s *Server) Fleet(method, path string, body any) (status int, answer []byte) {
	s.tb.Helper()
	return s.FleetAs(s.OperatorToken(), method, path, body)
}

// FleetAs asks the fleet API with this token.
func (s *Server) FleetAs(bearer, method, path string, body any) (status int, answer []byte) {
	s.tb.Helper()
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		Must(s.tb, err)
		text = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(s.tb.Context(), method, s.HTTP+path, text)
	Must(s.tb, err)
	req.Header.Set("Authorization", "Bearer "+bearer)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.web().Do(req)
	Must(s.tb, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	Must(s.tb, err)
	return resp.StatusCode, answer
}

// Receipt is what taking rights away has ended.
type Receipt struct {
	Sessions      int `json:"sessions_closed"`
	Subscriptions int `json:"subscriptions_dropped"`
	Queued        int `json:"queued_dropped"`
	Rejudged      int `json:"sessions_rejudged"`
	Wills         int `json:"wills_cancelled"`
	Retained      int `json:"retained_removed"`
	Secrets       int `json:"secrets_removed"`
}

// Disable disables a service and returns the receipt.
func (s *Server) Disable(id string) Receipt {
	s.tb.Helper()
	return ReadReceipt(s.tb, s.Change(http.MethodPost, "/v1/services/"+id+"/disable", nil))
}

// ReadReceipt reads the receipt in an answer of the fleet API.
func ReadReceipt(tb testing.TB, answer []byte) Receipt {
	tb.Helper()
	var body struct {
		Receipt Receipt `json:"receipt"`
	}
	Must(tb, json.Unmarshal(answer, &body))
	return body.Receipt
}

// LiveSession is a session as the fleet API lists it.
type LiveSession struct {
	ID            string `json:"id"`
	ClientID      string `json:"client_id"`
	Protocol      string `json:"protocol"`
	Listener      string `json:"listener"`
	Subscriptions int    `json:"subscriptions"`
}

// Sessions lists the live sessions of a client.
func (s *Server) Sessions(clientID string) []LiveSession {
	s.tb.Helper()
	var page struct {
		Items []LiveSession `json:"items"`
	}
	Must(s.tb, json.Unmarshal(s.Change(http.MethodGet, "/v1/sessions?client_id="+clientID, nil), &page))
	return page.Items
}

// OperatorToken is a token of the root operator for the fleet API.
func (s *Server) OperatorToken() string {
	s.tb.Helper()
	return s.Token(s.rootCredential(), "audience", "boomgate:fleet")
}
