package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/levqor/sdk/jobs"
)

// A cursor is the last ID of a page with a MAC over it, the tenant and the
// filters, so it is good for nothing but the next page of the same list.

func (s *server) cursor(tenant string, q jobs.ListQuery, last jobs.ID) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(last))
	sum := s.app.KeyRing.MAC("cursor", []byte(tenant), filterHash(q), raw)
	return base64.RawURLEncoding.EncodeToString(append(raw, sum...))
}

// parseCursor returns the ID that the page comes after.
func (s *server) parseCursor(tenant string, q jobs.ListQuery, cursor string) (jobs.ID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < 8 {
		return 0, errCursor
	}
	if !s.app.KeyRing.Verify("cursor", raw[8:], []byte(tenant), filterHash(q), raw[:8]) {
		return 0, errCursor
	}
	return jobs.ID(binary.BigEndian.Uint64(raw)), nil
}

func filterHash(q jobs.ListQuery) []byte {
	raw, err := json.Marshal([]any{q.States, q.Kind, q.Queue})
	if err != nil {
		panic(err) // numbers and strings
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}
