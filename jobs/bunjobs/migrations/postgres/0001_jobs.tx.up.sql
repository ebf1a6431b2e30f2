-- Jobs that are not over. Rows are short-lived: the table stays as small as the
-- backlog, whatever the history, and dead rows are cleared away early.
CREATE TABLE levqor_jobs_live (
	id            bigint PRIMARY KEY,
	tenant        text NOT NULL,
	kind          text NOT NULL,
	queue         text NOT NULL,
	state         smallint NOT NULL,
	priority      smallint NOT NULL,
	args          text NOT NULL,
	result        text,
	fraction      double precision NOT NULL,
	note          text NOT NULL,
	attempt       integer NOT NULL,
	max_attempts  integer NOT NULL,
	attempts      text,
	timeout       bigint NOT NULL,
	created_at    timestamptz NOT NULL,
	run_at        timestamptz NOT NULL,
	started_at    timestamptz,
	finished_at   timestamptz,
	epoch         bigint NOT NULL,
	node          bigint
) WITH (
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_analyze_scale_factor = 0,
	autovacuum_analyze_threshold = 10000
);

CREATE INDEX levqor_jobs_live_ready ON levqor_jobs_live (queue, priority, run_at, id) WHERE state = 2;
CREATE INDEX levqor_jobs_live_due ON levqor_jobs_live (run_at, id) WHERE state IN (1, 4);
CREATE INDEX levqor_jobs_live_node ON levqor_jobs_live (node) WHERE state = 3;
CREATE INDEX levqor_jobs_live_tenant ON levqor_jobs_live (tenant, id);

-- Jobs that are over: the same columns. Partitioned by the time that retention
-- goes by, so history can be dropped instead of deleted.
CREATE TABLE levqor_jobs_done (
	id            bigint NOT NULL,
	tenant        text NOT NULL,
	kind          text NOT NULL,
	queue         text NOT NULL,
	state         smallint NOT NULL,
	priority      smallint NOT NULL,
	args          text NOT NULL,
	result        text,
	fraction      double precision NOT NULL,
	note          text NOT NULL,
	attempt       integer NOT NULL,
	max_attempts  integer NOT NULL,
	attempts      text,
	timeout       bigint NOT NULL,
	created_at    timestamptz NOT NULL,
	run_at        timestamptz NOT NULL,
	started_at    timestamptz,
	finished_at   timestamptz NOT NULL,
	epoch         bigint NOT NULL,
	node          bigint,
	PRIMARY KEY (id, finished_at)
) PARTITION BY RANGE (finished_at);

CREATE TABLE levqor_jobs_done_default PARTITION OF levqor_jobs_done DEFAULT;

CREATE INDEX levqor_jobs_done_tenant ON levqor_jobs_done (tenant, id);

-- Worker processes, each with the lease that covers all jobs it runs.
CREATE TABLE levqor_jobs_node (
	id           bigint PRIMARY KEY,
	name         text NOT NULL,
	lease_until  timestamptz NOT NULL
);
