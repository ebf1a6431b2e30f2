package e2e_test

import (
	"fmt"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/levqor/sdk/client"
)

// What the specification's own library signs is received, and nothing that it refuses.
func TestWhatTheReferenceLibrarySignsIsReceived(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	sender, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := client.NewWebhookReceiver([]string{secret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{"{}", `{"type":"job.finished","timestamp":"2026-11-20T10:00:00Z","data":{"id":"job_1"}}`, `{"data":"é\u2028"}`} {
		for late, want := range map[time.Duration]bool{0: true, 4 * time.Minute: true, -4 * time.Minute: true, 6 * time.Minute: false, -6 * time.Minute: false} {
			id, at := fmt.Sprint("msg_", i), time.Now().Add(-late)
			signature, err := sender.Sign(id, at, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			header := map[string][]string{"Webhook-Id": {id}, "Webhook-Timestamp": {fmt.Sprint(at.Unix())}, "Webhook-Signature": {signature}}
			if _, err := receiver.Verify(header, []byte(body)); (err == nil) != want {
				t.Errorf("%s, sent %v ago: Verify = %v, want it received: %v", body, late, err, want)
			}
			if err := sender.Verify([]byte(body), header); (err == nil) != want {
				t.Errorf("%s, sent %v ago: the library says %v, want it received: %v", body, late, err, want)
			}
		}
	}
}
