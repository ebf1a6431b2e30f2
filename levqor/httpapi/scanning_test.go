package httpapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
)

// github signs reports as GitHub does.
type github struct{ key *ecdsa.PrivateKey }

func newGitHub(t *testing.T, curve elliptic.Curve) (g github, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return github{key}, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (g github) sign(t *testing.T, body string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	signature, err := ecdsa.SignASN1(rand.Reader, g.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// report sends a report under a key and returns the answer.
func (s *service) report(id, signature, body string) *http.Response {
	s.Helper()
	req := httptest.NewRequest("POST", "/api/v1/secret-scanning/github", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Github-Public-Key-Identifier", id)
	req.Header.Set("Github-Public-Key-Signature", signature)
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return rec.Result()
}

// The key, the signature and the report of GitHub's manual.
func TestAReportOfGitHubIsUnderstood(t *testing.T) {
	const (
		id        = "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d"
		public    = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP\nHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==\n-----END PUBLIC KEY-----"
		signature = "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY="
		body      = `[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]`
	)
	s := scanned(t, id, public)
	resp := s.report(id, signature, body)
	raw, _ := io.ReadAll(resp.Body)
	if want := `[{"token_raw":"some_token","token_type":"some_type","label":"false_positive"}]`; resp.StatusCode != 200 || strings.TrimSpace(string(raw)) != want {
		t.Errorf("the answer is %d %s, want %s", resp.StatusCode, raw, want)
	}
}

func TestLeakedKeysAreRevoked(t *testing.T) {
	g, public := newGitHub(t, elliptic.P256())
	s := scanned(t, "id", public)
	leaked, kept := s.key("acme", "*"), s.key("acme", "*")
	misspelt := kept[:len(kept)-1] + "!"
	body := fmt.Sprintf(`[{"token":%q,"type":"levqor","url":"https://github.com/x","source":"commit"},{"token":%q,"type":"levqor","more":{}},null]`, leaked, misspelt)
	for range 2 { // GitHub may report again
		resp := s.report("id", g.sign(t, body), body)
		var verdicts []map[string]string
		if err := json.NewDecoder(resp.Body).Decode(&verdicts); err != nil || resp.StatusCode != 200 || len(verdicts) != 3 ||
			verdicts[0]["token_raw"] != leaked || verdicts[0]["label"] != "true_positive" || verdicts[1]["label"] != "false_positive" || verdicts[1]["token_type"] != "levqor" {
			t.Errorf("the answer is %d %v, %v", resp.StatusCode, verdicts, err)
		}
	}
	for token, want := range map[string]int{leaked: 401, kept: 200} {
		if resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: token}); resp.StatusCode != want {
			t.Errorf("a key gives %d, want %d", resp.StatusCode, want)
		}
	}
	if !strings.Contains(s.log.String(), "key_"+leaked[9:31]) || strings.Contains(s.log.String(), leaked[31:63]) {
		t.Errorf("the log is %s, want the key's ID without its secret", s.log)
	}
}

func TestReportsThatGitHubDidNotSignRevokeNothing(t *testing.T) {
	g, public := newGitHub(t, elliptic.P256())
	stranger, _ := newGitHub(t, elliptic.P256())
	s := scanned(t, "id", public)
	token := s.key("acme", "*")
	body := fmt.Sprintf(`[{"token":%q,"type":"levqor"}]`, token)
	for what, resp := range map[string]*http.Response{
		"of a stranger":        s.report("id", stranger.sign(t, body), body),
		"of an unknown key":    s.report("other", g.sign(t, body), body),
		"of another body":      s.report("id", g.sign(t, body+" "), body),
		"that is no base64":    s.report("id", "!", body),
		"that is missing":      s.report("", "", body),
		"that is no signature": s.report("id", "AAAA", body),
	} {
		if got := decode[client.Problem](t, resp); resp.StatusCode != 403 || got.Code != client.ProblemCodeForbidden {
			t.Errorf("a signature %s gives %d %+v", what, resp.StatusCode, got)
		}
	}
	if resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: token}); resp.StatusCode != 200 {
		t.Errorf("the key gives %d", resp.StatusCode)
	}
}

func TestReportsAreBounded(t *testing.T) {
	g, public := newGitHub(t, elliptic.P256())
	s := scanned(t, "id", public)
	for body, want := range map[string]int{
		"[" + strings.Repeat(`{"token":"x"},`, 99) + `{"token":"x"}]`:  200,
		"[" + strings.Repeat(`{"token":"x"},`, 100) + `{"token":"x"}]`: 400,
		`{"token":"x"}`:                        400,
		"":                                     400,
		"[]":                                   200,
		"[" + strings.Repeat(" ", 1<<20) + "]": 413,
	} {
		if resp := s.report("id", g.sign(t, body), body); resp.StatusCode != want {
			t.Errorf("%.40s… gives %d, want %d", body, resp.StatusCode, want)
		}
	}
}

func TestWithoutKeysOfGitHubThereIsNoRoute(t *testing.T) {
	s := newService(t)
	if resp := s.report("id", "", "[]"); resp.StatusCode != 404 {
		t.Errorf("the answer is %d, want 404", resp.StatusCode)
	}
}

// awayKeys are keys whose store can go away.
type awayKeys struct {
	identity.KeyStore
	away bool
}

func (a *awayKeys) FindKey(ctx context.Context, id string, now time.Time) (identity.Key, time.Time, error) {
	if a.away {
		return identity.Key{}, time.Time{}, identity.ErrUnavailable
	}
	return a.KeyStore.FindKey(ctx, id, now)
}

func TestAReportIsRefusedWhileTheStoreIsAway(t *testing.T) {
	g, public := newGitHub(t, elliptic.P256())
	stores := levqor.MemStores()
	away := &awayKeys{KeyStore: stores.Keys}
	stores.Keys = away
	inTx := stores.Tx
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return inTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
			tx.Keys = away
			return fn(ctx, tx)
		})
	}
	s := newServiceOn(t, stores)
	handler, err := httpapi.New(s.app, &httpapi.Options{Logger: slog.New(slog.DiscardHandler), SecretScanningKeys: map[string]string{"id": public}})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	body := fmt.Sprintf(`[{"token":%q,"type":"levqor"}]`, s.key("acme", "*"))
	away.away = true
	if resp := s.report("id", g.sign(t, body), body); resp.StatusCode != 503 {
		t.Errorf("the answer is %d, want 503 so that GitHub comes again", resp.StatusCode)
	}
}

func TestNewRefusesKeysOfGitHubThatAreNone(t *testing.T) {
	_, p384 := newGitHub(t, elliptic.P384())
	s := newService(t)
	for _, public := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", p384} {
		if _, err := httpapi.New(s.app, &httpapi.Options{SecretScanningKeys: map[string]string{"id": public}}); !errors.Is(err, levqor.ErrInvalid) {
			t.Errorf("New = %v, want ErrInvalid", err)
		}
	}
}
