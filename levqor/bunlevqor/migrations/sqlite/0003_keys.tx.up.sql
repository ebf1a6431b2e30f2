-- Rotation, networks and use of API keys. Keys that programs of the version before store are live.
ALTER TABLE levqor_identity_key ADD COLUMN environment text NOT NULL DEFAULT 'live';
ALTER TABLE levqor_identity_key ADD COLUMN last_four text NOT NULL DEFAULT '';
ALTER TABLE levqor_identity_key ADD COLUMN creator text NOT NULL DEFAULT '';
ALTER TABLE levqor_identity_key ADD COLUMN old_hash blob;
ALTER TABLE levqor_identity_key ADD COLUMN networks text NOT NULL DEFAULT '';
ALTER TABLE levqor_identity_key ADD COLUMN last_used_at integer;
ALTER TABLE levqor_identity_key ADD COLUMN rotated_at integer;
ALTER TABLE levqor_identity_key ADD COLUMN retiring_until integer;

-- Lists of a tenant's keys, the newest first.
CREATE INDEX levqor_identity_key_created ON levqor_identity_key (tenant, created_at, id);
