package fleetapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// Receipt says what a write ended.
type Receipt struct {
	Sessions      int     `json:"sessions_closed" example:"1" doc:"Live sessions that were closed."`
	Rejudged      int     `json:"sessions_rejudged" example:"0" doc:"Live sessions that go on and were held against the new rights."`
	Subscriptions int     `json:"subscriptions_dropped" example:"2" doc:"Subscriptions that ended."`
	Queued        int     `json:"queued_dropped" example:"0" doc:"Messages that waited for delivery and will not be delivered."`
	Wills         int     `json:"wills_cancelled" example:"0" doc:"Wills that will not be published."`
	Retained      int     `json:"retained_removed" example:"0" doc:"Retained messages that were removed."`
	Secrets       int     `json:"secrets_removed" example:"0" doc:"Secrets that are valid no more."`
	TookMS        float64 `json:"took_ms" example:"1.25" doc:"How long that took after the write, in milliseconds."`
}

func receiptOf(r provisioning.Receipt) Receipt {
	return Receipt{
		Sessions: r.Sessions, Rejudged: r.Rejudged, Subscriptions: r.Subscriptions, Queued: r.Queued,
		Wills: r.Wills, Retained: r.Retained, Secrets: r.Secrets,
		TookMS: float64(r.Took) / float64(time.Millisecond),
	}
}

// Keys of a receipt in the log: its names in JSON.
const (
	logSessions      = "sessions_closed"
	logRejudged      = "sessions_rejudged"
	logSubscriptions = "subscriptions_dropped"
	logQueued        = "queued_dropped"
	logWills         = "wills_cancelled"
	logRetained      = "retained_removed"
	logSecrets       = "secrets_removed"
	logTookMS        = "took_ms"
)

// LogValue shows the counts.
func (r Receipt) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int(logSessions, r.Sessions), slog.Int(logRejudged, r.Rejudged), slog.Int(logSubscriptions, r.Subscriptions),
		slog.Int(logQueued, r.Queued), slog.Int(logWills, r.Wills), slog.Int(logRetained, r.Retained),
		slog.Int(logSecrets, r.Secrets), slog.Float64(logTookMS, r.TookMS),
	)
}

// ended returns what a write ended, for its answer, and notes it for the log.
func ended(ctx context.Context, r provisioning.Receipt) Receipt {
	receipt := receiptOf(r)
	callOf(ctx).receipt = &receipt
	return receipt
}
