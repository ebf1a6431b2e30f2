-- Links and codes by which people sign in, subject-owned. Those with mail have one of the
-- slots of their address until they end.
CREATE TABLE levqor_login_link (
	id               text COLLATE "C" PRIMARY KEY,
	email            text NOT NULL,
	email_canonical  text NOT NULL,
	label            text NOT NULL,
	address          text NOT NULL,
	secret_hash      bytea NOT NULL,
	code_hash        bytea NOT NULL,
	cookie_hash      bytea NOT NULL,
	match_hash       bytea NOT NULL,
	slot             smallint,
	network          text NOT NULL,
	network_slot     smallint,
	tries            integer NOT NULL,
	created_at       timestamptz NOT NULL,
	expires_at       timestamptz NOT NULL,
	ended_at         timestamptz,
	UNIQUE (email_canonical, slot),
	UNIQUE (email_canonical, network, network_slot)
);

CREATE INDEX levqor_login_link_expires ON levqor_login_link (expires_at);

-- Who has signed in, subject-owned, by the hash of a token. Lifetimes are microseconds.
CREATE TABLE levqor_login_session (
	id          bigint PRIMARY KEY,
	hash        bytea NOT NULL UNIQUE,
	user_id     bigint NOT NULL,
	tenant_id   bigint NOT NULL,
	level       smallint NOT NULL,
	label       text NOT NULL,
	address     text NOT NULL,
	idle        bigint NOT NULL,
	absolute    bigint NOT NULL,
	created_at  timestamptz NOT NULL,
	seen_at     timestamptz NOT NULL,
	proven_at   timestamptz NOT NULL,
	expires_at  timestamptz NOT NULL
);

CREATE INDEX levqor_login_session_user ON levqor_login_session (user_id, created_at, id);
CREATE INDEX levqor_login_session_expires ON levqor_login_session (expires_at);
