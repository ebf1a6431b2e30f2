-- Rotation, networks and use of API keys. Keys that programs of the version before store are live.
ALTER TABLE levqor_identity_key
	ADD COLUMN environment text NOT NULL DEFAULT 'live',
	ADD COLUMN last_four text NOT NULL DEFAULT '',
	ADD COLUMN creator text NOT NULL DEFAULT '',
	ADD COLUMN old_hash bytea,
	ADD COLUMN networks text NOT NULL DEFAULT '',
	ADD COLUMN last_used_at timestamptz,
	ADD COLUMN rotated_at timestamptz,
	ADD COLUMN retiring_until timestamptz;

-- Lists of a tenant's keys, the newest first.
CREATE INDEX levqor_identity_key_created ON levqor_identity_key (tenant, created_at, id);
