-- Second factors, all subject-owned: they go with their user. An authenticator app's
-- secrets, sealed: the one in use with the last step whose code was used, and the one
-- that waits for its first code.
CREATE TABLE levqor_factor_totp (
	user_id        integer NOT NULL PRIMARY KEY,
	secret         text,
	last_step      integer NOT NULL,
	confirmed_at   integer,
	pending        text,
	pending_until  integer
) STRICT;

-- Hashes of recovery codes that have not been used.
CREATE TABLE levqor_factor_recovery (
	user_id     integer NOT NULL,
	hash        blob NOT NULL,
	created_at  integer NOT NULL,
	PRIMARY KEY (user_id, hash)
) STRICT;

-- Passkeys: credential records of WebAuthn.
CREATE TABLE levqor_factor_passkey (
	id               blob NOT NULL PRIMARY KEY,
	user_id          integer NOT NULL,
	name             text NOT NULL,
	public_key       blob NOT NULL,
	sign_count       integer NOT NULL,
	aaguid           blob NOT NULL,
	transports       text NOT NULL,
	backup_eligible  integer NOT NULL,
	backed_up        integer NOT NULL,
	created_at       integer NOT NULL,
	last_used_at     integer
) STRICT;

CREATE INDEX levqor_factor_passkey_user ON levqor_factor_passkey (user_id, created_at, id);

-- Challenges that no authenticator has answered yet; user_id is 0 if anybody may.
CREATE TABLE levqor_factor_ceremony (
	hash        blob NOT NULL PRIMARY KEY,
	user_id     integer NOT NULL,
	purpose     text NOT NULL,
	data        blob NOT NULL,
	expires_at  integer NOT NULL
) STRICT;

CREATE INDEX levqor_factor_ceremony_expires ON levqor_factor_ceremony (expires_at);
CREATE INDEX levqor_factor_ceremony_user ON levqor_factor_ceremony (user_id) WHERE user_id <> 0;
