-- Recurring work: one row for each schedule, which any process may fire.
CREATE TABLE levqor_jobs_schedule (
	id            integer PRIMARY KEY,
	tenant        text NOT NULL,
	name          text NOT NULL,
	spec          text NOT NULL,
	time_zone     text NOT NULL,
	catch_up      integer NOT NULL,
	max_catch_up  integer NOT NULL,
	kind          text NOT NULL,
	queue         text NOT NULL,
	priority      integer NOT NULL,
	max_attempts  integer NOT NULL,
	timeout       integer NOT NULL,
	limit_key     text NOT NULL,
	args          text NOT NULL,
	paused        integer NOT NULL,
	next_at       integer,
	last_at       integer,
	created_at    integer NOT NULL,
	version       integer NOT NULL,
	UNIQUE (tenant, name)
) STRICT;

CREATE INDEX levqor_jobs_schedule_due ON levqor_jobs_schedule (next_at) WHERE NOT paused;

-- The times that schedules have fired for: each gives one job.
CREATE TABLE levqor_jobs_fire (
	schedule  integer NOT NULL,
	at        integer NOT NULL,
	job       integer NOT NULL,
	PRIMARY KEY (schedule, at)
) STRICT, WITHOUT ROWID;
