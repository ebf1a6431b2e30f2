-- What handlers wrote about jobs.
CREATE TABLE levqor_jobs_log (
	job      bigint NOT NULL,
	line     integer NOT NULL,
	attempt  integer NOT NULL,
	at       timestamptz NOT NULL,
	text     text NOT NULL,
	PRIMARY KEY (job, line)
);
