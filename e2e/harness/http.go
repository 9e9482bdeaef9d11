package harness

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// Answer is an answer over HTTP.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Form is the type of a form's body.
const Form = "application/x-www-form-urlencoded"

// Ask sends a request over HTTP as it is written, and returns the answer. A redirect is not followed.
func (s *Server) Ask(method, path string, header http.Header, body string) Answer {
	s.tb.Helper()
	req, err := http.NewRequestWithContext(s.tb.Context(), method, s.HTTP+path, strings.NewReader(body))
	Must(s.tb, err)
	maps.Copy(req.Header, header)
	resp, err := s.web().Transport.RoundTrip(req)
	Must(s.tb, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	Must(s.tb, err)
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// AskToken asks for a token with a form; further fields are name, value pairs, and replace those of a good request.
func (s *Server) AskToken(c Credential, extra ...string) Answer {
	s.tb.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	return s.Ask(http.MethodPost, "/oauth/token", http.Header{"Content-Type": {Form}}, form.Encode())
}

// Try runs a command of the program that may fail, and returns what it prints and its exit code.
func (s *Server) Try(args ...string) (output string, code int) {
	s.tb.Helper()
	res := s.run(args...)
	return res.stdout + res.stderr, res.code
}
