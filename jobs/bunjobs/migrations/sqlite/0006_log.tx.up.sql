-- What handlers wrote about jobs.
CREATE TABLE levqor_jobs_log (
	job      integer NOT NULL,
	line     integer NOT NULL,
	attempt  integer NOT NULL,
	at       integer NOT NULL,
	text     text NOT NULL,
	PRIMARY KEY (job, line)
) STRICT, WITHOUT ROWID;
