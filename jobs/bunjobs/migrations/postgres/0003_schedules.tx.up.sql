-- Recurring work: one row for each schedule, which any process may fire.
CREATE TABLE levqor_jobs_schedule (
	id            bigint PRIMARY KEY,
	tenant        text NOT NULL,
	name          text COLLATE "C" NOT NULL,
	spec          text NOT NULL,
	time_zone     text NOT NULL,
	catch_up      smallint NOT NULL,
	max_catch_up  integer NOT NULL,
	kind          text NOT NULL,
	queue         text NOT NULL,
	priority      smallint NOT NULL,
	max_attempts  integer NOT NULL,
	timeout       bigint NOT NULL,
	limit_key     text NOT NULL,
	args          text NOT NULL,
	paused        boolean NOT NULL,
	next_at       timestamptz,
	last_at       timestamptz,
	created_at    timestamptz NOT NULL,
	version       bigint NOT NULL,
	UNIQUE (tenant, name)
);

CREATE INDEX levqor_jobs_schedule_due ON levqor_jobs_schedule (next_at) WHERE NOT paused;

-- The times that schedules have fired for: each gives one job.
CREATE TABLE levqor_jobs_fire (
	schedule  bigint NOT NULL,
	at        timestamptz NOT NULL,
	job       bigint NOT NULL,
	PRIMARY KEY (schedule, at)
);
