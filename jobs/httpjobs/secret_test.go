package httpjobs_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
)

// token has characters that JSON writes otherwise.
const token = `hunter2"<&>hunter2`

var authorization = []httpjobs.Header{{Name: "Authorization", Value: "Bearer " + token, Secret: true}}

// checkHidden looks for the token in everything that is kept of a job.
func checkHidden(t *testing.T, r *rig, info jobs.Info, err error) {
	t.Helper()
	stored, getErr := r.store.Get(t.Context(), "", info.ID)
	if getErr != nil {
		t.Fatal(getErr)
	}
	listed, listErr := r.queue.List(t.Context(), jobs.ListQuery{Limit: 10})
	if listErr != nil || len(listed) != 1 {
		t.Fatalf("List = %d jobs, %v", len(listed), listErr)
	}
	r.stop()
	for what, text := range map[string]string{
		"the store": show(stored), "the queue": show(info), "the list": show(listed[0]), "the error": fmt.Sprint(err), "the log": r.log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s shows the secret: %s", what, text)
		}
	}
	if !strings.Contains(string(info.Args), `"value":"[secret]"`) {
		t.Errorf("the queue shows %s", info.Args)
	}
}

func show(info jobs.Info) string {
	return fmt.Sprintf("%s %s %+v", info.Args, info.Result, info.Attempts)
}

func TestSecretsReachTheServerAndNothingElse(t *testing.T) {
	for name, status := range map[string]int{"of a job that completes": 200, "of one that fails": 418, "of one that is tried again": 503} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, attempts)
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				seen <- req.Header.Get("Authorization")
				w.WriteHeader(status)
			})
			_, info, err := r.do(httpjobs.Request{URL: r.url, Headers: authorization})
			for range info.Attempt {
				if got := <-seen; got != authorization[0].Value {
					t.Errorf("the server saw %q", got)
				}
			}
			checkHidden(t, r, info, err)
		})
	}
}

func TestSecretsThatTheServerRepeatsAreHidden(t *testing.T) {
	const quoted = `hunter2\"\u003c\u0026\u003ehunter2`
	for name, tt := range map[string]struct{ body, want, encoding string }{
		"as they are":               {"you sent Bearer " + token + "!", "you sent [secret]!", "text"},
		"without their scheme":      {token + " " + token, "[secret] [secret]", "text"},
		"as JSON":                   {`{"a":"Bearer ` + quoted + `","b":"` + quoted + `"}`, `{"a":"[secret]","b":"[secret]"}`, "text"},
		"among bytes":               {"\xff" + token, "/1tzZWNyZXRd", "base64"},
		"where the body is cut off": {strings.Repeat("a", httpjobs.MaxBody-5) + token, strings.Repeat("a", httpjobs.MaxBody-5) + "[secr", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("X-Echo", req.Header.Get("Authorization"))
				_, _ = io.WriteString(w, tt.body)
			})
			got, info, err := r.do(httpjobs.Request{URL: r.url, Headers: authorization})
			if err != nil || got.Body != tt.want || got.BodyEncoding != tt.encoding {
				t.Errorf("Await = %.60q (%s), %v, want %.60q (%s)", got.Body, got.BodyEncoding, err, tt.want, tt.encoding)
			}
			if echo := header(got, "X-Echo"); echo != "[secret]" {
				t.Errorf("the header reads %q", echo)
			}
			checkHidden(t, r, info, err)
		})
	}
	t.Run("in an endless answer full of them", func(t *testing.T) {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 3 * httpjobs.MaxBody / len(token) {
				_, _ = io.WriteString(w, token)
			}
		})
		got, info, err := r.do(httpjobs.Request{URL: r.url, Headers: authorization})
		if rest := strings.ReplaceAll(got.Body, "[secret]", ""); err != nil || !got.Truncated || strings.Contains(rest, "hun") {
			t.Errorf("Await = %d bytes, truncated %v, %v", len(got.Body), got.Truncated, err)
		}
		checkHidden(t, r, info, err)
	})
	for name, answer := range map[string]string{"status": "HTTP/1.1 hunter2\r\n\r\n", "header": "HTTP/1.1 200 OK\r\nhunter2\r\n\r\n", "protocol": "hunter2\r\n\r\n"} {
		t.Run("in an answer that has no valid "+name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, _ := w.(http.Hijacker).Hijack()
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			})
			_, info, err := r.do(httpjobs.Request{URL: r.url, Headers: authorization})
			if !errors.Is(err, jobs.ErrDiscarded) || info.Attempts[0].Error != "the server's answer was not valid HTTP" {
				t.Errorf("Await = %v", err)
			}
			checkHidden(t, r, info, err)
		})
	}
	t.Run("the longer one of two that begin alike", func(t *testing.T) {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "abcdef abcdefghi") })
		got := r.mustDo(httpjobs.Request{URL: r.url, Headers: []httpjobs.Header{{Name: "A", Value: "abcdef", Secret: true}, {Name: "B", Value: "abcdefghi", Secret: true}}})
		if got.Body != "[secret] [secret]" {
			t.Errorf("the body reads %q", got.Body)
		}
	})
	t.Run("but not those that turn up by chance", func(t *testing.T) {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a yes for yes") })
		got := r.mustDo(httpjobs.Request{URL: r.url, Headers: []httpjobs.Header{{Name: "X-Flag", Value: "yes", Secret: true}, {Name: "X-Plain", Value: "a yes for yes"}}})
		if got.Body != "a yes for yes" {
			t.Errorf("the body reads %q", got.Body)
		}
	})
}
