-- Heads of security logs, tenant-owned: where each begins and ends. Whoever appends holds
-- the row.
CREATE TABLE levqor_guard_log (
	tenant    text PRIMARY KEY,
	base      bigint NOT NULL,
	base_mac  bytea NOT NULL,
	last      bigint NOT NULL,
	last_mac  bytea NOT NULL,
	key_name  text NOT NULL,
	mac       bytea NOT NULL
);

-- Security events, tenant-owned. They are never changed, and deleted from the front alone.
CREATE TABLE levqor_guard_event (
	tenant      text NOT NULL,
	seq         bigint NOT NULL,
	at          timestamptz NOT NULL,
	action      text NOT NULL,
	outcome     text NOT NULL,
	actor       text NOT NULL,
	target      text NOT NULL,
	request_id  text NOT NULL,
	address     text NOT NULL,
	detail      text NOT NULL,
	count       bigint NOT NULL,
	key_name    text NOT NULL,
	mac         bytea NOT NULL,
	PRIMARY KEY (tenant, seq)
);

CREATE INDEX levqor_guard_event_action ON levqor_guard_event (tenant, action, seq);
CREATE INDEX levqor_guard_event_actor ON levqor_guard_event (tenant, actor, seq);

-- These keep mistakes out. Whoever may drop them can do as they like; that is what the
-- keyed hashes are for.
CREATE FUNCTION levqor_guard_event_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' AND OLD.seq <= (SELECT base FROM levqor_guard_log WHERE tenant = OLD.tenant) THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'security events are never changed, and deleted from the front alone';
END $$;

CREATE TRIGGER levqor_guard_event_keep BEFORE UPDATE OR DELETE ON levqor_guard_event
	FOR EACH ROW EXECUTE FUNCTION levqor_guard_event_keep();
CREATE TRIGGER levqor_guard_event_keep_all BEFORE TRUNCATE ON levqor_guard_event
	FOR EACH STATEMENT EXECUTE FUNCTION levqor_guard_event_keep();

CREATE FUNCTION levqor_guard_log_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'UPDATE' AND NEW.tenant = OLD.tenant AND NEW.base >= OLD.base AND NEW.last >= OLD.last THEN
		RETURN NEW;
	END IF;
	IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM levqor_guard_event WHERE tenant = OLD.tenant) THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'a security log only ever grows at its end and has its time at its front';
END $$;

CREATE TRIGGER levqor_guard_log_keep BEFORE UPDATE OR DELETE ON levqor_guard_log
	FOR EACH ROW EXECUTE FUNCTION levqor_guard_log_keep();
