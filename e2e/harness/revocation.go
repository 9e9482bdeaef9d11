package harness

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// End makes a change over the fleet API that takes something away, and returns the receipt.
func (s *Server) End(method, path string, body any) Receipt {
	s.tb.Helper()
	return ReadReceipt(s.tb, s.Change(method, path, body))
}

// Revoke revokes the tokens that have these facts over the fleet API, and returns the receipt.
func (s *Server) Revoke(facts Claims) Receipt {
	s.tb.Helper()
	return s.End(http.MethodPost, "/v1/revocations", facts)
}

// FreshToken is a token that is issued in a later second than this one: a revocation counts all those of its second among the
// earlier ones.
func (s *Server) FreshToken(c Credential, extra ...string) string {
	s.tb.Helper()
	begun, token := time.Now().Unix(), ""
	Eventually(s.tb, "the next second has come", func() bool {
		token = s.Token(c, extra...)
		return IssuedAt(s.tb, token) > begun
	})
	return token
}

// IssuedAt is a token's iat.
func IssuedAt(tb testing.TB, token string) int64 {
	tb.Helper()
	var claims struct {
		IssuedAt int64 `json:"iat"`
	}
	_, payload := Forger{tb: tb}.Open(token)
	Must(tb, json.Unmarshal([]byte(payload), &claims))
	return claims.IssuedAt
}

// Secrets are the IDs of a client's secrets, oldest first.
func (s *Server) Secrets(kind, id string) []string {
	s.tb.Helper()
	var client struct {
		Secrets []struct {
			ID string `json:"id"`
		} `json:"secrets"`
	}
	Must(s.tb, json.Unmarshal(s.Change(http.MethodGet, "/v1/"+kind+"/"+id, nil), &client))
	ids := make([]string, 0, len(client.Secrets))
	for _, secret := range client.Secrets {
		ids = append(ids, secret.ID)
	}
	return ids
}

// Role creates a role with these scopes at the broker.
func (s *Server) Role(id string, limits map[string]int, scopes ...string) {
	s.tb.Helper()
	body := Grants(id, scopes...)
	if limits != nil {
		body["limits"] = limits
	}
	s.Change(http.MethodPost, "/v1/roles", body)
}

// Holding creates a service that has a role, and nothing of its own.
func (s *Server) Holding(role, id string) Credential {
	s.tb.Helper()
	return s.Provision("services", map[string]any{"id": id, "roles": []string{role}})
}

// Rights is the body that changes what a client or a role holds at the broker.
func Rights(scopes ...string) map[string]any {
	return map[string]any{"grants": Grants("", scopes...)["grants"]}
}
