-- Whether addresses of verified domains count of which the provider does not say whether
-- they are verified.
ALTER TABLE levqor_sso_connection ADD COLUMN trust_email boolean NOT NULL DEFAULT false;

-- Who has been in a tenant and is no more, subject-owned: no provider lets them in again.
CREATE TABLE levqor_identity_removed (
	tenant_id   bigint NOT NULL,
	user_id     bigint NOT NULL,
	removed_at  timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, user_id)
);

CREATE INDEX levqor_identity_removed_user ON levqor_identity_removed (user_id);
