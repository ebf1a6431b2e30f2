package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/internal/webhooksig"
)

// WebhookTolerance is how far the clocks of a sender and a receiver may be apart. What was
// sent longer ago may be a copy that somebody sends again.
const WebhookTolerance = 5 * time.Minute

// MaxWebhook is how many bytes the body of a webhook has at most. The specification asks
// senders for less than 20 KB.
const MaxWebhook = 1 << 20

// WebhookOptions configure a [WebhookReceiver]. The zero value of each field means its
// default.
type WebhookOptions struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// WebhookReceiver tells the webhooks of a service from requests that anybody else sends,
// by the Standard Webhooks specification (https://www.standardwebhooks.com), which other
// services follow too. It is safe for concurrent use.
type WebhookReceiver struct {
	keys []webhooksig.Key
	now  func() time.Time
}

// Webhook is something that happened.
type Webhook struct {
	// ID is the same each time the webhook is sent. Keep it, and pass over what you have
	// seen: who got no answer sends it again.
	ID string
	// SentAt is when it was sent this time.
	SentAt time.Time
	// Type says what happened, such as "job.finished". Services other than Levqor may say it
	// elsewhere in the body; it is empty then.
	Type string
	// Timestamp is when it happened; zero if the sender does not say so as RFC 3339.
	Timestamp time.Time
	// Data is what it happened to; its form depends on the type. Nil if there is none.
	Data json.RawMessage
	// Body is the whole, as it was signed.
	Body []byte
}

// NewWebhookReceiver returns a receiver of webhooks that are signed by one of the keys of
// an endpoint: shared secrets (whsec_…) or public keys (whpk_…), both the new one and the
// old while they are replaced. Options may be nil. It returns ErrInvalid for a text that is
// no key, and for none.
func NewWebhookReceiver(keys []string, opts *WebhookOptions) (*WebhookReceiver, error) {
	w := &WebhookReceiver{now: time.Now} //nolint:forbidigo // the only clock there is
	if opts != nil && opts.Now != nil {
		w.now = opts.Now
	}
	if len(keys) == 0 {
		return nil, fault.Invalid("/keys", "required", "must hold a key")
	}
	for i, text := range keys {
		key, err := webhooksig.ParseKey(text)
		if err != nil {
			return nil, fault.Invalid(fmt.Sprintf("/keys/%d", i), "invalid_format", err.Error())
		}
		w.keys = append(w.keys, key)
	}
	return w, nil
}

// Receive reads a request and returns its webhook. Answer 2xx once you have kept it, within
// 15 seconds, and do the work later. Receive returns ErrUnauthenticated if nobody signed it
// who has a key or if it was sent more than [WebhookTolerance] before or after now, and
// ErrInvalid if it is more than [MaxWebhook] or no JSON object; answer those with 400 or 401.
// Any other error is that of the connection.
func (w *WebhookReceiver) Receive(r *http.Request) (Webhook, error) {
	if _, _, err := w.sent(r.Header); err != nil {
		return Webhook{}, err // nothing is read for who signs nothing
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxWebhook))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return Webhook{}, fault.Invalid("", "body_too_large", fmt.Sprintf("must have at most %d bytes", MaxWebhook))
	}
	if err != nil {
		return Webhook{}, fmt.Errorf("client: read webhook: %w", err)
	}
	return w.Verify(r.Header, body)
}

// Verify is [WebhookReceiver.Receive] for a body that was read already. It must be the very
// bytes that came: JSON that was parsed and written again is another text.
func (w *WebhookReceiver) Verify(header http.Header, body []byte) (Webhook, error) {
	id, at, err := w.sent(header)
	if err != nil {
		return Webhook{}, err
	}
	if !w.signed(header.Get(webhooksig.SignatureHeader), id, at, body) {
		return Webhook{}, unsigned("wrong_signature", "is not signed by a key of this receiver")
	}
	var event map[string]json.RawMessage
	if err := json.Unmarshal(body, &event); err != nil || event == nil {
		return Webhook{}, fault.Invalid("", "malformed_json", "must be a JSON object")
	}
	got := Webhook{ID: id, SentAt: at, Data: event["data"], Body: body}
	_ = json.Unmarshal(event["type"], &got.Type) // what is of another form is left empty
	_ = json.Unmarshal(event["timestamp"], &got.Timestamp)
	return got, nil
}

// sent returns which webhook it is and when it was sent.
func (w *WebhookReceiver) sent(header http.Header) (id string, at time.Time, err error) {
	id = header.Get(webhooksig.IDHeader)
	seconds, err := strconv.ParseInt(header.Get(webhooksig.TimestampHeader), 10, 64)
	if err != nil || id == "" {
		return "", time.Time{}, unsigned("no_signature", "must have the headers webhook-id, webhook-timestamp and webhook-signature")
	}
	at = time.Unix(seconds, 0).UTC()
	if now := w.now(); at.Before(now.Add(-WebhookTolerance)) || at.After(now.Add(WebhookTolerance)) {
		return "", time.Time{}, unsigned("wrong_time", "was sent too long before or after the time that it is here")
	}
	return id, at, nil
}

func (w *WebhookReceiver) signed(header, id string, at time.Time, body []byte) bool {
	for _, key := range w.keys {
		if key.Signed(header, id, at, body) {
			return true
		}
	}
	return false
}

func unsigned(code, detail string) error {
	return &fault.Error{Kind: ErrUnauthenticated, Code: code, Detail: detail}
}
