package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// receipt tells what ended with a change of rights.
type receipt struct{ provisioning.Receipt }

// String tells it as the rest of a sentence; nothing where nothing ended.
func (r receipt) String() string {
	var parts []string
	for _, part := range []struct {
		count int
		what  string
	}{
		{r.Sessions, "sessions closed"},
		{r.Rejudged, "sessions re-judged"},
		{r.Subscriptions, "subscriptions dropped"},
		{r.Queued, "queued messages dropped"},
		{r.Wills, "wills cancelled"},
		{r.Retained, "retained messages removed"},
		{r.Secrets, "secrets removed"},
	} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s; %.1f ms)", strings.Join(parts, ", "), float64(r.Took)/float64(time.Millisecond))
}

// printEnded prints a change and what ended with it, or the whole answer for a program.
func printEnded(a *app, format outputFormat, done string, answer apiAnswer) error {
	if format.machine() {
		return format.one(a.stdout, answer.body)
	}
	result, err := decode[struct {
		Receipt receipt `json:"receipt"`
	}](answer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s%s\n", done, result.Receipt)
	return err
}
