package webauthnfactor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator is one in software, with one key of ES256, and the browser around it. Its
// fields are what a test can get wrong.
type authenticator struct {
	t      *testing.T
	origin string
	rpID   string
	id     []byte
	key    *ecdsa.PrivateKey
	user   []byte
	count  uint32
	flags  byte
	// challenge replaces that of the options.
	challenge string
}

// The flags of WebAuthn, section 6.1.
const (
	userPresent    = 1 << 0
	userVerified   = 1 << 2
	backupEligible = 1 << 3
	backedUp       = 1 << 4
	attested       = 1 << 6
)

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &authenticator{t: t, origin: "https://app.example.com", rpID: "example.com", id: id, key: key, flags: userPresent | userVerified | backupEligible}
}

// options are what a browser is told.
type options struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	Timeout   int    `json:"timeout"`
	RP        struct{ ID, Name string }
	User      struct{ ID, Name, DisplayName string }
	Params    []struct {
		Alg int `json:"alg"`
	} `json:"pubKeyCredParams"`
	Exclude []struct {
		ID string `json:"id"`
	} `json:"excludeCredentials"`
	Allow []struct {
		ID         string   `json:"id"`
		Transports []string `json:"transports"`
	} `json:"allowCredentials"`
	Selection struct {
		ResidentKey      string `json:"residentKey"`
		UserVerification string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	UserVerification string `json:"userVerification"`
	Attestation      string `json:"attestation"`
}

func (a *authenticator) read(raw []byte) options {
	a.t.Helper()
	var o options
	if err := json.Unmarshal(raw, &o); err != nil {
		a.t.Fatalf("the options %s: %v", raw, err)
	}
	return o
}

// create answers the options of a registration.
func (a *authenticator) create(raw []byte) []byte {
	a.t.Helper()
	o := a.read(raw)
	user, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	a.user = user
	data := a.data(attested)
	data = append(data, make([]byte, 15)...)
	data = append(data, 0xaa) // the AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(data, a.id...)
	data = append(data, a.publicKey()...)
	object := a.cbor(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	return a.answer(map[string]any{
		"clientDataJSON": a.clientData("webauthn.create", o), "attestationObject": b64(object),
		"transports": []string{"internal", "hybrid", "made up by the client"},
	})
}

// get answers the options of a login.
func (a *authenticator) get(raw []byte) []byte {
	a.t.Helper()
	clientData := a.clientData("webauthn.get", a.read(raw))
	text, err := base64.RawURLEncoding.DecodeString(clientData)
	if err != nil {
		a.t.Fatal(err)
	}
	data, hash := a.data(0), sha256.Sum256(text)
	digest := sha256.Sum256(append(data, hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]any{
		"clientDataJSON": clientData, "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(a.user),
	})
}

// data returns the authenticator data without what is attested.
func (a *authenticator) data(flags byte) []byte {
	hash := sha256.Sum256([]byte(a.rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], a.flags|flags), a.count)
}

// publicKey returns the key as a COSE_Key (RFC 9053, section 7.1.1).
func (a *authenticator) publicKey() []byte {
	a.t.Helper()
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	return a.cbor(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
}

func (a *authenticator) clientData(ceremony string, o options) string {
	challenge := o.Challenge
	if a.challenge != "" {
		challenge = a.challenge
	}
	return b64(a.json(map[string]any{"type": ceremony, "challenge": challenge, "origin": a.origin, "crossOrigin": false}))
}

func (a *authenticator) answer(response map[string]any) []byte {
	return a.json(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
}

func (a *authenticator) cbor(v any) []byte {
	a.t.Helper()
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := mode.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

func (a *authenticator) json(v any) []byte {
	a.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
