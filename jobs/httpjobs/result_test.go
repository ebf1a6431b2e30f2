package httpjobs_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs/httpjobs"
)

func TestBodiesOfAnswers(t *testing.T) {
	const most = httpjobs.MaxBody
	text := strings.Repeat("a", most-1)
	for name, tt := range map[string]struct {
		body, want, encoding string
		truncated            bool
	}{
		"text":                    {"grüß", "grüß", "text", false},
		"nothing":                 {"", "", "text", false},
		"bytes that are no text":  {"\xff\xfe", "//4=", "base64", false},
		"a text with a NUL":       {"a\x00", "YQA=", "base64", false},
		"a text that just fits":   {text + "a", text + "a", "text", false},
		"a text that is too long": {text + "aa", text + "a", "text", true},
		"a text that is too long, cut before a letter of two bytes":       {text + "ü" + "tail", text, "text", true},
		"a text that is too long, cut within a letter of four bytes":      {text[2:] + "😀", text[2:], "text", true},
		"bytes that are too many":                                         {"\xff" + text + "b", base64.StdEncoding.EncodeToString([]byte("\xff" + text)), "base64", true},
		"a text that is far too long":                                     {text + text + text, text + "a", "text", true},
		"a text of characters that take six bytes each to write, as JSON": {strings.Repeat("\x01", most+1), strings.Repeat("\x01", most), "text", true},
		"a text that ends within a letter":                                {"gr\xc3", "Z3LD", "base64", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) })
			got := r.mustDo(httpjobs.Request{URL: r.url})
			if got.Body != tt.want || got.BodyEncoding != tt.encoding || got.Truncated != tt.truncated {
				t.Errorf("%d bytes, %s, truncated %v; want %d bytes, %s, %v",
					len(got.Body), got.BodyEncoding, got.Truncated, len(tt.want), tt.encoding, tt.truncated)
			}
		})
	}
	t.Run("a packed body stays packed", func(t *testing.T) {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b")
		})
		if got := r.mustDo(httpjobs.Request{URL: r.url}); got.Body != "H4s=" || header(got, "Content-Encoding") != "gzip" {
			t.Errorf("the result is %+v", got)
		}
	})
	t.Run("the answer to HEAD has none", func(t *testing.T) {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99") })
		if got := r.mustDo(httpjobs.Request{Method: "HEAD", URL: r.url}); got.Body != "" || header(got, "Content-Length") != "99" {
			t.Errorf("the result is %+v", got)
		}
	})
}

func TestHeadersOfAnswers(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.Header()["X-B"] = []string{"2", "1"}
		w.Header().Set("X-A", "\xff")
		w.Header().Set("Set-Cookie", "session=abcdef; HttpOnly")
		w.WriteHeader(http.StatusNoContent)
	})
	got := r.mustDo(httpjobs.Request{URL: r.url})
	want := []httpjobs.ResultHeader{{Name: "Set-Cookie", Value: "[secret]"}, {Name: "X-A", Value: "\uFFFD"}, {Name: "X-B", Value: "2"}, {Name: "X-B", Value: "1"}}
	if !slices.Equal(got.Headers, want) {
		t.Errorf("the headers are %v, want %v", got.Headers, want)
	}
}
