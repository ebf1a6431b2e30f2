package levqor_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/levqor/sdk/levqor"
)

func ring(t *testing.T, secrets ...string) *levqor.KeyRing {
	t.Helper()
	var all [][]byte
	for _, s := range secrets {
		all = append(all, bytes.Repeat([]byte(s), 32))
	}
	r, err := levqor.NewKeyRing(all...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSecretsHaveNamesThatTellNothing(t *testing.T) {
	names := ring(t, "a", "b").Names()
	if len(names) != 2 || names[0] == names[1] || !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(names[0]) || names[1] != ring(t, "b").Names()[0] {
		t.Errorf("Names = %v", names)
	}
}

func TestSealedValuesOpenInTheirPlaceAlone(t *testing.T) {
	s := ring(t, "a").Sealer()
	sealed, err := s.Seal([]byte("hunter2"), []byte("here"))
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_.-]+$`).MatchString(sealed) {
		t.Fatalf("Seal = %q, %v", sealed, err)
	}
	if got, err := s.Open(sealed, []byte("here")); err != nil || string(got) != "hunter2" {
		t.Errorf("Open = %q, %v", got, err)
	}
	if again, _ := s.Seal([]byte("hunter2"), []byte("here")); again == sealed {
		t.Error("sealing twice gives the same text")
	}
	if _, err := s.Open(sealed, []byte("there")); !errors.Is(err, levqor.ErrInvalid) {
		t.Errorf("Open elsewhere = %v, want ErrInvalid", err)
	}
	for i := range sealed {
		broken := []byte(sealed)
		broken[i] = 'A' + (broken[i]+1)%26
		if string(broken) == sealed {
			continue
		}
		if got, err := s.Open(string(broken), []byte("here")); err == nil && i < len(sealed)-1 {
			t.Errorf("Open with character %d changed = %q", i, got)
		}
	}
	for _, s2 := range []string{"", "x", "!!!!", sealed[:20]} {
		if _, err := s.Open(s2, []byte("here")); !errors.Is(err, levqor.ErrInvalid) {
			t.Errorf("Open(%q) = %v, want ErrInvalid", s2, err)
		}
	}
}

func TestSecretsCanBeReplaced(t *testing.T) {
	before, after, other := ring(t, "a"), ring(t, "b", "a"), ring(t, "b")
	sealed, err := before.Sealer().Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Sealer().Open(sealed, nil); err != nil || string(got) != "x" {
		t.Errorf("Open with the old secret second = %q, %v", got, err)
	}
	if _, err := other.Sealer().Open(sealed, nil); !errors.Is(err, levqor.ErrInvalid) {
		t.Errorf("Open without the old secret = %v, want ErrInvalid", err)
	}
	sum := before.MAC("p", []byte("x"))
	if !after.Verify("p", sum, []byte("x")) || other.Verify("p", sum, []byte("x")) {
		t.Error("Verify does not go by the secrets of the ring")
	}
	if !bytes.Equal(after.MAC("p", []byte("x")), other.MAC("p", []byte("x"))) {
		t.Error("MAC does not use the first secret")
	}
}

func TestMACTellsPurposesAndPartsApart(t *testing.T) {
	r := ring(t, "a")
	sum := r.MAC("p", []byte("ab"), []byte("c"))
	if r.Verify("q", sum, []byte("ab"), []byte("c")) {
		t.Error("another purpose has the same MAC")
	}
	if r.Verify("p", sum, []byte("a"), []byte("bc")) || r.Verify("p", sum, []byte("abc")) {
		t.Error("parts cut elsewhere have the same MAC")
	}
	if !r.Verify("p", sum, []byte("ab"), []byte("c")) {
		t.Error("the MAC does not verify")
	}
}

func ExampleNewKeyRing() {
	keys, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	sum := keys.MAC("invitation", []byte("ada@example.com"))
	fmt.Println(keys.Verify("invitation", sum, []byte("ada@example.com")), keys.Verify("reset", sum, []byte("ada@example.com")))
	// Output: true false
}
