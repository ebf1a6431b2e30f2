package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// errPrecondition reports that a thing is not as the caller believed (RFC 9110, section
// 13.1.1).
var errPrecondition = errors.New("precondition failed")

// etag returns the version of what the wire shows: two that look alike are the same one.
func etag(wire any) string { return `"` + digest(wire) + `"` }

// etagOf returns the version of a thing of which the service notes by itself more than
// callers have set, such as when it was last used. The first half is that of the settings:
// what the service noted meanwhile is no reason to refuse a change of them.
func etagOf(settings, wire any) string { return `"` + digest(settings) + "." + digest(wire) + `"` }

func digest(wire any) string {
	raw, err := json.Marshal(wire)
	if err != nil {
		panic(err) // of a type of the contract
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// unchanged returns errPrecondition unless the thing still is as If-Match says; of one with
// an etagOf, unless its settings are. Without that header anything is right.
func unchanged(ifMatch *string, settings any) error {
	if ifMatch == nil || holdsTag(noted.ReplaceAllString(*ifMatch, `"`), etag(settings)) {
		return nil
	}
	return errPrecondition
}

// noted is the second half of an etagOf.
var noted = regexp.MustCompile(`\.[0-9A-Za-z_-]{22}"`)

// holdsTag reports whether a list of entity tags holds one. Those of this service hold no
// commas.
func holdsTag(list, tag string) bool {
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word == tag || word == "*" {
			return true
		}
	}
	return false
}

// conditional returns a writer that answers a GET with 304 and no body where the caller
// has that version (RFC 9110, section 13.1.2).
func conditional(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	known := strings.Join(r.Header.Values("If-None-Match"), ",")
	if known == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return w
	}
	return &conditionalWriter{ResponseWriter: w, known: strings.ReplaceAll(known, "W/", "")}
}

type conditionalWriter struct {
	http.ResponseWriter
	known string
	has   bool // the caller has the answer
}

// WriteHeader implements [http.ResponseWriter].
func (w *conditionalWriter) WriteHeader(status int) {
	h := w.Header()
	if tag := h.Get("ETag"); status == http.StatusOK && tag != "" && holdsTag(w.known, tag) {
		w.has, status = true, http.StatusNotModified
		h.Del("Content-Type")
		h.Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *conditionalWriter) Write(b []byte) (int, error) {
	if w.has {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *conditionalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
