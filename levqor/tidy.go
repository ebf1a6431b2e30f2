package levqor

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// What has had its time is deleted in batches that hold no lock for long.
const (
	tidyInterval = 10 * time.Minute
	tidyBatch    = 1000
)

// expiring returns what deletes rows that have had their time, by what they are.
func (a *App) expiring() map[string]func(ctx context.Context, limit int, now time.Time) (int, error) {
	return map[string]func(context.Context, int, time.Time) (int, error){
		"idempotency records":      a.stores.Idempotency.DeleteExpired,
		"rate limits":              a.stores.Rates.DeleteIdle,
		"sign-ins that were begun": a.stores.SSO.DeleteExpiredFlows,
		"login links":              a.stores.Links.DeleteExpiredLinks,
		"sessions":                 a.stores.Sessions.DeleteExpiredSessions,
		"security log":             a.SecurityLog.Tidy,
		"invitations":              a.stores.Invitations.DeleteExpiredInvitations,
		"undos of addresses":       a.stores.Directory.DeleteExpiredUndos,
		"ceremonies of passkeys":   a.stores.Factors.DeleteExpiredCeremonies,
	}
}

func (a *App) tidy(ctx context.Context) {
	for {
		wait := tidyInterval
		for what, deletes := range a.expiring() {
			n, err := deletes(ctx, tidyBatch, a.now())
			if err != nil && !errors.Is(err, context.Canceled) {
				a.opts.Logger.ErrorContext(ctx, "levqor: what has had its time was not deleted", slog.String("what", what), slog.Any("error", err))
			}
			if n == tidyBatch {
				wait = time.Millisecond
			}
		}
		if err := a.Directory.FinishDeletions(ctx); err != nil && !errors.Is(err, context.Canceled) {
			a.opts.Logger.ErrorContext(ctx, "levqor: deletions that were interrupted are not finished", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// usesInterval is how much later than a key's use its record may be.
const usesInterval = 5 * time.Second

func (a *App) recordUses(ctx context.Context) {
	tick := time.NewTicker(usesInterval)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true // the next process may not know the secret of a key that was just used
		case <-tick.C:
		}
		recording, stop := context.WithTimeout(context.WithoutCancel(ctx), usesInterval)
		if err := a.Keys.RecordUses(recording); err != nil {
			a.opts.Logger.WarnContext(ctx, "levqor: uses of API keys were not recorded", slog.Any("error", err))
		}
		stop()
	}
}
