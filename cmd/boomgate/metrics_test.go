package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

func TestTheMetricsCountDecisionsAndNameNoClient(t *testing.T) {
	t.Parallel()

	m := newMetrics(func() int { return 7 })
	m.seeDecision(authhook.Event{Kind: authhook.KindPublish, Rule: "no-grant", ClientID: "meter-1", Topic: "secret/topic"})
	m.seeDecision(authhook.Event{Kind: authhook.KindPublish, Rule: "no-grant", ClientID: "meter-2"})
	m.seeToken(oauth.Event{Status: 200, ClientID: "meter-1"})
	m.seeSessionChange("closed", 3*time.Millisecond)

	answer := httptest.NewRecorder()
	m.handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := answer.Body.String()
	for _, want := range []string{
		`boomgate_decisions_total{allowed="false",kind="publish",rule="no-grant"} 2`,
		`boomgate_token_requests_total{reason="issued"} 1`,
		`boomgate_session_change_seconds_bucket{kind="closed",le="0.005"} 1`,
		"boomgate_sessions 7\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics do not say %s", want)
		}
	}
	for _, secret := range []string{"meter-1", "secret/topic"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics name %s", secret)
		}
	}
}
