package bunjobs

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// keyedRow is a job with what it is unique by.
type keyedRow struct {
	ID        int64  `bun:"id"`
	Tenant    string `bun:"tenant"`
	UniqueKey string `bun:"unique_key"`
	State     uint8  `bun:"state"`
}

// insertUnique stores those jobs of a batch that repeat none, or returns errTaken if
// an ID is taken, or a job that stands in the way has moved between the tables
// meanwhile. Among jobs that are not over the index decides, whoever else stores one.
func insertUnique(ctx context.Context, tx bun.Tx, batch []jobs.Insertion, now time.Time) error {
	at, err := bundb.Instant(ctx, tx, now)
	if err != nil {
		return err
	}
	duplicates := make([]jobs.ID, len(batch))
	if err := findDuplicates(ctx, tx, done, batch, at, duplicates); err != nil {
		return err
	}
	var fresh []jobs.Insertion
	for i := range batch {
		if duplicates[i] == 0 {
			fresh = append(fresh, batch[i])
		}
	}
	stored, err := insertFresh(ctx, tx, fresh, at)
	if err != nil {
		return err
	}
	if len(stored) < len(fresh) {
		if err := findDuplicates(ctx, tx, live, batch, at, duplicates); err != nil {
			return err
		}
	}
	// With the keys in the index nobody else ends a job that has one of them.
	over := make([]jobs.ID, len(batch))
	if err := findDuplicates(ctx, tx, done, batch, at, over); err != nil {
		return err
	}
	for i := range batch {
		if stored[batch[i].ID] == (duplicates[i] != 0 || over[i] != 0) {
			return errTaken
		}
	}
	for i := range batch {
		if stored[batch[i].ID] {
			batch[i].Created(at)
		} else {
			batch[i].DuplicateOf = duplicates[i]
		}
	}
	return nil
}

// findDuplicates sets which jobs of a table those of a batch would repeat.
func findDuplicates(ctx context.Context, tx bun.Tx, table bun.Ident, batch []jobs.Insertion, at time.Time, duplicates []jobs.ID) error {
	var asked []int
	for i := range batch {
		if batch[i].Unique.Key != "" && duplicates[i] == 0 && (table == live || len(batch[i].Unique.Over) > 0) {
			asked = append(asked, i)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	keys := bundb.Rows{Len: len(asked), Columns: []bundb.Column{
		{Name: "tenant", Text: func(i int) (string, bool) { return batch[asked[i]].Tenant, true }},
		{Name: "unique_key", Text: func(i int) (string, bool) { return batch[asked[i]].UniqueKeyAt(at), true }},
	}}
	var found []keyedRow
	err := tx.NewRaw("SELECT j.id, j.tenant, j.unique_key, j.state FROM (?) AS v JOIN ? AS j ON j.tenant = v.tenant AND j.unique_key = v.unique_key",
		keys, table).Scan(ctx, &found)
	if err != nil {
		return err
	}
	byKey := map[[2]string][]keyedRow{}
	for _, r := range found {
		byKey[[2]string{r.Tenant, r.UniqueKey}] = append(byKey[[2]string{r.Tenant, r.UniqueKey}], r)
	}
	for _, i := range asked {
		for _, r := range byKey[[2]string{batch[i].Tenant, batch[i].UniqueKeyAt(at)}] {
			other := jobs.Info{ID: jobs.ID(r.ID), Tenant: r.Tenant, UniqueKey: r.UniqueKey, State: jobs.State(r.State)}
			if other.ID != batch[i].ID && batch[i].Duplicates(other, at) {
				duplicates[i] = other.ID
			}
		}
	}
	return nil
}

// insertFresh stores jobs whose keys no job that is not over has, and returns which.
func insertFresh(ctx context.Context, tx bun.Tx, fresh []jobs.Insertion, at time.Time) (map[jobs.ID]bool, error) {
	if len(fresh) == 0 {
		return nil, nil
	}
	rows, due, turn := newRows(tx, fresh, at)
	rows.Columns = append(rows.Columns, bundb.Column{Name: "unique_key", Text: func(i int) (string, bool) {
		return fresh[i].UniqueKeyAt(at), fresh[i].Unique.Key != ""
	}})
	var ids []jobs.ID
	err := tx.NewRaw(`
		INSERT INTO levqor_jobs_live (id, tenant, kind, queue, state, priority, args, fraction, note, attempt, max_attempts, timeout, created_at, run_at, turn, limit_key, unique_key, metadata, epoch)
		SELECT id, tenant, kind, queue, state, priority, args, 0, '', 0, max_attempts, timeout, ?, ?, ?, limit_key, unique_key, metadata, 0
		FROM (?) AS v
		WHERE NOT EXISTS (SELECT 1 FROM levqor_jobs_done AS d WHERE d.tenant = v.tenant AND d.id = v.id AND d.finished_at >= ?)
		ON CONFLICT (tenant, unique_key) WHERE unique_key IS NOT NULL DO NOTHING
		RETURNING id`, bundb.Time{Time: at}, due, turn, rows, since(firstID(fresh))).Scan(ctx, &ids)
	if errors.Is(bundb.Err(err), jobs.ErrConflict) {
		return nil, errTaken
	}
	stored := make(map[jobs.ID]bool, len(ids))
	for _, id := range ids {
		stored[id] = true
	}
	return stored, err
}
