-- A link counts for the tenant through whose connection it was made, and for no other.
ALTER TABLE levqor_sso_link DROP CONSTRAINT levqor_sso_link_pkey;
ALTER TABLE levqor_sso_link ADD PRIMARY KEY (tenant_id, issuer, subject);

DROP INDEX levqor_sso_link_user;
DROP INDEX levqor_sso_link_tenant;
CREATE UNIQUE INDEX levqor_sso_link_user ON levqor_sso_link (user_id, tenant_id, issuer);
