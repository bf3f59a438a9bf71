-- A ledger of version 1 as that program made it, with rows in all of its states: its process died in session 2.
PRAGMA application_id = 1668112993;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,      -- the short number that stands for the id in the other tables
    id BLOB NOT NULL UNIQUE,
    key BLOB NOT NULL,            -- secret: makes the tags unforgeable
    server TEXT NOT NULL,
    rehearsal INTEGER NOT NULL,
    options TEXT,                 -- the options that shape rows, as named values
    n_rows INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER            -- when it was told to run
) STRICT;

CREATE TABLE manifests (
    run INTEGER NOT NULL,
    part INTEGER NOT NULL,
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    first_row INTEGER NOT NULL,
    n_rows INTEGER NOT NULL,
    PRIMARY KEY (run, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    part INTEGER NOT NULL,
    part_row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    id TEXT,
    type TEXT NOT NULL,
    template BLOB,
    target BLOB,
    smartcard BLOB,
    profile BLOB,
    comment TEXT NOT NULL,
    priority INTEGER,
    data TEXT,
    body TEXT,
    notes TEXT,
    skipped TEXT,                 -- why the row was left out from the start; NULL where it is to be sent
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

CREATE TABLE invalid_rows (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    part INTEGER NOT NULL,
    part_row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    original TEXT NOT NULL,
    errors TEXT NOT NULL,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
    run INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    last_row INTEGER NOT NULL,
    session INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (run, first_row, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcomes (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    state TEXT NOT NULL,          -- the state that the row went to
    source TEXT NOT NULL,         -- who says so: 'answer', or 'takeover' where a dead session left the attempt open
    session INTEGER NOT NULL,     -- the session that recorded it
    recorded_at INTEGER NOT NULL,
    started_at INTEGER,           -- when the call started; after a takeover when it was claimed
    latency_us INTEGER,
    http_status INTEGER,
    code TEXT,
    message TEXT,
    correlation_id TEXT,
    uuid BLOB,
    uri TEXT,
    replaced_by INTEGER,          -- the row that stands for this one
    PRIMARY KEY (run, row, attempt, verdict)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending_again (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    session INTEGER,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

CREATE TABLE tallies (
    run INTEGER NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    type TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run, state, code, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    run INTEGER NOT NULL,
    session INTEGER NOT NULL,
    version TEXT NOT NULL,
    user TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    command TEXT NOT NULL,
    options TEXT,
    started_at INTEGER NOT NULL,
    ledger_inode INTEGER NOT NULL, -- the ledger file's, so that a copy can be told
    ended_at INTEGER,
    how TEXT,                     -- 'finished', 'stopped', 'interrupted'; 'died' where the next session found it open
    reason TEXT,
    PRIMARY KEY (run, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    run INTEGER NOT NULL,
    event INTEGER NOT NULL,
    at INTEGER NOT NULL,
    session INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (run, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX items_by_id ON items (run, id) WHERE id IS NOT NULL;

CREATE INDEX outcomes_by_code ON outcomes (run, code, row) WHERE code IS NOT NULL;

CREATE VIEW results AS
-- One line for each row of the run, with the columns of `cmbatch export`; add ORDER BY row. GUIDs are text, times RFC 3339
-- in UTC, latency_ms is the last attempt's. A row whose call is open reads as in_doubt: whether its process still lives,
-- `cmbatch status` can tell and this view cannot. error_message of an invalid row is what is wrong with it, of a skipped
-- row why it was left out.
WITH placed AS (
    SELECT i.run, i.row, i.id, i.type, i.template, i.target, i.smartcard, i.skipped,
        p.attempt AS next_attempt,
        coalesce(
            (SELECT max(c.attempt) FROM claims c WHERE c.run = i.run AND c.first_row = i.row AND c.attempt > 1),
            (SELECT CASE WHEN c.last_row >= i.row THEN 1 ELSE 0 END FROM claims c
                WHERE c.run = i.run AND c.first_row <= i.row AND c.attempt = 1 ORDER BY c.first_row DESC LIMIT 1),
            0) AS claimed
    FROM items i LEFT JOIN pending_again p ON p.run = i.run AND p.row = i.row
),
judged AS (
    SELECT a.*, o.state, o.uri, o.uuid, o.http_status, o.code, o.message, o.correlation_id,
        a.next_attempt IS NULL AND a.claimed > coalesce(o.attempt, 0) AS open,
        (SELECT max(c.claimed_at) FROM claims c WHERE c.run = a.run AND c.attempt = a.claimed AND c.first_row =
            (SELECT max(f.first_row) FROM claims f
                WHERE f.run = a.run AND f.attempt = a.claimed AND f.first_row <= a.row)) AS claimed_at,
        (SELECT count(*) FROM outcomes x
            WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0) AS ended,
        (SELECT x.started_at FROM outcomes x WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0
            ORDER BY x.attempt LIMIT 1) AS first_at,
        (SELECT x.started_at FROM outcomes x WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0
            ORDER BY x.attempt DESC LIMIT 1) AS last_at,
        (SELECT x.latency_us / 1000 FROM outcomes x
            WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0
            ORDER BY x.attempt DESC LIMIT 1) AS last_ms
    FROM placed a LEFT JOIN outcomes o ON o.run = a.run AND o.row = a.row AND NOT EXISTS
        (SELECT 1 FROM outcomes x WHERE x.run = o.run AND x.row = o.row AND (x.attempt, x.verdict) > (o.attempt, o.verdict))
)
SELECT row, id, type, CASE WHEN template IS NOT NULL THEN lower(substr(hex(template),1,8)||'-'||substr(hex(template),9,4)||'-'||substr(hex(template),13,4)||'-'||substr(hex(template),17,4)||'-'||substr(hex(template),21)) END AS profiletemplateuuid, CASE WHEN target IS NOT NULL THEN lower(substr(hex(target),1,8)||'-'||substr(hex(target),9,4)||'-'||substr(hex(target),13,4)||'-'||substr(hex(target),17,4)||'-'||substr(hex(target),21)) END AS target, CASE WHEN smartcard IS NOT NULL THEN lower(substr(hex(smartcard),1,8)||'-'||substr(hex(smartcard),9,4)||'-'||substr(hex(smartcard),13,4)||'-'||substr(hex(smartcard),17,4)||'-'||substr(hex(smartcard),21)) END AS smartcard,
    CASE WHEN open THEN 'in_doubt' WHEN next_attempt IS NOT NULL THEN 'pending' WHEN state IS NOT NULL THEN state
        WHEN skipped IS NOT NULL THEN 'skipped' ELSE 'pending' END AS state,
    CASE WHEN NOT open THEN uri END AS request_uri,
    CASE WHEN NOT open THEN CASE WHEN uuid IS NOT NULL THEN lower(substr(hex(uuid),1,8)||'-'||substr(hex(uuid),9,4)||'-'||substr(hex(uuid),13,4)||'-'||substr(hex(uuid),17,4)||'-'||substr(hex(uuid),21)) END END AS request_uuid,
    CASE WHEN NOT open THEN http_status END AS http_status,
    CASE WHEN open THEN 'left-open' ELSE code END AS error_code,
    CASE WHEN NOT open THEN CASE WHEN state IS NULL THEN skipped ELSE message END END AS error_message,
    CASE WHEN NOT open THEN correlation_id END AS correlation_id,
    ended + open AS attempts,
    CASE WHEN open AND first_at IS NULL THEN strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch')||printf('.%03dZ', claimed_at / 1000 % 1000) ELSE strftime('%Y-%m-%dT%H:%M:%S', first_at / 1000000, 'unixepoch')||printf('.%03dZ', first_at / 1000 % 1000) END AS first_attempt_at,
    CASE WHEN open THEN strftime('%Y-%m-%dT%H:%M:%S', claimed_at / 1000000, 'unixepoch')||printf('.%03dZ', claimed_at / 1000 % 1000) ELSE strftime('%Y-%m-%dT%H:%M:%S', last_at / 1000000, 'unixepoch')||printf('.%03dZ', last_at / 1000 % 1000) END AS last_attempt_at,
    CASE WHEN NOT open THEN last_ms END AS latency_ms
FROM judged
UNION ALL
SELECT v.row, NULL, NULL, NULL, NULL, NULL,
    coalesce((SELECT o.state FROM outcomes o WHERE o.run = v.run AND o.row = v.row
        ORDER BY o.attempt DESC, o.verdict DESC LIMIT 1), 'invalid'),
    NULL, NULL, NULL, NULL, v.errors, NULL, 0, NULL, NULL, NULL
FROM invalid_rows v;

INSERT INTO runs VALUES (1, x'77777777777777777777777777777777', x'5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a', 'https://cm.example.test/CertificateManagement', 0, '[{"type":"Enroll"}]', 12, 1772352000000000, 1772352000000001);
INSERT INTO manifests VALUES (1, 1, 'wave.csv', 4096, x'abababababababababababababababababababababababababababababababab', 1, 12);
INSERT INTO items VALUES (1, 1, 1, 1, 2, 'E-1', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 2, 1, 2, 3, 'E-2', 'Renew', NULL, x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 3, 1, 3, 4, 'E-3', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 4, 1, 4, 5, 'E-4', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 5, 1, 5, 6, 'E-5', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 6, 1, 6, 7, 'E-6', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 7, 1, 7, 8, 'E-7', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 8, 1, 8, 9, 'E-8', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 9, 1, 9, 10, 'E-9', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', 'same as row 1');
INSERT INTO invalid_rows VALUES (1, 10, 1, 10, 11, '{"type":"Enrol"}', 'type "Enrol" is not known');
INSERT INTO items VALUES (1, 11, 1, 11, 12, 'E-11', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO items VALUES (1, 12, 1, 12, 13, 'E-12', 'Enroll', x'01010101010101010101010101010101', x'02020202020202020202020202020202', NULL, NULL, 'new hire', NULL, NULL, NULL, '[{"name":"Zoë"}]', NULL);
INSERT INTO claims VALUES (1, 1, 1, 5, 1, 1772352001000000);
INSERT INTO claims VALUES (1, 6, 1, 8, 2, 1772352060000000);
INSERT INTO claims VALUES (1, 5, 2, 5, 2, 1772352060000000);
INSERT INTO outcomes VALUES (1, 1, 1, 0, 'created', 'answer', 1, 1772352002000000, 1772352001100000, 12345, 201, NULL, NULL, NULL, x'c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1', 'api/v1.0/requests/c1c1c1c1-c1c1-c1c1-c1c1-c1c1c1c1c1c1', NULL);
INSERT INTO outcomes VALUES (1, 2, 1, 0, 'created', 'answer', 1, 1772352002000000, 1772352001100000, 12345, 201, NULL, NULL, NULL, x'c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2', 'api/v1.0/requests/c2c2c2c2-c2c2-c2c2-c2c2-c2c2c2c2c2c2', NULL);
INSERT INTO outcomes VALUES (1, 3, 1, 0, 'failed', 'answer', 1, 1772352002000000, 1772352001100000, 12345, 400, 'bad-request', 'the server said 400', 'c-1', NULL, NULL, NULL);
INSERT INTO outcomes VALUES (1, 4, 1, 0, 'in_doubt', 'answer', 1, 1772352002000000, 1772352001100000, 130000000, 504, 'gateway-timeout', 'the server said 504', NULL, NULL, NULL, NULL);
INSERT INTO outcomes VALUES (1, 5, 1, 0, 'pending', 'answer', 1, 1772352002000000, 1772352001100000, 900, 429, 'throttled', 'slow down', NULL, NULL, NULL, NULL);
INSERT INTO outcomes VALUES (1, 5, 2, 0, 'created', 'answer', 2, 1772352061000000, 1772352060100000, 5000, 201, NULL, NULL, NULL, x'c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5', 'api/v1.0/requests/c5c5c5c5-c5c5-c5c5-c5c5-c5c5c5c5c5c5', NULL);
INSERT INTO outcomes VALUES (1, 6, 1, 0, 'pending', 'answer', 2, 1772352061000000, 1772352060100000, 900, 429, 'throttled', 'slow down', NULL, NULL, NULL, NULL);
INSERT INTO pending_again VALUES (1, 6, 2, 2);
INSERT INTO pending_again VALUES (1, 7, 2, NULL);
INSERT INTO tallies VALUES (1, 'created', '', 'Enroll', 2);
INSERT INTO tallies VALUES (1, 'created', '', 'Renew', 1);
INSERT INTO tallies VALUES (1, 'failed', 'bad-request', 'Enroll', 1);
INSERT INTO tallies VALUES (1, 'in_doubt', 'gateway-timeout', 'Enroll', 1);
INSERT INTO tallies VALUES (1, 'pending', 'throttled', 'Enroll', 1);
INSERT INTO tallies VALUES (1, 'pending', '', 'Enroll', 3);
INSERT INTO tallies VALUES (1, 'sending', '', 'Enroll', 1);
INSERT INTO tallies VALUES (1, 'skipped', '', 'Enroll', 1);
INSERT INTO tallies VALUES (1, 'invalid', '', '', 1);
INSERT INTO sessions VALUES (1, 1, '0.1.0', 'alice', 'ops1', 4711, 'submit', NULL, 1772352000000000, 42, 1772352030000000, 'interrupted', NULL);
INSERT INTO sessions VALUES (1, 2, '0.1.0', 'alice', 'ops1', 4712, 'submit', NULL, 1772352059000000, 42, NULL, NULL, NULL);
INSERT INTO events VALUES (1, 1, 1772352000000001, 1, 'start', 'told to run');
