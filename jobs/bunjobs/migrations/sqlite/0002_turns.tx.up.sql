-- Ready jobs are claimed tenant by tenant. Within a tenant a job's turn is its
-- run_at, put off by ten minutes for each step of its priority: a job that has
-- waited overtakes younger ones of a higher priority.
ALTER TABLE levqor_jobs_live ADD COLUMN turn integer NOT NULL DEFAULT 0;
UPDATE levqor_jobs_live SET turn = run_at + priority * 600000000;
DROP INDEX levqor_jobs_live_ready;
CREATE INDEX levqor_jobs_live_turn ON levqor_jobs_live (queue, tenant, turn, id) WHERE state = 2;

-- Running jobs are few and found by their node. A program with a single tenant,
-- whose name is empty, lists its jobs by their ID.
DROP INDEX levqor_jobs_live_tenant;
CREATE INDEX levqor_jobs_live_tenant ON levqor_jobs_live (tenant, id) WHERE state <> 3 AND tenant <> '';
