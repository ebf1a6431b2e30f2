-- A link counts for the tenant through whose connection it was made, and for no other.
CREATE TABLE levqor_sso_link_0012 (
	issuer      text NOT NULL,
	subject     text NOT NULL,
	user_id     integer NOT NULL,
	tenant_id   integer NOT NULL,
	created_at  integer NOT NULL,
	PRIMARY KEY (tenant_id, issuer, subject)
) STRICT;

INSERT INTO levqor_sso_link_0012 (issuer, subject, user_id, tenant_id, created_at)
SELECT issuer, subject, user_id, tenant_id, created_at FROM levqor_sso_link;
DROP TABLE levqor_sso_link;
ALTER TABLE levqor_sso_link_0012 RENAME TO levqor_sso_link;

CREATE UNIQUE INDEX levqor_sso_link_user ON levqor_sso_link (user_id, tenant_id, issuer);
