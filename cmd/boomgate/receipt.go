package main

import (
	"fmt"
	"strings"
)

// receipt tells what ended with a change of rights.
type receipt struct {
	SessionsClosed       int     `json:"sessions_closed"`
	SessionsRejudged     int     `json:"sessions_rejudged"`
	SubscriptionsDropped int     `json:"subscriptions_dropped"`
	QueuedDropped        int     `json:"queued_dropped"`
	WillsCancelled       int     `json:"wills_cancelled"`
	RetainedRemoved      int     `json:"retained_removed"`
	SecretsRemoved       int     `json:"secrets_removed"`
	TookMS               float64 `json:"took_ms"`
}

// String tells it as the rest of a sentence; nothing where nothing ended.
func (r receipt) String() string {
	var parts []string
	for _, part := range []struct {
		count int
		what  string
	}{
		{r.SessionsClosed, "sessions closed"},
		{r.SessionsRejudged, "sessions re-judged"},
		{r.SubscriptionsDropped, "subscriptions dropped"},
		{r.QueuedDropped, "queued messages dropped"},
		{r.WillsCancelled, "wills cancelled"},
		{r.RetainedRemoved, "retained messages removed"},
		{r.SecretsRemoved, "secrets removed"},
	} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s; %.1f ms)", strings.Join(parts, ", "), r.TookMS)
}
