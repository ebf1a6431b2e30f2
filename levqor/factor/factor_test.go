package factor_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

func TestRecoveryCodesAreTenOf80Bits(t *testing.T) {
	b := newBench(t, nil)
	form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`)
	codes := b.codes(ada)
	if unique := slices.Compact(slices.Sorted(slices.Values(codes))); len(unique) != 10 {
		t.Errorf("there are %d codes, want 10", len(unique))
	}
	kept, err := b.store.RecoveryCodes(t.Context(), ada)
	if err != nil || len(kept) != 10 {
		t.Fatalf("RecoveryCodes = %d, %v; want 10", len(kept), err)
	}
	for i, code := range codes {
		if !form.MatchString(code) {
			t.Errorf("the code %q has another form", code)
		}
		if strings.Contains(string(kept[i]), code) || len(kept[i]) != 32 {
			t.Errorf("the store has %q of %q, want a hash", kept[i], code)
		}
	}
	_, err = b.ReplaceRecoveryCodes(t.Context(), 99)
	b.wantErr(err, factor.ErrNotFound, "there is no such user")
}

func TestARecoveryCodeCountsOnceHoweverItIsWritten(t *testing.T) {
	b := newBench(t, nil)
	codes := b.codes(ada)
	spellings := []func(string) string{
		func(c string) string { return c }, strings.ToLower,
		func(c string) string { return strings.ReplaceAll(c, "-", "") },
		func(c string) string { return " " + strings.ReplaceAll(c, "-", " ") },
		func(c string) string { return strings.ReplaceAll(c, "0", "o") },
		func(c string) string { return strings.ReplaceAll(c, "1", "l") },
		func(c string) string { return strings.ReplaceAll(c, "1", "I") },
	}
	for i, code := range codes {
		spelt := spellings[i%len(spellings)](code)
		if left, err := b.UseRecoveryCode(t.Context(), ada, spelt); err != nil || left != 9-i {
			t.Errorf("UseRecoveryCode(%q) = %d, %v; want %d left", spelt, left, err, 9-i)
		}
		_, err := b.UseRecoveryCode(t.Context(), ada, code)
		b.wantErr(err, factor.ErrWrongCode, "it has been used")
	}
	b.wantHeld(ada, factor.Held{})
}

func TestNoOtherTextIsARecoveryCode(t *testing.T) {
	b := newBench(t, nil)
	old := b.codes(ada)
	codes, others := b.codes(ada), b.codes(grace)
	for _, text := range []string{"", "-", codes[0][:18], codes[0] + "0", "UUUU-UUUU-UUUU-UUUU", strings.Repeat("0", 16), old[0], others[0], strings.Repeat("0", 1<<20)} {
		_, err := b.UseRecoveryCode(t.Context(), ada, text)
		b.wantErr(err, factor.ErrWrongCode, "it is not one of ada's")
	}
	b.wantHeld(ada, factor.Held{RecoveryCodes: 10})
	b.wantHeld(grace, factor.Held{RecoveryCodes: 10})
}

func TestRecoveryCodesAreGoodUnderOldKeysAndNoOthers(t *testing.T) {
	b := newBench(t, nil)
	codes := b.codes(ada)
	b.useRing("b", "a")
	if _, err := b.UseRecoveryCode(t.Context(), ada, codes[0]); err != nil {
		t.Errorf("UseRecoveryCode under an old key = %v", err)
	}
	b.useRing("b")
	_, err := b.UseRecoveryCode(t.Context(), ada, codes[1])
	b.wantErr(err, factor.ErrWrongCode, "the key is gone")
}

func TestOfCallersAtOnceOneUsesARecoveryCode(t *testing.T) {
	b := newBench(t, nil)
	code := b.codes(ada)[0]
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := b.UseRecoveryCode(t.Context(), ada, code); err == nil {
				in.Add(1)
			} else if !errors.Is(err, factor.ErrWrongCode) {
				t.Errorf("UseRecoveryCode = %v, want ErrWrongCode", err)
			}
		})
	}
	wg.Wait()
	if n := in.Load(); n != 1 {
		t.Errorf("%d callers were let in, want 1", n)
	}
}

func TestTheLastFactorStaysWhileOneIsRequired(t *testing.T) {
	required, boom := true, error(nil)
	b := newBench(t, &factor.Options{Required: func(_ context.Context, user identity.UserID) (bool, error) {
		return required && user == ada, boom
	}})
	b.enrol(ada)
	b.enrol(grace)
	b.codes(ada)
	addPasskey(b, ada, "p")
	for user, want := range map[identity.UserID]bool{ada: true, grace: false} {
		if got, err := b.Required(t.Context(), user); err != nil || got != want {
			t.Errorf("Required(%d) = %v, %v; want %v", user, got, err, want)
		}
	}
	if err := b.RemovePasskey(t.Context(), ada, []byte("p")); err != nil {
		t.Errorf("RemovePasskey = %v, want the one of two to go", err)
	}
	b.wantErr(b.RemoveTOTP(t.Context(), ada), factor.ErrFactorRequired, "it is the last")
	boom = errors.New("boom")
	b.wantErr(b.RemoveTOTP(t.Context(), ada), boom, "nobody knows whether it may go")
	b.wantErr(b.RemovePasskey(t.Context(), ada, []byte("p")), boom, "nobody knows whether it may go")
	b.wantHeld(ada, factor.Held{TOTP: true, RecoveryCodes: 10})
	required, boom = false, nil
	if err := b.RemoveTOTP(t.Context(), ada); err != nil {
		t.Errorf("RemoveTOTP = %v", err)
	}
	b.wantHeld(ada, factor.Held{})
	if err := b.RemoveTOTP(t.Context(), grace); err != nil {
		t.Errorf("RemoveTOTP = %v, want grace not to need one", err)
	}
}

func TestNobodyMustHaveAFactorByDefault(t *testing.T) {
	b := newBench(t, nil)
	b.enrol(ada)
	if err := b.RemoveTOTP(t.Context(), ada); err != nil {
		t.Errorf("RemoveTOTP = %v", err)
	}
	b.wantErr(b.RemoveTOTP(t.Context(), ada), factor.ErrNotFound, "it is gone")
}

func TestAResetRemovesEverythingAndTellsWhatItWas(t *testing.T) {
	b := newBench(t, &factor.Options{Required: func(context.Context, identity.UserID) (bool, error) { return true, nil }})
	secret := b.enrol(ada)
	b.codes(ada)
	addPasskey(b, ada, "p")
	pending, err := b.BeginTOTP(t.Context(), ada, "ada", "Engines")
	if err != nil {
		t.Fatal(err)
	}
	token, err := b.BeginCeremony(t.Context(), factor.Ceremony{User: ada, Purpose: factor.Registration, Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	want := factor.Held{TOTP: true, Passkeys: 1, RecoveryCodes: 10}
	if got, err := b.Reset(t.Context(), ada); err != nil || got != want || !got.Any() {
		t.Errorf("Reset = %+v, %v; want %+v", got, err, want)
	}
	b.wantHeld(ada, factor.Held{})
	b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(secret, 0)), factor.ErrNotFound, "it is gone")
	b.wantErr(b.ConfirmTOTP(t.Context(), ada, b.code(pending.Secret, 0)), factor.ErrNotFound, "what waited is gone")
	_, err = b.EndCeremony(t.Context(), token, factor.Registration)
	b.wantErr(err, factor.ErrCeremonyOver, "what had begun is gone")
}

func TestFactorsGoWithTheirUser(t *testing.T) {
	b := newBench(t, nil)
	b.enrol(ada)
	b.enrol(grace)
	if err := b.EraseUser(t.Context(), identity.User{ID: ada}); err != nil {
		t.Errorf("EraseUser = %v", err)
	}
	b.wantHeld(ada, factor.Held{})
	b.wantHeld(grace, factor.Held{TOTP: true})
}

func TestACeremonyCountsOnceForItsPurpose(t *testing.T) {
	b := newBench(t, nil)
	begin := func() string {
		token, err := b.BeginCeremony(t.Context(), factor.Ceremony{User: ada, Purpose: factor.Login, Data: []byte("data")})
		if err != nil {
			t.Fatalf("BeginCeremony = %v", err)
		}
		return token
	}
	token := begin()
	if got, err := b.EndCeremony(t.Context(), token, factor.Login); err != nil || got.User != ada || string(got.Data) != "data" || strings.Contains(string(got.Hash), token) {
		t.Errorf("EndCeremony = %+v, %v", got, err)
	}
	_, err := b.EndCeremony(t.Context(), token, factor.Login)
	b.wantErr(err, factor.ErrCeremonyOver, "it has been used")

	token = begin()
	for _, purpose := range []factor.CeremonyPurpose{factor.Registration, factor.Login} {
		_, err = b.EndCeremony(t.Context(), token, purpose)
		b.wantErr(err, factor.ErrCeremonyOver, "it was for something else, and is used up by that")
	}
	token = begin()
	b.now = b.now.Add(5 * time.Minute)
	_, err = b.EndCeremony(t.Context(), token, factor.Login)
	b.wantErr(err, factor.ErrCeremonyOver, "its time is over")
	_, err = b.BeginCeremony(t.Context(), factor.Ceremony{User: 99, Purpose: factor.Login, Data: []byte("x")})
	b.wantErr(err, factor.ErrNotFound, "there is no such user")
}

func TestPasskeysAreChecked(t *testing.T) {
	b := newBench(t, nil)
	addPasskey(b, ada, "p")
	for _, name := range []string{"", "a\nb", " a", "\xff", strings.Repeat("a", 101)} {
		_, err := b.AddPasskey(t.Context(), factor.Passkey{ID: []byte("q"), User: ada, Name: name})
		b.wantField(err, "/name")
		_, err = b.RenamePasskey(t.Context(), ada, []byte("p"), name)
		b.wantField(err, "/name")
	}
	for _, id := range []string{"", strings.Repeat("a", 1024)} {
		_, err := b.AddPasskey(t.Context(), factor.Passkey{ID: []byte(id), User: ada, Name: "x"})
		b.wantField(err, "/id")
	}
	if got, err := b.RenamePasskey(t.Context(), ada, []byte("p"), "My phone"); err != nil || got.Name != "My phone" {
		t.Errorf("RenamePasskey = %+v, %v", got, err)
	}
	if all, err := b.Passkeys(t.Context(), ada); err != nil || len(all) != 1 || all[0].Name != "My phone" {
		t.Errorf("Passkeys = %+v, %v", all, err)
	}
	_, err := b.RenamePasskey(t.Context(), grace, []byte("p"), "x")
	b.wantErr(err, factor.ErrNotFound, "it is ada's")
}

// What a caller gets is a copy: changing it changes nothing.
func TestTheStoreInMemoryKeepsItsOwn(t *testing.T) {
	b := newBench(t, nil)
	addPasskey(b, ada, "p")
	got, err := b.FindPasskey(t.Context(), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	got.PublicKey[0] = 'x'
	if again, err := b.FindPasskey(t.Context(), []byte("p")); err != nil || again.PublicKey[0] == 'x' {
		t.Errorf("FindPasskey = %+v, %v; want it unchanged", again, err)
	}
}

func addPasskey(b *bench, user identity.UserID, id string) {
	b.Helper()
	if _, err := b.AddPasskey(b.Context(), factor.Passkey{ID: []byte(id), User: user, Name: id, PublicKey: []byte("key")}); err != nil {
		b.Fatalf("AddPasskey = %v", err)
	}
}
