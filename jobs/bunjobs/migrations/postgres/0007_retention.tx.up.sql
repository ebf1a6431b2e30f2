-- History is dropped by partitions, which workers make ahead: one for each day. They
-- can do so while the default partition is small, so what stands in it from before
-- becomes a partition of its own.
DO $$
DECLARE
	upper_bound timestamptz;
BEGIN
	SELECT date_trunc('day', greatest(max(finished_at), statement_timestamp()) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '24 hours'
		INTO upper_bound FROM levqor_jobs_done_default HAVING count(*) > 0;
	IF upper_bound IS NOT NULL THEN
		ALTER TABLE levqor_jobs_done DETACH PARTITION levqor_jobs_done_default;
		ALTER TABLE levqor_jobs_done_default RENAME TO levqor_jobs_done_before;
		EXECUTE format('ALTER TABLE levqor_jobs_done ATTACH PARTITION levqor_jobs_done_before FOR VALUES FROM (MINVALUE) TO (%L)', upper_bound);
		CREATE INDEX levqor_jobs_done_before_over ON levqor_jobs_done_before (finished_at) WHERE state <> 7;
		CREATE TABLE levqor_jobs_done_default PARTITION OF levqor_jobs_done DEFAULT;
	END IF;
END $$;

-- Dead letters outlive their day. What else stands in the default partition is deleted
-- row by row, and in no other: there this index would cost each completion.
CREATE INDEX levqor_jobs_done_dead ON levqor_jobs_done (finished_at) WHERE state = 7;
CREATE INDEX levqor_jobs_done_default_over ON levqor_jobs_done_default (finished_at) WHERE state <> 7;
