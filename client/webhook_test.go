package client_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/webhooksig"
)

const (
	webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	webhookID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	webhookBody   = `{"type":"job.finished","timestamp":"2026-11-20T10:00:00Z","data":{"id":"job_1"}}`
)

var webhookAt = time.Unix(1614265330, 0)

func receiver(t *testing.T, now time.Time, keys ...string) *client.WebhookReceiver {
	t.Helper()
	w, err := client.NewWebhookReceiver(keys, &client.WebhookOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func headers(id, seconds, signature string) http.Header {
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {seconds}, "Webhook-Signature": {signature}}
}

// sign signs as a sender does.
func sign(t *testing.T, secret, id string, at time.Time, body string) string {
	t.Helper()
	key, err := webhooksig.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key.Sign(id, at, []byte(body))
}

// The specification's own example.
func TestTheVectorOfTheSpecificationIsReceived(t *testing.T) {
	body := []byte(`{"test": 2432232314}`)
	header := headers(webhookID, "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	got, err := receiver(t, webhookAt, webhookSecret).Verify(header, body)
	if err != nil || got.ID != webhookID || !got.SentAt.Equal(webhookAt) || !bytes.Equal(got.Body, body) {
		t.Errorf("Verify = %+v, %v", got, err)
	}
}

func TestAWebhookIsReceivedFromARequest(t *testing.T) {
	r := httptest.NewRequest("POST", "/hooks", strings.NewReader(webhookBody))
	r.Header = headers(webhookID, "1614265330", sign(t, webhookSecret, webhookID, webhookAt, webhookBody))
	got, err := receiver(t, webhookAt, webhookSecret).Receive(r)
	if err != nil || got.Type != "job.finished" || !got.Timestamp.Equal(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)) || string(got.Data) != `{"id":"job_1"}` {
		t.Errorf("Receive = %+v, %v", got, err)
	}
}

func TestWhatNobodySignedIsRefused(t *testing.T) {
	good := sign(t, webhookSecret, webhookID, webhookAt, webhookBody)
	const seconds = "1614265330"
	flipped := "v1," + map[bool]string{true: "B", false: "A"}[good[3] == 'A'] + good[4:]
	for name, c := range map[string]struct {
		header http.Header
		body   string
	}{
		"no headers":                   {nil, webhookBody},
		"no ID":                        {headers("", seconds, good), webhookBody},
		"no time":                      {headers(webhookID, "", good), webhookBody},
		"a time that is no number":     {headers(webhookID, "0x60380b32", good), webhookBody},
		"no signature":                 {headers(webhookID, seconds, ""), webhookBody},
		"another ID":                   {headers("msg_other", seconds, good), webhookBody},
		"another time":                 {headers(webhookID, "1614265331", good), webhookBody},
		"another body":                 {headers(webhookID, seconds, good), webhookBody + " "},
		"a signature that is cut":      {headers(webhookID, seconds, good[:len(good)-4]), webhookBody},
		"a signature that is changed":  {headers(webhookID, seconds, flipped), webhookBody},
		"another version":              {headers(webhookID, seconds, strings.Replace(good, "v1,", "v2,", 1)), webhookBody},
		"a public key's version":       {headers(webhookID, seconds, strings.Replace(good, "v1,", "v1a,", 1)), webhookBody},
		"an empty signature":           {headers(webhookID, seconds, "v1,"), webhookBody},
		"another secret":               {headers(webhookID, seconds, sign(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 24)), webhookID, webhookAt, webhookBody)), webhookBody},
		"the right one after too many": {headers(webhookID, seconds, strings.Repeat("v1,AAAA ", webhooksig.MaxSignatures)+good), webhookBody},
	} {
		if _, err := receiver(t, webhookAt, webhookSecret).Verify(c.header, []byte(c.body)); !errors.Is(err, client.ErrUnauthenticated) {
			t.Errorf("%s: Verify = %v, want ErrUnauthenticated", name, err)
		}
	}
}

func TestWhatWasSentTooLongAgoIsRefused(t *testing.T) {
	header := headers(webhookID, "1614265330", sign(t, webhookSecret, webhookID, webhookAt, webhookBody))
	for late, want := range map[time.Duration]error{
		0: nil, client.WebhookTolerance: nil, -client.WebhookTolerance: nil,
		client.WebhookTolerance + time.Second: client.ErrUnauthenticated, -client.WebhookTolerance - time.Second: client.ErrUnauthenticated,
	} {
		if _, err := receiver(t, webhookAt.Add(late), webhookSecret).Verify(header, []byte(webhookBody)); !errors.Is(err, want) {
			t.Errorf("%v after it was sent: Verify = %v, want %v", late, err, want)
		}
	}
}

// While a key is replaced, a sender signs with both, and a receiver has either or both.
func TestKeysAreReplacedWithoutAGap(t *testing.T) {
	next := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("n"), 64))
	both := sign(t, next, webhookID, webhookAt, webhookBody) + " " + sign(t, webhookSecret, webhookID, webhookAt, webhookBody)
	for _, keys := range [][]string{{webhookSecret}, {next}, {next, webhookSecret}} {
		if _, err := receiver(t, webhookAt, keys...).Verify(headers(webhookID, "1614265330", both), []byte(webhookBody)); err != nil {
			t.Errorf("Verify with %d keys = %v", len(keys), err)
		}
	}
}

func TestPublicKeysCheckSignatures(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte("s"), ed25519.SeedSize))
	public := "whpk_" + base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	content := webhookID + "." + strconv.FormatInt(webhookAt.Unix(), 10) + "." + webhookBody
	signature := "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(content)))
	w := receiver(t, webhookAt, public)
	if _, err := w.Verify(headers(webhookID, "1614265330", signature), []byte(webhookBody)); err != nil {
		t.Errorf("Verify = %v", err)
	}
	// Whoever knows the public key must not be able to sign by it.
	secret := "whsec_" + strings.TrimPrefix(public, "whpk_")
	forged := sign(t, secret, webhookID, webhookAt, webhookBody)
	for _, s := range []string{forged, strings.Replace(forged, "v1,", "v1a,", 1), "v1a,"} {
		if _, err := w.Verify(headers(webhookID, "1614265330", s), []byte(webhookBody)); !errors.Is(err, client.ErrUnauthenticated) {
			t.Errorf("Verify of %q = %v, want ErrUnauthenticated", s, err)
		}
	}
}

func TestTextsThatAreNoKeysAreRefusedUnrepeated(t *testing.T) {
	for _, text := range []string{
		"", "hunter2", "whsec_", "whsec_hunter2", "whpk_hunter2", "whsk_" + strings.Repeat("A", 44),
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)), "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)),
		"whpk_" + base64.StdEncoding.EncodeToString(make([]byte, 31)),
	} {
		_, err := client.NewWebhookReceiver([]string{webhookSecret, text}, nil)
		if !errors.Is(err, client.ErrInvalid) || !strings.HasPrefix(fmt.Sprint(err), "/keys/1: ") || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("NewWebhookReceiver(%q) = %v", text, err)
		}
	}
	if _, err := client.NewWebhookReceiver(nil, nil); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("NewWebhookReceiver without a key = %v, want ErrInvalid", err)
	}
}

func TestWhatIsSignedAndNoEventIsInvalid(t *testing.T) {
	long := strings.Repeat(" ", client.MaxWebhook) + "{}"
	for _, body := range []string{"", "null", "[]", `"x"`, "{}{}", long} {
		r := httptest.NewRequest("POST", "/hooks", strings.NewReader(body))
		r.Header = headers(webhookID, "1614265330", sign(t, webhookSecret, webhookID, webhookAt, body))
		if _, err := receiver(t, webhookAt, webhookSecret).Receive(r); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("Receive of %.20q = %v, want ErrInvalid", body, err)
		}
	}
}

// Others follow the specification too, and say less, or say it in another form.
func TestWebhooksOfOtherServicesAreReceived(t *testing.T) {
	for body, want := range map[string]string{
		"{}": "|0001|", `{"type":"user.created","timestamp":1716883200,"data":{}}`: "user.created|0001|{}",
		`{"type":7,"timestamp":"2026-11-20T10:00:00+02:00","data":null}`: "|2026|null",
	} {
		header := headers(webhookID, "1614265330", sign(t, webhookSecret, webhookID, webhookAt, body))
		got, err := receiver(t, webhookAt, webhookSecret).Verify(header, []byte(body))
		if said := fmt.Sprintf("%s|%04d|%s", got.Type, got.Timestamp.Year(), got.Data); err != nil || said != want || string(got.Body) != body {
			t.Errorf("Verify of %s = %q, %v; want %q", body, said, err, want)
		}
	}
}

func TestAReceiverShowsNoKey(t *testing.T) {
	w := receiver(t, webhookAt, webhookSecret)
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(webhookSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, shown := range []string{fmt.Sprintf(form, w), fmt.Sprintf(form, *w)} {
			for _, secret := range []string{webhookSecret, string(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprintf("%d", secret), "[]"), strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}")} {
				if strings.Contains(shown, secret) {
					t.Errorf("%s shows the key: %s", form, shown)
				}
			}
		}
	}
}

func ExampleNewWebhookReceiver() {
	webhooks, err := client.NewWebhookReceiver([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, nil)
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, err := webhooks.Receive(r)
		if err != nil {
			http.Error(w, "not a webhook of ours", http.StatusUnauthorized)
			return
		}
		fmt.Println(event.Type)
	}))
	defer server.Close()
	resp, err := http.Post(server.URL, "application/json", strings.NewReader("{}")) // by somebody else
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 401
}
