package webhooksig_test

import (
	"testing"
	"time"

	"github.com/levqor/sdk/internal/webhooksig"
)

// The specification's own example.
func TestTheVectorOfTheSpecificationIsSigned(t *testing.T) {
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	key, err := webhooksig.ParseKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	id, at, body := "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 999), []byte(`{"test": 2432232314}`)
	if got := key.Sign(id, at, body); got != want {
		t.Errorf("Sign = %s, want %s", got, want)
	}
	if !key.Signed("v1,AAAA "+want, id, at, body) || key.Signed(want, id, at.Add(time.Second), body) {
		t.Error("Signed is wrong about the signature, or about the time")
	}
}

// Everybody knows a public key, and no key at all: nothing may be signed by either.
func TestKeysWithoutASecretSignNothing(t *testing.T) {
	public, err := webhooksig.ParseKey("whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []webhooksig.Key{public, {}} {
		if got := key.Sign("m", time.Unix(0, 0), nil); got != "" || key.Signed("v1,", "m", time.Unix(0, 0), nil) {
			t.Errorf("Sign = %q", got)
		}
	}
}
