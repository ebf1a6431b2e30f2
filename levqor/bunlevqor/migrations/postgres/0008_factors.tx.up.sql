-- Second factors, all subject-owned: they go with their user. An authenticator app's
-- secrets, sealed: the one in use with the last step whose code was used, and the one
-- that waits for its first code.
CREATE TABLE levqor_factor_totp (
	user_id        bigint PRIMARY KEY,
	secret         text,
	last_step      bigint NOT NULL,
	confirmed_at   timestamptz,
	pending        text,
	pending_until  timestamptz
);

-- Hashes of recovery codes that have not been used.
CREATE TABLE levqor_factor_recovery (
	user_id     bigint NOT NULL,
	hash        bytea NOT NULL,
	created_at  timestamptz NOT NULL,
	PRIMARY KEY (user_id, hash)
);

-- Passkeys: credential records of WebAuthn.
CREATE TABLE levqor_factor_passkey (
	id               bytea PRIMARY KEY,
	user_id          bigint NOT NULL,
	name             text NOT NULL,
	public_key       bytea NOT NULL,
	sign_count       bigint NOT NULL,
	aaguid           bytea NOT NULL,
	transports       text NOT NULL,
	backup_eligible  boolean NOT NULL,
	backed_up        boolean NOT NULL,
	created_at       timestamptz NOT NULL,
	last_used_at     timestamptz
);

CREATE INDEX levqor_factor_passkey_user ON levqor_factor_passkey (user_id, created_at, id);

-- Challenges that no authenticator has answered yet; user_id is 0 if anybody may.
CREATE TABLE levqor_factor_ceremony (
	hash        bytea PRIMARY KEY,
	user_id     bigint NOT NULL,
	purpose     text NOT NULL,
	data        bytea NOT NULL,
	expires_at  timestamptz NOT NULL
);

CREATE INDEX levqor_factor_ceremony_expires ON levqor_factor_ceremony (expires_at);
CREATE INDEX levqor_factor_ceremony_user ON levqor_factor_ceremony (user_id) WHERE user_id <> 0;
