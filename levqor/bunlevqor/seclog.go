package bunlevqor

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/guard"
)

// eventRow is an entry of a security log.
type eventRow struct {
	bun.BaseModel `bun:"table:levqor_guard_event,alias:e"`

	Tenant    string     `bun:"tenant"`
	Seq       int64      `bun:"seq"`
	At        bundb.Time `bun:"at"`
	Action    string     `bun:"action"`
	Outcome   string     `bun:"outcome"`
	Actor     string     `bun:"actor"`
	Target    string     `bun:"target"`
	RequestID string     `bun:"request_id"`
	Address   string     `bun:"address"`
	Detail    string     `bun:"detail"`
	Count     int        `bun:"count"`
	Key       string     `bun:"key_name"`
	MAC       []byte     `bun:"mac"`
}

// entry returns the entry. A detail that somebody has spoilt by hand is none: its MAC tells.
func (r *eventRow) entry() guard.Entry {
	e := guard.Entry{
		Seq: r.Seq, Key: r.Key, MAC: r.MAC,
		Event: guard.Event{
			Tenant: r.Tenant, Action: guard.Action(r.Action), Outcome: guard.Outcome(r.Outcome), Actor: r.Actor, Target: r.Target,
			RequestID: r.RequestID, Address: r.Address, Count: r.Count, At: r.At.Time,
		},
	}
	if json.Unmarshal([]byte(r.Detail), &e.Detail) != nil || len(e.Detail) == 0 {
		e.Detail = nil
	}
	return e
}

func rowOf(e guard.Entry) (eventRow, error) {
	detail, err := json.Marshal(e.Detail)
	return eventRow{
		Tenant: e.Tenant, Seq: e.Seq, At: bundb.Time{Time: e.At}, Action: string(e.Action), Outcome: string(e.Outcome), Actor: e.Actor, Target: e.Target,
		RequestID: e.RequestID, Address: e.Address, Detail: string(detail), Count: e.Count, Key: e.Key, MAC: e.MAC,
	}, err
}

// headRow is the head of a security log.
type headRow struct {
	Base    int64  `bun:"base"`
	BaseMAC []byte `bun:"base_mac"`
	Last    int64  `bun:"last"`
	LastMAC []byte `bun:"last_mac"`
	Key     string `bun:"key_name"`
	MAC     []byte `bun:"mac"`
}

const headColumns bun.Safe = "base, base_mac, last, last_mac, key_name, mac"

// logStore keeps security logs. Whoever changes one holds its head, so that the others
// wait for the numbers and the MAC that they go on from.
type logStore struct{ db bun.IDB }

var _ guard.LogStore = (*logStore)(nil)

// Change implements [guard.LogStore].
func (s *logStore) Change(ctx context.Context, tenant string, fn guard.LogChange, now time.Time) error {
	var own error // what fn returned: the caller's, whatever it is
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		head, err := (&logStore{tx}).lock(ctx, tenant)
		if err != nil {
			return err
		}
		at, err := bundb.Instant(ctx, tx, now) // now that it has its turn
		if err != nil {
			return err
		}
		var entries []guard.Entry
		if head, entries, own = fn(head, at); own != nil {
			return own
		}
		return (&logStore{tx}).store(ctx, tenant, head, entries)
	})
	if own != nil {
		return own
	}
	return bundb.Err(err)
}

// lock returns the head of a tenant's log, which it makes if there is none, and keeps it
// from others until the transaction ends.
func (s *logStore) lock(ctx context.Context, tenant string) (guard.LogHead, error) {
	for {
		var rows []headRow
		err := s.db.NewRaw("SELECT ? FROM levqor_guard_log WHERE tenant = ? ?", headColumns, tenant, bundb.ForUpdate(s.db)).Scan(ctx, &rows)
		if err != nil || len(rows) == 1 {
			return headOf(rows), err
		}
		if _, err := s.db.NewRaw(`
			INSERT INTO levqor_guard_log (tenant, base, base_mac, last, last_mac, key_name, mac) VALUES (?, 0, ?, 0, ?, '', ?)
			ON CONFLICT DO NOTHING`, tenant, []byte{}, []byte{}, []byte{}).Exec(ctx); err != nil {
			return guard.LogHead{}, err
		}
	}
}

func headOf(rows []headRow) guard.LogHead {
	if len(rows) == 0 {
		return guard.LogHead{}
	}
	r := rows[0]
	return guard.LogHead{Base: r.Base, BaseMAC: r.BaseMAC, Last: r.Last, LastMAC: r.LastMAC, Key: r.Key, MAC: r.MAC}
}

// store writes what a change has come to.
func (s *logStore) store(ctx context.Context, tenant string, head guard.LogHead, entries []guard.Entry) error {
	if len(entries) > 0 {
		rows := make([]eventRow, len(entries))
		for i, e := range entries {
			var err error
			if rows[i], err = rowOf(e); err != nil {
				return err
			}
		}
		if _, err := s.db.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return err
		}
	}
	_, err := s.db.NewRaw("UPDATE levqor_guard_log SET base = ?, base_mac = ?, last = ?, last_mac = ?, key_name = ?, mac = ? WHERE tenant = ?",
		head.Base, blob(head.BaseMAC), head.Last, blob(head.LastMAC), head.Key, blob(head.MAC), tenant).Exec(ctx)
	if err != nil {
		return err
	}
	_, err = s.db.NewRaw("DELETE FROM levqor_guard_event WHERE tenant = ? AND seq <= ?", tenant, head.Base).Exec(ctx)
	return err
}

// blob returns b as what is never NULL.
func blob(b []byte) []byte { return append([]byte{}, b...) }

// Head implements [guard.LogStore].
func (s *logStore) Head(ctx context.Context, tenant string) (guard.LogHead, error) {
	var rows []headRow
	err := s.db.NewRaw("SELECT ? FROM levqor_guard_log WHERE tenant = ?", headColumns, tenant).Scan(ctx, &rows)
	return headOf(rows), bundb.Err(err)
}

// Entries implements [guard.LogStore].
func (s *logStore) Entries(ctx context.Context, tenant string, q guard.LogQuery) ([]guard.Entry, error) {
	var rows []eventRow
	query := s.db.NewSelect().Model(&rows).Where("tenant = ?", tenant).Limit(int64(q.Limit))
	for column, value := range map[bun.Ident]string{"action": string(q.Action), "outcome": string(q.Outcome), "actor": q.Actor} {
		if value != "" {
			query = query.Where("? = ?", column, value)
		}
	}
	if !q.From.IsZero() {
		query = query.Where("at >= ?", bundb.Time{Time: q.From})
	}
	if !q.Until.IsZero() {
		query = query.Where("at < ?", bundb.Time{Time: q.Until})
	}
	if q.After > 0 {
		query = query.Where("seq > ?", q.After)
	}
	if q.Before > 0 {
		query = query.Where("seq < ?", q.Before)
	}
	order := "seq DESC"
	if q.FirstFirst {
		order = "seq"
	}
	if err := query.OrderExpr(order).Scan(ctx); err != nil {
		return nil, bundb.Err(err)
	}
	entries := make([]guard.Entry, len(rows))
	for i, r := range rows {
		entries[i] = r.entry()
	}
	return entries, nil
}

// Expired implements [guard.LogStore].
func (s *logStore) Expired(ctx context.Context, age time.Duration, limit int, now time.Time) ([]string, error) {
	var tenants []string
	err := s.db.NewRaw(`
		SELECT l.tenant FROM levqor_guard_log AS l
		WHERE (SELECT e.at FROM levqor_guard_event AS e WHERE e.tenant = l.tenant AND e.seq > l.base ORDER BY e.seq LIMIT 1) < ?
		LIMIT ?`, bundb.After(s.db, now, -age), limit).Scan(ctx, &tenants)
	return tenants, bundb.Err(err)
}

// Erase implements [guard.LogStore]. The database lets entries go that the log no longer
// begins with.
func (s *logStore) Erase(ctx context.Context, tenant string) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		for _, sql := range []string{
			"UPDATE levqor_guard_log SET base = last WHERE tenant = ?",
			"DELETE FROM levqor_guard_event WHERE tenant = ?",
			"DELETE FROM levqor_guard_log WHERE tenant = ?",
		} {
			if _, err := tx.NewRaw(sql, tenant).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}
