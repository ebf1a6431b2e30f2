-- How much of their rate limits keys have used, operator-owned: by the hash of a key and
-- its policy, when the quota will be full again, in microseconds since 1970. Each request
-- writes here, so there is no log to wait for and room beside each row for its next version,
-- and no other index, which would have an entry for each version. A crash of the server
-- empties it: quotas are full then.
CREATE UNLOGGED TABLE levqor_guard_rate (
	key      text COLLATE "C" PRIMARY KEY,
	arrival  bigint NOT NULL
) WITH (fillfactor = 40);
