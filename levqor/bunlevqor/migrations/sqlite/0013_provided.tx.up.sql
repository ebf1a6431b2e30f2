-- Whose identity provider, and nothing else, has said who it is; 0 once the user has shown
-- something of their own. That of a session from before is known if it has vouched.
ALTER TABLE levqor_login_session ADD COLUMN provider integer NOT NULL DEFAULT 0;

UPDATE levqor_login_session SET provider = vouched WHERE vouched <> 0;
