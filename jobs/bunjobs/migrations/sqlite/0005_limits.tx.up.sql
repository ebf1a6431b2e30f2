-- Jobs with a limit key stand in a line of their own, so that what a limit holds back
-- is passed over as a whole. Those without one, which are most, keep a narrow index.
ALTER TABLE levqor_jobs_live ADD COLUMN limit_key text;
ALTER TABLE levqor_jobs_done ADD COLUMN limit_key text;
DROP INDEX levqor_jobs_live_turn;
CREATE INDEX levqor_jobs_live_turn ON levqor_jobs_live (queue, tenant, turn, id) WHERE state = 2 AND limit_key IS NULL;
CREATE INDEX levqor_jobs_live_line ON levqor_jobs_live (queue, tenant, limit_key, turn, id) WHERE state = 2 AND limit_key IS NOT NULL;

-- How queues are worked off. Claims of a queue with limits take its row first, one
-- after the other.
CREATE TABLE levqor_jobs_queue (
	name            text PRIMARY KEY,
	paused          integer NOT NULL,
	max_running     integer NOT NULL,
	max_per_tenant  integer NOT NULL,
	max_per_key     integer NOT NULL,
	rate_count      integer NOT NULL,
	rate_per        integer NOT NULL,
	key_rate_count  integer NOT NULL,
	key_rate_per    integer NOT NULL,
	weights         text NOT NULL
) STRICT;

-- When the next start is due by a rate: of a queue, where tenant and limit key are
-- empty, or of a line.
CREATE TABLE levqor_jobs_rate (
	queue      text NOT NULL,
	tenant     text NOT NULL,
	limit_key  text NOT NULL,
	arrival    integer NOT NULL,
	PRIMARY KEY (queue, tenant, limit_key)
) STRICT;
