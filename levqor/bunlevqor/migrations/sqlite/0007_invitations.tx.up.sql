-- Invitations, tenant-owned; of an open one both addresses are empty.
CREATE TABLE levqor_identity_invitation (
	id               integer NOT NULL PRIMARY KEY,
	tenant_id        integer NOT NULL,
	email            text NOT NULL,
	email_canonical  text NOT NULL,
	role             text NOT NULL,
	scopes           text NOT NULL,
	inviter          text NOT NULL,
	hash             blob NOT NULL,
	created_at       integer NOT NULL,
	expires_at       integer NOT NULL,
	UNIQUE (tenant_id, email_canonical)
) STRICT;

CREATE INDEX levqor_identity_invitation_tenant ON levqor_identity_invitation (tenant_id, id);
CREATE INDEX levqor_identity_invitation_expires ON levqor_identity_invitation (expires_at);
