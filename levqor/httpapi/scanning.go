package httpapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// maxLeaks bounds the tokens of one report.
const maxLeaks = 100

// leak is a token that GitHub has found, as its secret scanning partner program
// reports it.
type leak struct {
	Token string `json:"token"`
	Type  string `json:"type"`
}

// verdict tells GitHub whether a token is real.
type verdict struct {
	Token string `json:"token_raw"`
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// scanGitHub takes a report of leaked tokens and revokes those that are ours.
func (s *server) scanGitHub(w http.ResponseWriter, r *http.Request) error {
	leaks, err := s.leaks(w, r)
	if err != nil {
		return err
	}
	verdicts := make([]verdict, len(leaks))
	for i, l := range leaks {
		label, err := s.revokeLeaked(r.Context(), l.Token)
		if err != nil {
			return err // GitHub reports again, and revoking again is harmless
		}
		verdicts[i] = verdict{Token: l.Token, Type: l.Type, Label: label}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(verdicts)
}

// revokeLeaked revokes the key of a token, if there is one, and returns GitHub's word
// for what the token was.
func (s *server) revokeLeaked(ctx context.Context, token string) (label string, err error) {
	var key identity.Key
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if key, err = s.app.Keys.With(tx.Keys).RevokeLeaked(ctx, token); err != nil {
			return err
		}
		return s.app.SecurityLog.With(tx.SecurityLog).Record(ctx, guard.Event{
			Tenant: key.Tenant, Action: guard.ActionKeyLeaked, Outcome: guard.OutcomeSuccess, Target: key.ID,
			RequestID: requestID(ctx), Detail: map[string]string{"reported_by": "github"},
		})
	})
	if errors.Is(err, identity.ErrUnauthenticated) {
		return "false_positive", nil
	}
	if err != nil {
		return "", err
	}
	s.opts.Logger.WarnContext(ctx, "httpapi: a leaked API key was revoked", slog.String("request_id", requestID(ctx)),
		slog.String("key_id", key.ID), slog.String("tenant", key.Tenant))
	return "true_positive", nil
}

// leaks reads a report that GitHub has signed.
func (s *server) leaks(w http.ResponseWriter, r *http.Request) ([]leak, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, fault.Invalid("", "incomplete", "could not be read to its end")
	}
	key := s.scanningKeys[r.Header.Get("Github-Public-Key-Identifier")]
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("Github-Public-Key-Signature"))
	sum := sha256.Sum256(raw)
	if err != nil || key == nil || !ecdsa.VerifyASN1(key, sum[:], signature) {
		return nil, &fault.Error{Kind: fault.ErrForbidden, Code: "invalid_signature", Detail: "The signature is not one of the keys of GitHub that this service knows."}
	}
	var leaks []leak
	if err := json.Unmarshal(raw, &leaks); err != nil {
		return nil, fault.Invalid("", "invalid_json", "must be an array of tokens")
	}
	if len(leaks) > maxLeaks {
		return nil, fault.Invalid("", "too_long", "must have at most "+count(maxLeaks, "element"))
	}
	return leaks, nil
}

// parseScanningKeys reads GitHub's public keys, by their identifiers.
func parseScanningKeys(pems map[string]string) (map[string]*ecdsa.PublicKey, error) {
	keys := map[string]*ecdsa.PublicKey{}
	for id, text := range pems {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("httpapi: secret scanning key %q is no PEM: %w", id, fault.ErrInvalid)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(*ecdsa.PublicKey)
		if err != nil || !ok || key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("httpapi: secret scanning key %q is no public key on P-256: %w", id, fault.ErrInvalid)
		}
		keys[id] = key
	}
	return keys, nil
}
