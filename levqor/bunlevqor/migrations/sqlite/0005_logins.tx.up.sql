-- Links and codes by which people sign in, subject-owned. Those with mail have one of the
-- slots of their address until they end.
CREATE TABLE levqor_login_link (
	id               text NOT NULL PRIMARY KEY,
	email            text NOT NULL,
	email_canonical  text NOT NULL,
	label            text NOT NULL,
	address          text NOT NULL,
	secret_hash      blob NOT NULL,
	code_hash        blob NOT NULL,
	cookie_hash      blob NOT NULL,
	match_hash       blob NOT NULL,
	slot             integer,
	network          text NOT NULL,
	network_slot     integer,
	tries            integer NOT NULL,
	created_at       integer NOT NULL,
	expires_at       integer NOT NULL,
	ended_at         integer,
	UNIQUE (email_canonical, slot),
	UNIQUE (email_canonical, network, network_slot)
) STRICT;

CREATE INDEX levqor_login_link_expires ON levqor_login_link (expires_at);

-- Who has signed in, subject-owned, by the hash of a token. Lifetimes are microseconds.
CREATE TABLE levqor_login_session (
	id          integer NOT NULL PRIMARY KEY,
	hash        blob NOT NULL UNIQUE,
	user_id     integer NOT NULL,
	tenant_id   integer NOT NULL,
	level       integer NOT NULL,
	label       text NOT NULL,
	address     text NOT NULL,
	idle        integer NOT NULL,
	absolute    integer NOT NULL,
	created_at  integer NOT NULL,
	seen_at     integer NOT NULL,
	proven_at   integer NOT NULL,
	expires_at  integer NOT NULL
) STRICT;

CREATE INDEX levqor_login_session_user ON levqor_login_session (user_id, created_at, id);
CREATE INDEX levqor_login_session_expires ON levqor_login_session (expires_at);
