-- People, subject-owned. An address is free when its user has been forgotten.
CREATE TABLE levqor_identity_user (
	id               bigint PRIMARY KEY,
	email            text NOT NULL,
	email_canonical  text NOT NULL UNIQUE,
	name             text NOT NULL,
	created_at       timestamptz NOT NULL,
	disabled_at      timestamptz,
	deleted_at       timestamptz
);

CREATE INDEX levqor_identity_user_deleted ON levqor_identity_user (id) WHERE deleted_at IS NOT NULL;

-- Tenants, operator-owned; deleted_with is the user whose deletion deleted one.
CREATE TABLE levqor_identity_tenant (
	id            bigint PRIMARY KEY,
	name          text NOT NULL,
	created_at    timestamptz NOT NULL,
	deleted_at    timestamptz,
	deleted_with  bigint
);

CREATE INDEX levqor_identity_tenant_deleted ON levqor_identity_tenant (id) WHERE deleted_at IS NOT NULL;
CREATE INDEX levqor_identity_tenant_deleted_with ON levqor_identity_tenant (deleted_with) WHERE deleted_with IS NOT NULL;

INSERT INTO levqor_identity_tenant (id, name, created_at) VALUES (1, 'default', statement_timestamp());

-- Who is a member of which tenant, tenant-owned. A change holds its tenant's row.
CREATE TABLE levqor_identity_member (
	tenant_id   bigint NOT NULL,
	user_id     bigint NOT NULL,
	role        text NOT NULL,
	scopes      text NOT NULL,
	created_at  timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, user_id)
);

CREATE INDEX levqor_identity_member_user ON levqor_identity_member (user_id, tenant_id);
