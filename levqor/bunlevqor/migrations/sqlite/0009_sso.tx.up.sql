-- Identity providers of tenants, tenant-owned. The secret is sealed.
CREATE TABLE levqor_sso_connection (
	id             integer NOT NULL PRIMARY KEY,
	tenant_id      integer NOT NULL,
	issuer         text NOT NULL,
	client_id      text NOT NULL,
	client_secret  text NOT NULL,
	role           text NOT NULL,
	required       integer NOT NULL,
	trust_mfa      integer NOT NULL,
	created_at     integer NOT NULL
) STRICT;

CREATE INDEX levqor_sso_connection_tenant ON levqor_sso_connection (tenant_id, id);

-- E-mail domains that connections have claimed, tenant-owned with them. One connection
-- has verified a domain.
CREATE TABLE levqor_sso_domain (
	connection_id  integer NOT NULL,
	domain         text NOT NULL,
	token          text NOT NULL,
	verified_at    integer,
	PRIMARY KEY (connection_id, domain)
) STRICT;

CREATE UNIQUE INDEX levqor_sso_domain_verified ON levqor_sso_domain (domain) WHERE verified_at IS NOT NULL;

-- Which user a provider's subject is, subject-owned; the tenant is the one through whose
-- connection the link was made.
CREATE TABLE levqor_sso_link (
	issuer      text NOT NULL,
	subject     text NOT NULL,
	user_id     integer NOT NULL,
	tenant_id   integer NOT NULL,
	created_at  integer NOT NULL,
	PRIMARY KEY (issuer, subject)
) STRICT;

CREATE UNIQUE INDEX levqor_sso_link_user ON levqor_sso_link (user_id, issuer);
CREATE INDEX levqor_sso_link_tenant ON levqor_sso_link (tenant_id);

-- Sign-ins that have begun, by the hash of the browser's secret.
CREATE TABLE levqor_sso_flow (
	hash           blob NOT NULL PRIMARY KEY,
	connection_id  integer NOT NULL,
	return_path    text NOT NULL,
	expires_at     integer NOT NULL
) STRICT;

CREATE INDEX levqor_sso_flow_expires ON levqor_sso_flow (expires_at);
