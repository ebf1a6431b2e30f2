-- How many jobs are over. Each batch that ends jobs, or takes them back, adds rows of
-- level 0; recounts sum them up by tenant (level 1) and over all tenants (level 2, where
-- the tenant is empty). The day is that of finished_at in UTC, so that the counts of days
-- that retention drops go with them.
CREATE TABLE levqor_jobs_tally (
	id      integer PRIMARY KEY,
	level   integer NOT NULL,
	day     integer NOT NULL,
	tenant  text NOT NULL,
	queue   text NOT NULL,
	state   integer NOT NULL,
	n       integer NOT NULL
) STRICT;

CREATE INDEX levqor_jobs_tally_fresh ON levqor_jobs_tally (id) WHERE level = 0;
CREATE UNIQUE INDEX levqor_jobs_tally_sum ON levqor_jobs_tally (level, tenant, queue, state, day) WHERE level > 0;

INSERT INTO levqor_jobs_tally (level, day, tenant, queue, state, n)
SELECT 1, finished_at - finished_at % 86400000000, tenant, queue, state, count(*) FROM levqor_jobs_done GROUP BY 2, 3, 4, 5;
INSERT INTO levqor_jobs_tally (level, day, tenant, queue, state, n)
SELECT 2, day, '', queue, state, sum(n) FROM levqor_jobs_tally GROUP BY 2, 4, 5;

-- How many jobs are not over, as they were counted last, by tenant (level 1) and over all
-- tenants (level 2).
CREATE TABLE levqor_jobs_count (
	level   integer NOT NULL,
	tenant  text NOT NULL,
	queue   text NOT NULL,
	state   integer NOT NULL,
	n       integer NOT NULL,
	PRIMARY KEY (level, tenant, queue, state)
) STRICT, WITHOUT ROWID;

-- Whose turn it is to count: one row.
CREATE TABLE levqor_jobs_recount (
	id          integer PRIMARY KEY,
	due_at      integer NOT NULL,
	count_at    integer NOT NULL,
	counted_at  integer
) STRICT;
INSERT INTO levqor_jobs_recount (id, due_at, count_at) VALUES (1, 0, 0);

-- Dead letters, which are few, are found among any number of other jobs that are over.
CREATE INDEX levqor_jobs_done_discarded ON levqor_jobs_done (tenant, id) WHERE state = 7;
