-- How much of their rate limits keys have used, operator-owned: by the hash of a key and
-- its policy, when the quota will be full again, in microseconds since 1970.
CREATE TABLE levqor_guard_rate (
	key      text NOT NULL PRIMARY KEY,
	arrival  integer NOT NULL
) STRICT, WITHOUT ROWID;
