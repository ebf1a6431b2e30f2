package levqortest

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

var passkeyCases = map[string]func(*env){
	"everything about a passkey is kept": func(e *env) {
		e.user(7)
		want := factor.Passkey{
			ID: []byte("\x00\xff'?"), User: 7, Name: "it's ?", PublicKey: []byte{0, 1, 0xff}, SignCount: math.MaxUint32, AAGUID: [16]byte{1, 15: 0xff},
			Transports: []string{"internal", "hybrid"}, BackupEligible: true, BackedUp: true,
		}
		got, err := e.Factors.AddPasskey(e.ctx, want, t0)
		want.CreatedAt = t0
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Fatalf("AddPasskey = %v, %v; want %v", got, err, want)
		}
		if got, err := e.Factors.FindPasskey(e.ctx, want.ID); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindPasskey = %v, %v; want %v", got, err, want)
		}
	},
	"an ID is taken once, by whomever": func(e *env) {
		e.passkey(7, "p")
		e.user(8)
		for _, user := range []identity.UserID{7, 8} {
			_, err := e.Factors.AddPasskey(e.ctx, newPasskey(user, "p"), t0)
			e.wantErr(err, factor.ErrPasskeyTaken, "it is user 7's")
		}
		e.wantPasskeys(7, "p")
		e.wantPasskeys(8)
	},
	"a user has 20 at most, also if others are added at the same time": func(e *env) {
		for i := range factor.MaxPasskeys - 5 {
			e.passkey(7, fmt.Sprint("a", i))
		}
		var added atomic.Int32
		e.atOnce(10, func(i int) {
			if _, err := e.Factors.AddPasskey(e.ctx, newPasskey(7, fmt.Sprint("b", i)), time.Time{}); err == nil {
				added.Add(1)
			} else {
				e.wantErr(err, factor.ErrTooManyPasskeys, "there are 20")
			}
		})
		if n := added.Load(); n != 5 {
			e.Errorf("%d were added, want 5", n)
		}
		e.wantHeld(7, factor.Held{Passkeys: factor.MaxPasskeys})
		e.passkey(8, "c")
	},
	"a user's passkeys come in the order in which they were made": func(e *env) {
		e.user(7)
		for i, id := range []string{"z", "m", "n", "a"} {
			if _, err := e.Factors.AddPasskey(e.ctx, newPasskey(7, id), t0.Add(time.Duration(i/2)*time.Second)); err != nil {
				e.Fatalf("AddPasskey = %v", err)
			}
		}
		e.passkey(8, "x")
		e.wantPasskeys(7, "m", "z", "a", "n")
	},
	"a new name is kept": func(e *env) {
		e.passkey(7, "p")
		if got, err := e.Factors.RenamePasskey(e.ctx, 7, []byte("p"), "new"); err != nil || got.Name != "new" {
			e.Errorf("RenamePasskey = %v, %v", got, err)
		}
		if got, err := e.Factors.FindPasskey(e.ctx, []byte("p")); err != nil || got.Name != "new" {
			e.Errorf("FindPasskey = %v, %v; want the new name", got, err)
		}
	},
	"a use is kept": func(e *env) {
		e.passkey(7, "p")
		got, err := e.Factors.UsePasskey(e.ctx, 7, []byte("p"), factor.PasskeyUse{SignCount: math.MaxUint32, BackedUp: true}, t0.Add(time.Hour))
		if err != nil || got.SignCount != math.MaxUint32 || !got.BackedUp || !got.LastUsedAt.Equal(t0.Add(time.Hour)) {
			e.Errorf("UsePasskey = %v, %v", got, err)
		}
		if found, err := e.Factors.FindPasskey(e.ctx, []byte("p")); err != nil || fmt.Sprint(found) != fmt.Sprint(got) {
			e.Errorf("FindPasskey = %v, %v; want %v", found, err, got)
		}
	},
	"a sign count that does not grow is refused and changes nothing": func(e *env) {
		e.passkey(7, "p")
		for _, step := range []struct {
			count uint32
			want  error
		}{{0, nil}, {0, nil}, {5, nil}, {5, factor.ErrCloned}, {4, factor.ErrCloned}, {0, factor.ErrCloned}, {6, nil}} {
			_, err := e.Factors.UsePasskey(e.ctx, 7, []byte("p"), factor.PasskeyUse{SignCount: step.count}, t0)
			e.wantErr(err, step.want, fmt.Sprint("the sign count is ", step.count))
		}
		_, _ = e.Factors.UsePasskey(e.ctx, 7, []byte("p"), factor.PasskeyUse{SignCount: 6, BackedUp: true}, t0.Add(time.Hour))
		if got, err := e.Factors.FindPasskey(e.ctx, []byte("p")); err != nil || got.SignCount != 6 || got.BackedUp || !got.LastUsedAt.Equal(t0) {
			e.Errorf("FindPasskey = %v, %v; want it unchanged", got, err)
		}
	},
	"of callers at once with one sign count one is told nil": func(e *env) {
		e.passkey(7, "p")
		e.wantOne(20, factor.ErrCloned, func(int) error {
			_, err := e.Factors.UsePasskey(e.ctx, 7, []byte("p"), factor.PasskeyUse{SignCount: 1}, time.Time{})
			return err
		})
	},
	"another user's passkey is not found and left alone": func(e *env) {
		e.passkey(7, "p")
		e.user(8)
		_, find := e.Factors.FindPasskey(e.ctx, []byte("q"))
		_, rename := e.Factors.RenamePasskey(e.ctx, 8, []byte("p"), "new")
		_, use := e.Factors.UsePasskey(e.ctx, 8, []byte("p"), factor.PasskeyUse{SignCount: 1}, t0)
		for _, err := range []error{find, rename, use, e.Factors.RemovePasskey(e.ctx, 8, []byte("p"), 0)} {
			e.wantErr(err, factor.ErrNotFound, "it is user 7's")
		}
		if got, err := e.Factors.FindPasskey(e.ctx, []byte("p")); err != nil || got.Name != "p" || got.SignCount != 0 {
			e.Errorf("FindPasskey = %v, %v; want it unchanged", got, err)
		}
	},
}

var ceremonyCases = map[string]func(*env){
	"a ceremony is kept and taken once": func(e *env) {
		e.user(7)
		want := factor.Ceremony{Hash: []byte("\x00\xff"), User: 7, Purpose: factor.Registration, Data: []byte("{\"it's\": ?}\x00")}
		if err := e.Factors.AddCeremony(e.ctx, want, time.Minute, t0); err != nil {
			e.Fatalf("AddCeremony = %v", err)
		}
		got, err := e.Factors.TakeCeremony(e.ctx, want.Hash, t0)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("TakeCeremony = %v, %v; want %v", got, err, want)
		}
		_, err = e.Factors.TakeCeremony(e.ctx, want.Hash, t0)
		e.wantErr(err, factor.ErrNotFound, "it has been taken")
	},
	"a ceremony whose time is over is not found": func(e *env) {
		e.ceremony("a", 0)
		e.ceremony("b", 0)
		_, err := e.Factors.TakeCeremony(e.ctx, []byte("a"), t0.Add(time.Minute))
		e.wantErr(err, factor.ErrNotFound, "its time is over")
		if _, err := e.Factors.TakeCeremony(e.ctx, []byte("b"), t0.Add(time.Minute-time.Microsecond)); err != nil {
			e.Errorf("TakeCeremony = %v, want it in time", err)
		}
	},
	"of callers at once one gets it": func(e *env) {
		e.ceremony("a", 0)
		e.wantOne(20, factor.ErrNotFound, func(int) error {
			_, err := e.Factors.TakeCeremony(e.ctx, []byte("a"), t0)
			return err
		})
	},
	"those whose time is over are deleted up to the limit": func(e *env) {
		for _, hash := range []string{"a", "b", "c"} {
			e.ceremony(hash, 0)
		}
		if err := e.Factors.AddCeremony(e.ctx, factor.Ceremony{Hash: []byte("late"), Purpose: factor.Login, Data: []byte("x")}, time.Hour, t0); err != nil {
			e.Fatalf("AddCeremony = %v", err)
		}
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Factors.DeleteExpiredCeremonies(e.ctx, 2, t0.Add(time.Minute)); err != nil || n != want {
				e.Errorf("DeleteExpiredCeremonies = %d, %v; want %d", n, err, want)
			}
		}
		if _, err := e.Factors.TakeCeremony(e.ctx, []byte("late"), t0.Add(time.Minute)); err != nil {
			e.Errorf("TakeCeremony = %v, want it left", err)
		}
	},
}

func newPasskey(user identity.UserID, id string) factor.Passkey {
	return factor.Passkey{ID: []byte(id), User: user, Name: id, PublicKey: []byte("key")}
}

func (e *env) passkey(user identity.UserID, id string) {
	e.Helper()
	e.user(user)
	if _, err := e.Factors.AddPasskey(e.ctx, newPasskey(user, id), t0); err != nil {
		e.Fatalf("AddPasskey = %v", err)
	}
}

// ceremony begins one that lasts a minute.
func (e *env) ceremony(hash string, user identity.UserID) {
	e.Helper()
	err := e.Factors.AddCeremony(e.ctx, factor.Ceremony{Hash: []byte(hash), User: user, Purpose: factor.Login, Data: []byte("x")}, time.Minute, t0)
	if err != nil {
		e.Fatalf("AddCeremony = %v", err)
	}
}

func (e *env) wantPasskeys(user identity.UserID, want ...string) {
	e.Helper()
	passkeys, err := e.Factors.Passkeys(e.ctx, user)
	var got []string
	for _, p := range passkeys {
		got = append(got, string(p.ID))
	}
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		e.Errorf("Passkeys = %q, %v; want %q", got, err, want)
	}
}
