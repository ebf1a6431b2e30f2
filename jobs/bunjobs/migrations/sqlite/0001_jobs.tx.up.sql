-- Jobs that are not over. Times are microseconds since 1970.
CREATE TABLE levqor_jobs_live (
	id            integer PRIMARY KEY,
	tenant        text NOT NULL,
	kind          text NOT NULL,
	queue         text NOT NULL,
	state         integer NOT NULL,
	priority      integer NOT NULL,
	args          text NOT NULL,
	result        text,
	fraction      real NOT NULL,
	note          text NOT NULL,
	attempt       integer NOT NULL,
	max_attempts  integer NOT NULL,
	attempts      text,
	timeout       integer NOT NULL,
	created_at    integer NOT NULL,
	run_at        integer NOT NULL,
	started_at    integer,
	finished_at   integer,
	epoch         integer NOT NULL,
	node          integer
) STRICT;

CREATE INDEX levqor_jobs_live_ready ON levqor_jobs_live (queue, priority, run_at, id) WHERE state = 2;
CREATE INDEX levqor_jobs_live_due ON levqor_jobs_live (run_at, id) WHERE state IN (1, 4);
CREATE INDEX levqor_jobs_live_node ON levqor_jobs_live (node) WHERE state = 3;
CREATE INDEX levqor_jobs_live_tenant ON levqor_jobs_live (tenant, id);

-- Jobs that are over: the same columns.
CREATE TABLE levqor_jobs_done (
	id            integer PRIMARY KEY,
	tenant        text NOT NULL,
	kind          text NOT NULL,
	queue         text NOT NULL,
	state         integer NOT NULL,
	priority      integer NOT NULL,
	args          text NOT NULL,
	result        text,
	fraction      real NOT NULL,
	note          text NOT NULL,
	attempt       integer NOT NULL,
	max_attempts  integer NOT NULL,
	attempts      text,
	timeout       integer NOT NULL,
	created_at    integer NOT NULL,
	run_at        integer NOT NULL,
	started_at    integer,
	finished_at   integer NOT NULL,
	epoch         integer NOT NULL,
	node          integer
) STRICT;

CREATE INDEX levqor_jobs_done_tenant ON levqor_jobs_done (tenant, id);

-- Worker processes, each with the lease that covers all jobs it runs.
CREATE TABLE levqor_jobs_node (
	id           integer PRIMARY KEY,
	name         text NOT NULL,
	lease_until  integer NOT NULL
) STRICT;
