package bunlevqor

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor"
)

type idempotencyStore struct{ db bun.IDB }

var _ levqor.IdempotencyStore = (*idempotencyStore)(nil)

// beginSQL makes a record, or takes over one that has expired.
var beginSQL = bundb.FixedAt{SQL: `
	INSERT INTO levqor_idempotency AS i (tenant, caller, operation, key, fingerprint, status, header, body, expires_at)
	VALUES (?0, ?1, ?2, ?3, ?4, 0, '{}', '', ?at+5)
	ON CONFLICT (tenant, caller, operation, key) DO UPDATE
	SET fingerprint = EXCLUDED.fingerprint, status = 0, header = '{}', body = '', expires_at = EXCLUDED.expires_at
	WHERE i.expires_at <= ?at`}

// Begin implements [levqor.IdempotencyStore]. The insertion waits for the end of
// another transaction that has inserted the same scope.
func (s *idempotencyStore) Begin(ctx context.Context, r levqor.IdempotencyRecord, ttl time.Duration, now time.Time) (levqor.IdempotencyRecord, bool, error) {
	begun, err := beginSQL.Exec(ctx, s.db, now, r.Scope.Tenant, r.Scope.Caller, r.Scope.Operation, r.Scope.Key, r.Fingerprint, ttl.Microseconds())
	if err != nil {
		return levqor.IdempotencyRecord{}, false, bundb.Err(err)
	}
	if begun > 0 {
		return levqor.IdempotencyRecord{}, false, nil
	}
	before, err := s.find(ctx, r.Scope)
	return before, err == nil, err
}

func (s *idempotencyStore) find(ctx context.Context, scope levqor.IdempotencyScope) (levqor.IdempotencyRecord, error) {
	var row struct {
		Fingerprint []byte `bun:"fingerprint"`
		Status      int    `bun:"status"`
		Header      string `bun:"header"`
		Body        string `bun:"body"`
	}
	err := s.db.NewRaw(`
		SELECT fingerprint, status, header, body FROM levqor_idempotency
		WHERE tenant = ? AND caller = ? AND operation = ? AND key = ?`,
		scope.Tenant, scope.Caller, scope.Operation, scope.Key).Scan(ctx, &row)
	if err != nil {
		return levqor.IdempotencyRecord{}, bundb.Err(err)
	}
	record := levqor.IdempotencyRecord{Scope: scope, Fingerprint: row.Fingerprint, Answer: levqor.Answer{Status: row.Status, Body: []byte(row.Body)}}
	if err := json.Unmarshal([]byte(row.Header), &record.Answer.Header); err != nil {
		return levqor.IdempotencyRecord{}, bundb.Err(err)
	}
	return record, nil
}

// finishSQL keeps the answer.
var finishSQL = bundb.Fixed{SQL: `
	UPDATE levqor_idempotency SET status = ?4, header = ?5, body = ?6
	WHERE tenant = ?0 AND caller = ?1 AND operation = ?2 AND key = ?3`}

// Finish implements [levqor.IdempotencyStore].
func (s *idempotencyStore) Finish(ctx context.Context, scope levqor.IdempotencyScope, answer levqor.Answer) error {
	header, err := json.Marshal(answer.Header)
	if err != nil {
		return bundb.Err(err)
	}
	n, err := finishSQL.Exec(ctx, s.db, scope.Tenant, scope.Caller, scope.Operation, scope.Key, answer.Status, string(header), string(answer.Body))
	if err != nil {
		return bundb.Err(err)
	}
	if n == 0 {
		return levqor.ErrNotFound
	}
	return nil
}

// DeleteExpired implements [levqor.IdempotencyStore].
func (s *idempotencyStore) DeleteExpired(ctx context.Context, limit int, now time.Time) (int, error) {
	res, err := s.db.NewRaw(`
		DELETE FROM levqor_idempotency WHERE (tenant, caller, operation, key) IN (
			SELECT tenant, caller, operation, key FROM levqor_idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ? ?
		)`, bundb.Now(s.db, now), limit, bundb.SkipLocked(s.db)).Exec(ctx)
	if err != nil {
		return 0, bundb.Err(err)
	}
	n, err := res.RowsAffected()
	return int(n), bundb.Err(err)
}

// DeleteTenant implements [levqor.IdempotencyStore].
func (s *idempotencyStore) DeleteTenant(ctx context.Context, tenant string, limit int) (int, error) {
	n, err := bundb.Exec(ctx, s.db, bun.SafeQuery(`
		DELETE FROM levqor_idempotency WHERE tenant = ? AND (caller, operation, key) IN (
			SELECT caller, operation, key FROM levqor_idempotency WHERE tenant = ? ORDER BY caller, operation, key LIMIT ? ?
		)`, tenant, tenant, limit, bundb.SkipLocked(s.db)))
	return n, bundb.Err(err)
}
