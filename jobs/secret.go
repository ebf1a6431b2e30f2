package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
)

// SecretHolder is implemented by args that carry secrets, such as the token of
// a request to be made. The values are encrypted before the job is stored, are
// readable only by the handler, and show as "[secret]" everywhere else.
type SecretHolder interface {
	// Secrets returns pointers to the secret strings within the args, in an order
	// that depends on nothing but the args.
	Secrets() []*string
}

// Sealer encrypts and authenticates small secrets. AAD names the place that a
// value belongs to; a value moved to another place does not open.
type Sealer interface {
	// Seal returns plaintext in a form made of letters, digits, '-', '_' and '.'.
	Seal(plaintext, aad []byte) (string, error)
	// Open returns what Seal was given, or an ErrInvalid.
	Open(sealed string, aad []byte) ([]byte, error)
}

// sealedMark tells a sealed value in stored JSON, so that redact needs no key
// and no knowledge of the kind.
const sealedMark = "levqor-sealed:"

var sealedValue = regexp.MustCompile(`"` + sealedMark + `[A-Za-z0-9_.-]*"`)

// redact replaces every sealed value in the JSON text of a job.
func redact(args []byte) []byte {
	if !bytes.Contains(args, []byte(sealedMark)) {
		return args
	}
	return sealedValue.ReplaceAll(args, []byte(`"[secret]"`))
}

// sealArgs returns the JSON text of args as it is stored for the job id.
func sealArgs(s Sealer, kind string, id ID, args Args) ([]byte, error) {
	raw, err := marshal(args)
	if err != nil {
		return nil, invalid("", "not_json", "cannot be written as JSON")
	}
	if !holdsSecrets(args) {
		return raw, nil
	}
	// A copy made through JSON shares no slice or map with the caller's value.
	clone := reflect.New(reflect.TypeOf(args))
	if err := json.Unmarshal(raw, clone.Interface()); err != nil {
		return nil, invalid("", "not_json", "cannot be read back from JSON")
	}
	secrets := secretsOf(clone)
	if len(secrets) == 0 {
		return raw, nil
	}
	if s == nil {
		return nil, invalid("", "no_sealer", "holds a secret, and the registry has no Sealer")
	}
	for i, p := range secrets {
		sealed, err := s.Seal([]byte(*p), secretPlace(kind, id, i))
		if err != nil {
			return nil, fmt.Errorf("seal secret %d: %w", i, err)
		}
		*p = sealedMark + sealed
	}
	return marshal(clone.Interface())
}

// decodeArgs fills args, a pointer, from what is stored and opens its secrets.
func decodeArgs(s Sealer, info Info, args any) error {
	if err := json.Unmarshal(info.Args, args); err != nil || !isObject(info.Args) { // null decodes into anything
		return invalid("/args", "invalid_json", "cannot be decoded as the arguments of the kind")
	}
	for i, p := range secretsOf(reflect.ValueOf(args)) {
		if s == nil {
			return invalid("/args", "no_sealer", "holds a secret, and the registry has no Sealer")
		}
		if len(*p) < len(sealedMark) || (*p)[:len(sealedMark)] != sealedMark {
			return invalid("/args", "not_sealed", "holds a secret that was not sealed")
		}
		plain, err := s.Open((*p)[len(sealedMark):], secretPlace(info.Kind, info.ID, i))
		if err != nil {
			return fmt.Errorf("open secret %d: %w", i, err)
		}
		*p = string(plain)
	}
	return nil
}

func secretPlace(kind string, id ID, i int) []byte {
	return []byte("jobs|" + kind + "|" + id.String() + "|" + strconv.Itoa(i))
}

var secretHolder = reflect.TypeFor[SecretHolder]()

// holdsSecrets reports whether the type of args can carry secrets, by value or
// by pointer.
func holdsSecrets(args Args) bool {
	t := reflect.TypeOf(args)
	return t.Implements(secretHolder) || reflect.PointerTo(t).Implements(secretHolder)
}

// secretsOf returns the secrets of the value that ptr points to.
func secretsOf(ptr reflect.Value) []*string {
	if h, ok := ptr.Interface().(SecretHolder); ok {
		return h.Secrets()
	}
	if h, ok := ptr.Elem().Interface().(SecretHolder); ok {
		return h.Secrets()
	}
	return nil
}
