-- For which tenant its identity provider has vouched for a second factor; 0 for none.
ALTER TABLE levqor_login_session ADD COLUMN vouched bigint NOT NULL DEFAULT 0;

CREATE INDEX levqor_login_session_vouched ON levqor_login_session (vouched) WHERE vouched <> 0;

-- How long ago somebody may have proved to the provider who they are, in microseconds; 0 for
-- as long as it likes.
ALTER TABLE levqor_sso_flow ADD COLUMN max_age bigint NOT NULL DEFAULT 0;
