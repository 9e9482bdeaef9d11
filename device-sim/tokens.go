package devicesim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// token is an access token and how long to use it. It is never logged.
type token struct {
	text    string
	renewAt time.Time // real; zero: its end is unknown
}

// usable tells whether a connection may still be opened with the token.
func (t token) usable(now time.Time) bool {
	return t.text != "" && (t.renewAt.IsZero() || now.Before(t.renewAt))
}

// A token is renewed after this share of its life, drawn anew each time so that sensors which began together do not stay together.
const (
	earliestRenewal = 0.75
	latestRenewal   = 0.85
	// soonestRenewal keeps an endpoint that gives out tokens of no life from being asked without end.
	soonestRenewal = 500 * time.Millisecond
)

// setback is a failed attempt. Its cause is one of few fixed texts; err says more, and holds no secret.
type setback struct {
	cause string
	err   error // may be nil
}

// Causes of events.
const (
	causeCredential   = "the token endpoint refuses the credential"
	causeEndpoint     = "no token from the token endpoint"
	causeUnreachable  = "the broker cannot be reached"
	causeIdentifier   = "the broker refuses the client ID (CONNACK 2)"
	causeUnavailable  = "the broker is unavailable (CONNACK 3)"
	causeToken        = "the broker refuses the token (CONNACK 4)"
	causeNotAllowed   = "the broker refuses the client (CONNACK 5)"
	causeBroken       = "the connection broke"
	causeSilent       = "the broker does not answer"
	causeSubscription = "the broker refuses the subscription to commands"
	causeRebooting    = "the sensor reboots"
	causeOutOfReach   = "the sensor is out of reach"
)

func (s *setback) Error() string {
	if s.err == nil {
		return s.cause
	}
	return s.cause + ": " + s.err.Error()
}

func (s *setback) Unwrap() error { return s.err }

// refusal tells whether somebody has decided against the sensor, rather than failed to answer.
func (s *setback) refusal() bool {
	switch s.cause {
	case causeCredential, causeToken, causeNotAllowed, causeIdentifier:
		return true
	default:
		return false
	}
}

// newTokenSource sets up the client credentials grant of one sensor.
func newTokenSource(c *Config, credential Credential) *clientcredentials.Config {
	return &clientcredentials.Config{
		ClientID:       credential.ClientID,
		ClientSecret:   credential.ClientSecret,
		TokenURL:       c.TokenURL,
		EndpointParams: url.Values{"audience": {c.Audience}},
		AuthStyle:      oauth2.AuthStyleInHeader, // fixed: finding it out would double every refused request
	}
}

// fetchToken asks the token endpoint for a fresh token. Errors are setbacks, or the context's.
func (s *sensor) fetchToken(ctx context.Context) (token, error) {
	s.fleet.counts.tokenRequests.Add(1)
	asked := s.fleet.cfg.Now()
	answer, err := s.tokens.Token(context.WithValue(ctx, oauth2.HTTPClient, s.fleet.http))
	if ctx.Err() != nil {
		return token{}, fmt.Errorf("fetching a token: %w", ctx.Err())
	}
	if err != nil {
		return token{}, tokenSetback(err)
	}
	fresh := token{text: answer.AccessToken}
	if !answer.Expiry.IsZero() {
		life := time.Until(answer.Expiry)
		share := earliestRenewal + (latestRenewal-earliestRenewal)*s.rand.Float64()
		fresh.renewAt = asked.Add(max(time.Duration(share*float64(life)), soonestRenewal))
	}
	return fresh, nil
}

// tokenSetback sorts an error of the token endpoint. Of an answer it keeps the status alone: the rest is the server's text.
func tokenSetback(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return &setback{cause: causeEndpoint, err: err}
	}
	status := answer.Response.StatusCode
	told := fmt.Errorf("status %d", status)
	temporary := status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
	if status >= 400 && status < 500 && !temporary {
		return &setback{cause: causeCredential, err: told}
	}
	return &setback{cause: causeEndpoint, err: told}
}

// newHTTPClient makes the client that all sensors share for the token endpoint. It follows no redirect: a credential goes where it
// was meant to go.
func newHTTPClient(c *Config) *http.Client {
	return &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:       c.TLS.Clone(),
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
			IdleConnTimeout:       30 * time.Second,
			MaxIdleConns:          c.Concurrency,
			MaxIdleConnsPerHost:   c.Concurrency,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
