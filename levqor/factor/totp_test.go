package factor_test

import (
	"encoding/base32"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// The vectors of RFC 4226, appendix D, whose counter is a step, and of RFC 6238, appendix
// B, whose codes have two digits more in front.
func TestCodesAreThoseOfTheRFCs(t *testing.T) {
	secret := base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))
	want := map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	}
	for counter, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		want[int64(counter)*30] = code
	}
	for at, want := range want {
		if got, err := factor.TOTPCode(secret, time.Unix(at, 0)); err != nil || got != want {
			t.Errorf("TOTPCode at %d = %q, %v; want %q", at, got, err, want)
		}
	}
	if _, err := factor.TOTPCode("not base32!", time.Unix(0, 0)); !errors.Is(err, factor.ErrInvalid) {
		t.Errorf("TOTPCode of no secret = %v, want ErrInvalid", err)
	}
}

func TestAnEnrolmentIsForTypingAndForAQRCode(t *testing.T) {
	b := newBench(t, nil)
	enrolment, err := b.BeginTOTP(t.Context(), ada, "ada+1@example.com", "Ada & Söhne")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base32.StdEncoding.DecodeString(enrolment.Secret)
	if err != nil || len(raw) != 20 {
		t.Errorf("the secret is %d bytes, %v; want 20", len(raw), err)
	}
	u, err := url.Parse(enrolment.URI)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Ada & Söhne:ada+1@example.com" || strings.Contains(enrolment.URI, "+") {
		t.Errorf("the URI is %q, %v", enrolment.URI, err)
	}
	want := url.Values{"secret": {enrolment.Secret}, "issuer": {"Ada & Söhne"}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	if got := u.Query(); !reflect.DeepEqual(got, want) {
		t.Errorf("the URI says %v, want %v", got, want)
	}
	other, err := b.BeginTOTP(t.Context(), ada, "ada@example.com", "Engines")
	if err != nil || other.Secret == enrolment.Secret {
		t.Errorf("the next secret is %q, %v; want another one", other.Secret, err)
	}
}

func TestLabelsOfAppsAreChecked(t *testing.T) {
	b := newBench(t, nil)
	for _, bad := range []string{"", "a:b", "a\nb", " a", "\xff"} {
		_, err := b.BeginTOTP(t.Context(), ada, bad, "Engines")
		b.wantField(err, "/account")
		_, err = b.BeginTOTP(t.Context(), ada, "ada", bad)
		b.wantField(err, "/issuer")
	}
	_, err := b.BeginTOTP(t.Context(), ada, "ada", strings.Repeat("a", 101))
	b.wantField(err, "/issuer")
	_, err = b.BeginTOTP(t.Context(), 99, "ada", "Engines")
	b.wantErr(err, factor.ErrNotFound, "there is no such user")
}

func TestALongNameOfAnAccountIsCutAtACharacter(t *testing.T) {
	b := newBench(t, nil)
	for name, want := range map[string]string{
		strings.Repeat("a", 100):                       strings.Repeat("a", 100),
		strings.Repeat("a", 200) + "@example.com":      strings.Repeat("a", 100),
		"a" + strings.Repeat("ü", 60) + "@example.com": "a" + strings.Repeat("ü", 49),
		strings.Repeat("a", 99) + " b":                 strings.Repeat("a", 99),
	} {
		enrolment, err := b.BeginTOTP(t.Context(), ada, name, "Engines")
		if err != nil {
			t.Errorf("BeginTOTP for %q = %v", name, err)
			continue
		}
		if u, err := url.Parse(enrolment.URI); err != nil || u.Path != "/Engines:"+want {
			t.Errorf("the URI is %q, %v; want the account %q", enrolment.URI, err, want)
		}
	}
}

func TestASecretComesIntoUseByItsFirstCode(t *testing.T) {
	b := newBench(t, nil)
	b.wantErr(b.ConfirmTOTP(t.Context(), ada, "000000"), factor.ErrNotFound, "nothing waits")
	enrolment, err := b.BeginTOTP(t.Context(), ada, "ada", "Engines")
	if err != nil {
		t.Fatal(err)
	}
	b.wantErr(b.ConfirmTOTP(t.Context(), ada, "12345"), factor.ErrWrongCode, "it is no code")
	b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)), factor.ErrNotFound, "the secret only waits")
	b.wantHeld(ada, factor.Held{})
	if err := b.ConfirmTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)); err != nil {
		t.Errorf("ConfirmTOTP = %v", err)
	}
	b.wantHeld(ada, factor.Held{TOTP: true})
	b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)), factor.ErrReplayed, "it was used to confirm")
	b.wantErr(b.ConfirmTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)), factor.ErrNotFound, "nothing waits any more")
	b.now = b.now.Add(30 * time.Second)
	if err := b.VerifyTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)); err != nil {
		t.Errorf("VerifyTOTP of the next code = %v", err)
	}
}

func TestASecretIsShownOnceMoreWhileItWaits(t *testing.T) {
	b := newBench(t, nil)
	_, err := b.PendingTOTP(t.Context(), ada, "ada", "Engines")
	b.wantErr(err, factor.ErrNotFound, "nothing waits")
	made, err := b.BeginTOTP(t.Context(), ada, "ada", "Engines")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := b.PendingTOTP(t.Context(), ada, "ada", "Engines"); err != nil || got != made {
			t.Errorf("PendingTOTP = %v, %v; want what BeginTOTP has made", got, err)
		}
	}
	for _, bad := range []string{"", "a:b", "a\nb", " a", "\xff"} {
		_, err := b.PendingTOTP(t.Context(), ada, bad, "Engines")
		b.wantField(err, "/account")
		_, err = b.PendingTOTP(t.Context(), ada, "ada", bad)
		b.wantField(err, "/issuer")
	}
	_, err = b.PendingTOTP(t.Context(), grace, "grace", "Engines")
	b.wantErr(err, factor.ErrNotFound, "it waits for ada")
	_, err = b.PendingTOTP(t.Context(), 99, "nobody", "Engines")
	b.wantErr(err, factor.ErrNotFound, "there is no such user")
	b.now = b.now.Add(factor.PendingTTL)
	_, err = b.PendingTOTP(t.Context(), ada, "ada", "Engines")
	b.wantErr(err, factor.ErrNotFound, "its time is over")
	b.enrol(ada)
	_, err = b.PendingTOTP(t.Context(), ada, "ada", "Engines")
	b.wantErr(err, factor.ErrNotFound, "it is in use")
}

func TestASecretWaitsForAQuarterOfAnHour(t *testing.T) {
	b := newBench(t, nil)
	enrolment, err := b.BeginTOTP(t.Context(), ada, "ada", "Engines")
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(factor.PendingTTL)
	b.wantErr(b.ConfirmTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)), factor.ErrNotFound, "its time is over")
}

func TestANewPhoneTakesThePlaceOfTheOld(t *testing.T) {
	b := newBench(t, nil)
	old := b.enrol(ada)
	enrolment, err := b.BeginTOTP(t.Context(), ada, "ada", "Engines")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.VerifyTOTP(t.Context(), ada, b.code(old, 0)), b.ConfirmTOTP(t.Context(), ada, b.code(enrolment.Secret, 0))); err != nil {
		t.Errorf("the old one verifies, the new one is confirmed: %v", err)
	}
	b.now = b.now.Add(time.Minute)
	b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(old, 0)), factor.ErrWrongCode, "it is not in use any more")
	if err := b.VerifyTOTP(t.Context(), ada, b.code(enrolment.Secret, 0)); err != nil {
		t.Errorf("VerifyTOTP of the new one = %v", err)
	}
}

func TestCodesOfTheStepsBesideCountToo(t *testing.T) {
	for offset, want := range map[time.Duration]error{
		-60 * time.Second: factor.ErrWrongCode, -30 * time.Second: nil, 0: nil, 30 * time.Second: nil, 60 * time.Second: factor.ErrWrongCode,
	} {
		b := newBench(t, nil)
		secret := b.enrol(ada)
		b.now = b.now.Add(time.Hour)
		b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(secret, offset)), want, offset.String())
	}
}

func TestACodeCountsOnceAndNoneBeforeIt(t *testing.T) {
	b := newBench(t, nil)
	secret := b.enrol(ada)
	before, code := b.code(secret, -30*time.Second), b.code(secret, 0)
	if err := b.VerifyTOTP(t.Context(), ada, code[:3]+" "+code[3:]); err != nil {
		t.Errorf("VerifyTOTP = %v, want the code as apps show it accepted", err)
	}
	replayed := b.VerifyTOTP(t.Context(), ada, code)
	b.wantErr(replayed, factor.ErrReplayed, "it has been used")
	b.wantErr(b.VerifyTOTP(t.Context(), ada, before), factor.ErrReplayed, "a later one has been used")
	wrong := b.VerifyTOTP(t.Context(), ada, "12345x")
	if errors.Is(wrong, factor.ErrReplayed) {
		t.Errorf("a wrong code is %v, want no ErrReplayed", wrong)
	}
	if a, b := fault.All(replayed), fault.All(wrong); !reflect.DeepEqual(a, b) || len(a) != 1 || a[0].Code != "wrong_code" {
		t.Errorf("a caller is told %v of a used code and %v of a wrong one, want the same", a, b)
	}
}

func TestOf100CallersAtOnceWithOneCodeOneIsLetIn(t *testing.T) {
	b := newBench(t, nil)
	code := b.code(b.enrol(ada), 0)
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := b.VerifyTOTP(t.Context(), ada, code); err == nil {
				in.Add(1)
			} else if !errors.Is(err, factor.ErrReplayed) {
				t.Errorf("VerifyTOTP = %v, want ErrReplayed", err)
			}
		})
	}
	wg.Wait()
	if n := in.Load(); n != 1 {
		t.Errorf("%d callers were let in, want 1", n)
	}
}

func TestNoOtherTextIsACode(t *testing.T) {
	b := newBench(t, nil)
	code := b.code(b.enrol(ada), 0)
	for _, text := range []string{"", " ", code[:5], code + "0", "0" + code, "-" + code[1:], "+" + code, "٠٠٠٠٠٠", "\x00", strings.Repeat("0", 1<<20)} {
		b.wantErr(b.VerifyTOTP(t.Context(), ada, text), factor.ErrWrongCode, "it is not the code")
	}
	b.wantErr(b.VerifyTOTP(t.Context(), grace, code), factor.ErrNotFound, "grace has no app")
}

func TestASecretOpensInItsPlaceAndUnderItsKeysAlone(t *testing.T) {
	b := newBench(t, nil)
	secret := b.enrol(ada)
	kept, _, err := b.store.FindTOTP(t.Context(), ada, b.now)
	if err != nil || strings.Contains(kept.Secret, secret) {
		t.Errorf("the store has %+v, %v; want the secret sealed", kept, err)
	}
	if err := b.store.PutPendingTOTP(t.Context(), grace, kept.Secret, time.Hour, b.now); err != nil {
		t.Fatal(err)
	}
	b.wantErr(b.ConfirmTOTP(t.Context(), grace, b.code(secret, 0)), factor.ErrUnavailable, "it is sealed for ada")

	b.useRing("b", "a")
	if err := b.VerifyTOTP(t.Context(), ada, b.code(secret, 0)); err != nil {
		t.Errorf("VerifyTOTP under an old key = %v", err)
	}
	b.useRing("b")
	b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(secret, 30*time.Second)), factor.ErrUnavailable, "the key is gone")
}

func TestGuessesAreSlowedDown(t *testing.T) {
	b := newBench(t, &factor.Options{Throttle: &fiveInARow{map[identity.UserID]int{}}})
	secret, codes := b.enrol(ada), b.codes(ada)
	for range 4 {
		b.wantErr(b.VerifyTOTP(t.Context(), ada, "x"), factor.ErrWrongCode, "it is wrong")
	}
	if err := b.VerifyTOTP(t.Context(), ada, b.code(secret, 0)); err != nil {
		t.Errorf("VerifyTOTP = %v, want a right code to be let in", err)
	}
	for range 5 {
		b.wantErr(b.VerifyTOTP(t.Context(), ada, "x"), factor.ErrWrongCode, "the right code ended the row")
	}
	b.wantErr(b.VerifyTOTP(t.Context(), ada, b.code(secret, 30*time.Second)), factor.ErrLimit, "there were five wrong ones in a row")
	if _, err := b.UseRecoveryCode(t.Context(), ada, codes[0]); err != nil {
		t.Errorf("UseRecoveryCode = %v, want guesses not to keep the owner out", err)
	}
}
