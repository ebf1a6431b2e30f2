-- Labels of jobs, as a JSON object; NULL for none, which costs a row nothing.
ALTER TABLE levqor_jobs_live ADD COLUMN metadata text;
ALTER TABLE levqor_jobs_done ADD COLUMN metadata text;
ALTER TABLE levqor_jobs_schedule ADD COLUMN metadata text;
