package harness

import "net/http"

// Upgrade asks for a WebSocket with these headers, and returns the status.
func (s *Server) Upgrade(header map[string]string) int {
	s.tb.Helper()
	req, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.HTTP+"/mqtt", nil)
	Must(s.tb, err)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "mqtt",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	} {
		req.Header.Set(name, value)
	}
	for name, value := range header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	Must(s.tb, err)
	Must(s.tb, resp.Body.Close())
	return resp.StatusCode
}
