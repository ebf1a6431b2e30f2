-- API keys, tenant-owned. The slot "owner" is taken once.
CREATE TABLE levqor_identity_key (
	id          text NOT NULL PRIMARY KEY,
	tenant      text NOT NULL,
	name        text NOT NULL,
	hash        blob NOT NULL,
	scopes      text NOT NULL,
	slot        text UNIQUE,
	created_at  integer NOT NULL,
	expires_at  integer,
	revoked_at  integer
) STRICT;

CREATE INDEX levqor_identity_key_tenant ON levqor_identity_key (tenant, id);

-- Answers to requests with an idempotency key, tenant-owned.
CREATE TABLE levqor_idempotency (
	tenant       text NOT NULL,
	caller       text NOT NULL,
	operation    text NOT NULL,
	key          text NOT NULL,
	fingerprint  blob NOT NULL,
	status       integer NOT NULL,
	header       text NOT NULL,
	body         text NOT NULL,
	expires_at   integer NOT NULL,
	PRIMARY KEY (tenant, caller, operation, key)
) STRICT;

CREATE INDEX levqor_idempotency_expires ON levqor_idempotency (expires_at);
