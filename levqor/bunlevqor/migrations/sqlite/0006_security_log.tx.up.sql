-- Heads of security logs, tenant-owned: where each begins and ends.
CREATE TABLE levqor_guard_log (
	tenant    text NOT NULL PRIMARY KEY,
	base      integer NOT NULL,
	base_mac  blob NOT NULL,
	last      integer NOT NULL,
	last_mac  blob NOT NULL,
	key_name  text NOT NULL,
	mac       blob NOT NULL
) STRICT, WITHOUT ROWID;

-- Security events, tenant-owned. They are never changed, and deleted from the front alone.
CREATE TABLE levqor_guard_event (
	tenant      text NOT NULL,
	seq         integer NOT NULL,
	at          integer NOT NULL,
	action      text NOT NULL,
	outcome     text NOT NULL,
	actor       text NOT NULL,
	target      text NOT NULL,
	request_id  text NOT NULL,
	address     text NOT NULL,
	detail      text NOT NULL,
	count       integer NOT NULL,
	key_name    text NOT NULL,
	mac         blob NOT NULL,
	PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX levqor_guard_event_action ON levqor_guard_event (tenant, action, seq);
CREATE INDEX levqor_guard_event_actor ON levqor_guard_event (tenant, actor, seq);

-- These keep mistakes out. Whoever may drop them can do as they like; that is what the
-- keyed hashes are for.
CREATE TRIGGER levqor_guard_event_change BEFORE UPDATE ON levqor_guard_event
BEGIN
	SELECT RAISE(ABORT, 'security events are never changed');
END;

CREATE TRIGGER levqor_guard_event_delete BEFORE DELETE ON levqor_guard_event
WHEN NOT EXISTS (SELECT 1 FROM levqor_guard_log WHERE tenant = OLD.tenant AND base >= OLD.seq)
BEGIN
	SELECT RAISE(ABORT, 'security events are deleted from the front alone');
END;

CREATE TRIGGER levqor_guard_log_change BEFORE UPDATE ON levqor_guard_log
WHEN NEW.tenant <> OLD.tenant OR NEW.base < OLD.base OR NEW.last < OLD.last
BEGIN
	SELECT RAISE(ABORT, 'a security log only ever grows at its end and has its time at its front');
END;

CREATE TRIGGER levqor_guard_log_delete BEFORE DELETE ON levqor_guard_log
WHEN EXISTS (SELECT 1 FROM levqor_guard_event WHERE tenant = OLD.tenant)
BEGIN
	SELECT RAISE(ABORT, 'a security log only ever grows at its end and has its time at its front');
END;
