package httpjobs

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/egress"
)

// Result is the answer.
type Result struct {
	// Status is the HTTP status, such as 200.
	Status int `json:"status"`
	// Headers are those of the answer, ordered by name. Values of one name stand
	// in the order in which they came.
	Headers []ResultHeader `json:"headers"`
	// Body is the answer's body, at most [MaxBody] bytes of it, unpacked from no
	// Content-Encoding.
	Body string `json:"body"`
	// BodyEncoding says how Body is written: [Text], or [Base64] for a body that
	// is not UTF-8 or holds a NUL.
	BodyEncoding string `json:"body_encoding"`
	// Truncated says that the answer's body was longer.
	Truncated bool `json:"truncated"`
}

// ResultHeader is one header field of an answer.
type ResultHeader struct {
	// Name is the canonical name, such as "Content-Type".
	Name string `json:"name"`
	// Value is one of its values. That of Set-Cookie is "[secret]", and so is
	// each secret of the request that the value repeats.
	Value string `json:"value"`
}

func readResult(resp *http.Response, hide mask) (Result, error) {
	// What is read beyond the limit shows whether a secret begins before it.
	raw, more, err := egress.ReadBody(resp.Body, MaxBody+maxMasked)
	if err != nil {
		return Result{}, err
	}
	body := hide.replace(string(raw))
	if more {
		body = body[:max(0, len(body)-maxMasked)] // may end within a secret
	}
	truncated := more || len(body) > MaxBody
	if truncated {
		body = wholeRunes(body[:min(len(body), MaxBody)])
	}
	result := Result{Status: resp.StatusCode, Headers: headersOf(resp.Header, hide), Body: body, BodyEncoding: Text, Truncated: truncated}
	if !utf8.ValidString(body) || strings.ContainsRune(body, 0) {
		result.Body, result.BodyEncoding = base64.StdEncoding.EncodeToString([]byte(body)), Base64
	}
	return result, nil
}

// wholeRunes cuts off the beginning of a rune at the end of text, so that
// cutting a text off does not make it something else.
func wholeRunes(text string) string {
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if end := text[len(text)-i:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRuneInString(end) {
				return text[:len(text)-i]
			}
			break
		}
	}
	return text
}

// headersOf lists the fields in an order that depends on nothing else. Values
// that are not text are made so.
func headersOf(h http.Header, hide mask) []ResultHeader {
	all := make([]ResultHeader, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			v = strings.ReplaceAll(strings.ToValidUTF8(hide.replace(v), "\uFFFD"), "\x00", "\uFFFD")
			if name == "Set-Cookie" {
				v = hidden
			}
			all = append(all, ResultHeader{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(all, func(a, b ResultHeader) int { return strings.Compare(a.Name, b.Name) })
	return all
}
