package bunlevqor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
)

// A user is told of a change of their factors by the transaction that makes it: both are kept,
// or neither.
func TestAChangeOfFactorsAndItsMailAreKeptOrUndoneTogether(t *testing.T) {
	onLogins(t, func(t *testing.T, db *bun.DB, app *levqor.App, _ mailbox) {
		ada := addUser(t, app, "ada@example.com")
		want := func(held factor.Held, mails int) {
			t.Helper()
			var queued int
			if err := db.NewRaw("SELECT count(*) FROM levqor_jobs_live WHERE kind = 'levqor.factor_mail'").Scan(t.Context(), &queued); err != nil {
				t.Fatal(err)
			}
			if got, err := app.Factors.Has(t.Context(), ada.ID); err != nil || got != held || queued != mails {
				t.Errorf("Has = %+v, %v, and %d mails; want %+v and %d", got, err, queued, held, mails)
			}
		}
		confirm := func(factors *factor.Factors) {
			t.Helper()
			enrolment, err := factors.BeginTOTP(t.Context(), ada.ID, "x", "y")
			if err != nil {
				t.Fatal(err)
			}
			code, err := factor.TOTPCode(enrolment.Secret, time.Now())
			if err == nil {
				err = factors.ConfirmTOTP(t.Context(), ada.ID, code)
			}
			if err != nil {
				t.Fatalf("ConfirmTOTP = %v", err)
			}
		}
		boom := errors.New("boom")
		err := app.InTx(t.Context(), func(_ context.Context, tx levqor.Stores) error {
			confirm(app.Factors.With(tx.Factors))
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("InTx = %v, want %v", err, boom)
		}
		want(factor.Held{}, 0)
		err = app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
			confirm(app.Factors.With(tx.Factors))
			if err := tx.Factors.RemovePasskey(ctx, ada.ID, []byte("none"), 0); !errors.Is(err, factor.ErrNotFound) {
				t.Errorf("RemovePasskey = %v, want ErrNotFound", err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("InTx = %v", err)
		}
		want(factor.Held{TOTP: true}, 1)
		if _, err := db.NewRaw("ALTER TABLE levqor_jobs_live RENAME TO gone").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Factors.Reset(t.Context(), ada.ID); err == nil {
			t.Error("factors are reset though nobody can be told")
		}
		if _, err := db.NewRaw("ALTER TABLE gone RENAME TO levqor_jobs_live").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(factor.Held{TOTP: true}, 1)
	})
}
