"""The checks of peer_csv.py in DuckDB: peer_duckdb.py FILE

One pass over the file, all cores. Repeated ids and requests are counted, not named.
"""

import sys

import duckdb

TYPES = ("enroll", "duplicate", "offlineunblock", "onlineupdate", "renew", "recover", "recoveronbehalf", "reinstate", "retire",
         "revoke", "temporarycards", "unblock")
GUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

CHECK = f"""
WITH manifest AS (
    SELECT id, lower(type) AS kind, lower(target) AS target, lower(profiletemplateuuid) AS template, priority
    FROM read_csv(?, header = true, all_varchar = true, delim = ',', quote = '"', escape = '"')
),
checked AS (
    SELECT *, coalesce(kind IN {TYPES} AND regexp_full_match(target, '{GUID}')
        AND CASE WHEN template IS NULL THEN kind <> 'enroll' ELSE regexp_full_match(template, '{GUID}') END
        AND (priority IS NULL OR coalesce(try_cast(priority AS INTEGER) BETWEEN 0 AND 255, false)), false) AS is_good
    FROM manifest
)
SELECT count(*) FILTER (NOT is_good)
    + count(id) FILTER (is_good) - count(DISTINCT id) FILTER (is_good)
    + count(*) FILTER (is_good) - count(DISTINCT (kind, target, template)) FILTER (is_good)
FROM checked
"""

print(duckdb.execute(CHECK, [sys.argv[1]]).fetchone()[0])
