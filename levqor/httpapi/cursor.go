package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
)

// A cursor is where a page ended with a MAC over it, the list, the tenant and the
// filters, so it is good for nothing but the next page of the same list.

func (s *server) cursor(list, tenant string, filters any, last []byte) string {
	sum := s.app.KeyRing.MAC("cursor", []byte(list), []byte(tenant), filterHash(filters), last)
	return base64.RawURLEncoding.EncodeToString(append(sum, last...))
}

// parseCursor returns where the page before ended.
func (s *server) parseCursor(list, tenant string, filters any, cursor string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < macSize {
		return nil, errCursor
	}
	if !s.app.KeyRing.Verify("cursor", raw[:macSize], []byte(list), []byte(tenant), filterHash(filters), raw[macSize:]) {
		return nil, errCursor
	}
	return raw[macSize:], nil
}

// idCursor returns the cursor of a list without filters that is in the order of IDs.
func (s *server) idCursor(ctx context.Context, list string, last int64) *string {
	return new(s.cursor(list, caller(ctx).Tenant, nil, binary.BigEndian.AppendUint64(nil, uint64(last))))
}

// lastID returns where the page before ended, 0 for the first.
func (s *server) lastID(ctx context.Context, list string, cursor *string) (int64, error) {
	if cursor == nil {
		return 0, nil
	}
	last, err := s.parseCursor(list, caller(ctx).Tenant, nil, *cursor)
	if err != nil || len(last) != 8 {
		return 0, errCursor
	}
	return int64(binary.BigEndian.Uint64(last)), nil
}

const macSize = sha256.Size

func filterHash(filters any) []byte {
	raw, err := json.Marshal(filters)
	if err != nil {
		panic(err) // numbers and strings
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}
