-- What a job is unique by among those of its tenant that are not over. Those that are
-- over count by choice, which the one that is stored next makes.
ALTER TABLE levqor_jobs_live ADD COLUMN unique_key text;
ALTER TABLE levqor_jobs_done ADD COLUMN unique_key text;
CREATE UNIQUE INDEX levqor_jobs_live_unique ON levqor_jobs_live (tenant, unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX levqor_jobs_done_unique ON levqor_jobs_done (tenant, unique_key) WHERE unique_key IS NOT NULL;
