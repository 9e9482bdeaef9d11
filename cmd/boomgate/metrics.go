package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// Names of labels. Their values come from fixed sets; nothing that a client has chosen is among them.
const (
	labelKind    = "kind"
	labelRule    = "rule"
	labelAllowed = "allowed"
	labelReason  = "reason"
)

// metrics counts what the gate and the token endpoint decide, for GET /metrics.
type metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	published prometheus.Counter // the one of them that every message counts
	tokens    *prometheus.CounterVec
	changes   *prometheus.HistogramVec
}

// revocationBuckets are seconds; the promise is a tenth of one.
var revocationBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}

func newMetrics(sessions func() int) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boomgate_decisions_total", Help: "Decisions of the gate, by what was asked for and the rule that decided.",
		}, []string{labelKind, labelRule, labelAllowed}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boomgate_token_requests_total", Help: "Requests at the token endpoint; reason is issued, or why not.",
		}, []string{labelReason}),
		changes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boomgate_session_change_seconds", Help: "Time to close or re-judge the sessions that a change of rights concerned.",
			Buckets: revocationBuckets,
		}, []string{labelKind}),
	}
	m.published = m.decisions.WithLabelValues(string(authhook.KindPublish), authhook.RuleGranted, strconv.FormatBool(true))
	m.registry.MustRegister(
		m.decisions, m.tokens, m.changes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "boomgate_sessions", Help: "Connected MQTT sessions."},
			func() float64 { return float64(sessions()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func (m *metrics) seeDecision(e authhook.Event) {
	if e.Kind == authhook.KindPublish && e.Allowed {
		m.published.Inc()
		return
	}
	m.decisions.WithLabelValues(string(e.Kind), e.Rule, strconv.FormatBool(e.Allowed)).Inc()
}

// seeSessionChange notes how long it took to close or re-judge sessions.
func (m *metrics) seeSessionChange(kind string, took time.Duration) {
	m.changes.WithLabelValues(kind).Observe(took.Seconds())
}

func (m *metrics) seeToken(e oauth.Event) {
	reason := string(e.Reason)
	if e.Issued() {
		reason = "issued"
	}
	m.tokens.WithLabelValues(reason).Inc()
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
