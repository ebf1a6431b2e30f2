-- What leads users back to addresses that they have left, subject-owned. Steps order a user's
-- changes. Nobody else gets the address of a row until it expires.
CREATE TABLE levqor_identity_undo (
	id               bigint PRIMARY KEY,
	user_id          bigint NOT NULL,
	email            text NOT NULL,
	email_canonical  text NOT NULL,
	hash             bytea NOT NULL,
	step             integer NOT NULL,
	created_at       timestamptz NOT NULL,
	expires_at       timestamptz NOT NULL,
	UNIQUE (user_id, step)
);

CREATE INDEX levqor_identity_undo_email ON levqor_identity_undo (email_canonical, step);
CREATE INDEX levqor_identity_undo_expires ON levqor_identity_undo (expires_at);

-- Who wants to move to the address of a link; 0 for somebody who wants to sign in.
ALTER TABLE levqor_login_link ADD COLUMN user_id bigint NOT NULL DEFAULT 0;

CREATE INDEX levqor_login_link_user ON levqor_login_link (user_id) WHERE user_id <> 0;
