package main

import (
	"fmt"
	"strings"
)

// layout is one way to keep jobs, as SQL.
type layout struct {
	name     string
	create   []string
	insert   func(first int) []string
	claim    string                        // returns id, epoch, tenant, kind, queue, args, attempt
	complete func(leases []lease) []string // statements of one transaction
	tables   []string                      // those that claims go through
}

// lease is a claimed job: what a completion is fenced by.
type lease struct{ id, epoch int64 }

const (
	columns = `id bigint, tenant text NOT NULL, kind text NOT NULL, queue text NOT NULL, state integer NOT NULL,
	priority integer NOT NULL, args text NOT NULL, result text, attempt integer NOT NULL, run_at bigint NOT NULL,
	created_at bigint NOT NULL, started_at bigint, finished_at bigint, epoch bigint NOT NULL, node bigint`
	given  = "id, tenant, kind, queue, state, priority, args, attempt, run_at, created_at, epoch"
	moved  = "j.id, j.tenant, j.kind, j.queue, 5, j.priority, j.args, v.result, j.attempt, j.run_at, j.created_at, j.started_at, 2, j.epoch, j.node"
	args   = `{"document":"reports/2031/05/quarterly-figures.pdf","language":"en","pages":12,"summary":true}`
	result = `{"ok":true}`

	// fenced is the condition of every completion: a late one changes nothing.
	fenced = "j.id = v.id AND j.epoch = v.epoch AND j.state = 3"
)

// layoutsOf returns the candidates for one database. "two" is the layout of package
// bunjobs; those after it are other ways to write it.
func layoutsOf(postgres bool) []layout {
	if postgres {
		jsonb := twoTables(true, "two, args as jsonb", moveValues)
		for i, stmt := range jsonb.create {
			jsonb.create[i] = strings.Replace(stmt, "args text", "args jsonb", 1)
		}
		return []layout{
			oneTable(true),
			twoTables(true, "two", moveValues),
			jsonb,
			twoTables(true, "two, settled by unnest", moveUnnest),
			readyTable(),
		}
	}
	return []layout{
		oneTable(false),
		twoTables(false, "two", copyValues),
		twoTables(false, "two, settled by json_each", copyJSON),
	}
}

// oneTable keeps a job in the same row from beginning to end.
func oneTable(postgres bool) layout {
	return layout{
		name: "one", tables: []string{"job"},
		create: backlog("job", postgres),
		insert: insertInto("job"),
		claim:  claimFrom("job", postgres),
		complete: func(leases []lease) []string {
			return []string{"WITH v (id, epoch, result) AS (VALUES " + tuples(leases) + `)
				UPDATE job AS j SET state = 5, result = v.result, finished_at = 2, node = NULL FROM v WHERE ` + fenced}
		},
	}
}

// twoTables moves a job that is over into a table of its own.
func twoTables(postgres bool, name string, complete func([]lease) []string) layout {
	done := []string{
		"CREATE TABLE done (" + columns + ", PRIMARY KEY (id))",
		"CREATE INDEX done_tenant ON done (tenant, id)",
	}
	if postgres {
		done = []string{
			"CREATE TABLE done (" + columns + ", PRIMARY KEY (id, finished_at)) PARTITION BY RANGE (finished_at)",
			"CREATE TABLE done_default PARTITION OF done DEFAULT",
			"CREATE INDEX done_tenant ON done (tenant, id)",
		}
	}
	return layout{
		name: name, tables: []string{"live"},
		create:   append(backlog("live", postgres), done...),
		insert:   insertInto("live"),
		claim:    claimFrom("live", postgres),
		complete: complete,
	}
}

// readyTable keeps what waits and what runs in narrow tables beside live, so a
// claim rewrites no wide row and touches no index of it.
func readyTable() layout {
	l := twoTables(true, "two, and narrow ready", func(leases []lease) []string {
		return []string{"WITH v (id, epoch, result) AS (VALUES " + tuples(leases) + `),
			r AS (DELETE FROM running AS r USING v WHERE r.id = v.id AND r.epoch = v.epoch RETURNING v.*),
			m AS (DELETE FROM live AS j USING r AS v WHERE j.id = v.id RETURNING ` + moved + `) INSERT INTO done SELECT * FROM m`}
	})
	l.tables = []string{"live", "ready", "running"}
	l.create = append(l.create,
		"DROP INDEX live_ready", "DROP INDEX live_node",
		"CREATE TABLE ready (queue text, priority integer, run_at bigint, id bigint, kind text, PRIMARY KEY (queue, priority, run_at, id)) "+vacuumed,
		"CREATE TABLE running (id bigint PRIMARY KEY, node bigint, epoch bigint, started_at bigint) "+vacuumed,
		"CREATE INDEX running_node ON running (node)")
	l.insert = func(first int) []string {
		return []string{
			"WITH n AS (" + insertInto("live")(first)[0] + " RETURNING queue, priority, run_at, id, kind) INSERT INTO ready SELECT * FROM n",
		}
	}
	l.claim = fmt.Sprintf(`WITH c AS (DELETE FROM ready WHERE ctid = ANY(ARRAY(
				SELECT ctid FROM ready WHERE queue = 'q' AND kind IN ('k') ORDER BY priority, run_at, id LIMIT %d FOR UPDATE SKIP LOCKED
			)) RETURNING id),
			j AS (SELECT live.* FROM live WHERE id = ANY(ARRAY(SELECT id FROM c))),
			r AS (INSERT INTO running SELECT id, 1, epoch + 1, 1 FROM j)
			SELECT id, epoch + 1, tenant, kind, queue, args, attempt + 1 FROM j`, batch)
	return l
}

// vacuumed is how a table that is rewritten all day asks for its dead rows to be
// cleared away, as the migrations of package bunjobs do.
const vacuumed = `WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
	autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000)`

func backlog(table string, postgres bool) []string {
	storage := ""
	if postgres {
		storage = vacuumed
	}
	return []string{
		fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (id)) %s", table, columns, storage),
		fmt.Sprintf("CREATE INDEX %[1]s_ready ON %[1]s (queue, priority, run_at, id) WHERE state = 2", table),
		fmt.Sprintf("CREATE INDEX %[1]s_node ON %[1]s (node) WHERE state = 3", table),
		fmt.Sprintf("CREATE INDEX %[1]s_tenant ON %[1]s (tenant, id)", table),
	}
}

func insertInto(table string) func(first int) []string {
	return func(first int) []string {
		rows := make([]string, batch)
		for i := range rows {
			rows[i] = fmt.Sprintf("(%d, 'a', 'k', 'q', 2, 5, '%s', 0, 1, 1, 0)", first+i, args)
		}
		return []string{"INSERT INTO " + table + " (" + given + ") VALUES " + strings.Join(rows, ", ")}
	}
}

func claimFrom(table string, postgres bool) string {
	open, lock, end := "IN (", "", ")"
	if postgres {
		open, lock, end = "= ANY(ARRAY(", "FOR UPDATE SKIP LOCKED", "))"
	}
	return fmt.Sprintf(`UPDATE %[1]s SET state = 3, node = 1, attempt = attempt + 1, epoch = epoch + 1, started_at = 1
		WHERE id %[2]s SELECT id FROM %[1]s WHERE state = 2 AND queue = 'q' AND kind IN ('k') ORDER BY priority, run_at, id LIMIT %[3]d %[4]s %[5]s
		RETURNING id, epoch, tenant, kind, queue, args, attempt`, table, open, batch, lock, end)
}

func moveValues(leases []lease) []string {
	return move("VALUES " + tuples(leases))
}

func moveUnnest(leases []lease) []string {
	var ids, epochs, results []string
	for _, l := range leases {
		ids, epochs, results = append(ids, fmt.Sprint(l.id)), append(epochs, fmt.Sprint(l.epoch)), append(results, "'"+result+"'")
	}
	return move(fmt.Sprintf("SELECT * FROM unnest('{%s}'::bigint[], '{%s}'::bigint[], ARRAY[%s]::text[])",
		strings.Join(ids, ","), strings.Join(epochs, ","), strings.Join(results, ",")))
}

func move(values string) []string {
	return []string{"WITH v (id, epoch, result) AS (" + values + "), m AS (DELETE FROM live AS j USING v WHERE " + fenced +
		" RETURNING " + moved + ") INSERT INTO done SELECT * FROM m"}
}

func copyValues(leases []lease) []string {
	return copied("VALUES "+tuples(leases), leases)
}

func copyJSON(leases []lease) []string {
	all := make([]string, len(leases))
	for i, l := range leases {
		all[i] = fmt.Sprintf(`[%d,%d,"%s"]`, l.id, l.epoch, strings.ReplaceAll(result, `"`, `\"`))
	}
	return copied("SELECT value->>0, value->>1, value->>2 FROM json_each('["+strings.Join(all, ",")+"]')", leases)
}

// copied ends jobs on SQLite, which cannot nest a DELETE. A store deletes those
// that the first statement returns, which here are all.
func copied(values string, leases []lease) []string {
	ids := make([]string, len(leases))
	for i, l := range leases {
		ids[i] = fmt.Sprint(l.id)
	}
	return []string{
		"WITH v (id, epoch, result) AS (" + values + ") INSERT INTO done SELECT " + moved + " FROM v CROSS JOIN live AS j WHERE " + fenced, // CROSS keeps v on the outside
		"DELETE FROM live WHERE id IN (" + strings.Join(ids, ",") + ")",
	}
}

func tuples(leases []lease) string {
	all := make([]string, len(leases))
	for i, l := range leases {
		all[i] = fmt.Sprintf("(%d, %d, '%s')", l.id, l.epoch, result)
	}
	return strings.Join(all, ", ")
}
