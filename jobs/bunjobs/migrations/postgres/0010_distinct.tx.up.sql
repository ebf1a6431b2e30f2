-- Entries of these indexes are all different. Looking for equal ones before each split of
-- a page costs an insertion one part in forty, measured.
ALTER INDEX levqor_jobs_live_turn SET (deduplicate_items = off);
ALTER INDEX levqor_jobs_live_line SET (deduplicate_items = off);
