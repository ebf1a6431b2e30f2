-- Invitations, tenant-owned; of an open one both addresses are empty.
CREATE TABLE levqor_identity_invitation (
	id               bigint PRIMARY KEY,
	tenant_id        bigint NOT NULL,
	email            text NOT NULL,
	email_canonical  text NOT NULL,
	role             text NOT NULL,
	scopes           text NOT NULL,
	inviter          text NOT NULL,
	hash             bytea NOT NULL,
	created_at       timestamptz NOT NULL,
	expires_at       timestamptz NOT NULL,
	UNIQUE (tenant_id, email_canonical)
);

CREATE INDEX levqor_identity_invitation_tenant ON levqor_identity_invitation (tenant_id, id);
CREATE INDEX levqor_identity_invitation_expires ON levqor_identity_invitation (expires_at);
