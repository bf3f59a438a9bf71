//! The view `results`, for people with `sqlite3`.

use super::state::RowState;
use crate::request::ErrorCode;

/// The view's head, and what its columns are made of.
const RESULTS: &str = "CREATE VIEW results AS
-- One line for each row of the run, with the columns of `cmbatch export`; add ORDER BY row. GUIDs are text, times RFC 3339
-- in UTC, latency_ms is the last attempt's. A row whose call is open reads as in_doubt: whether its process still lives,
-- `cmbatch status` can tell and this view cannot. error_message of an invalid row is what is wrong with it, of a skipped
-- row why it was left out, of a replaced row which one stands for it.
WITH placed AS (
    SELECT i.run, i.row, i.id, i.type, i.template, i.target, i.smartcard, i.skipped,
        coalesce(p.attempt, l.attempt) AS next_attempt, l.row IS NOT NULL AS left_out, l.reason,
        coalesce(
            (SELECT max(c.attempt) FROM claims c WHERE c.run = i.run AND c.first_row = i.row AND c.attempt > 1),
            (SELECT CASE WHEN c.last_row >= i.row THEN 1 ELSE 0 END FROM claims c
                WHERE c.run = i.run AND c.first_row <= i.row AND c.attempt = 1 ORDER BY c.first_row DESC LIMIT 1),
            0) AS claimed
    FROM items i LEFT JOIN pending_again p ON p.run = i.run AND p.row = i.row
        LEFT JOIN left_out l ON l.run = i.run AND l.row = i.row
),
judged AS (
    SELECT a.*, o.state, o.message,
        CASE WHEN NOT a.left_out THEN o.uri END AS uri, CASE WHEN NOT a.left_out THEN o.uuid END AS uuid,
        CASE WHEN NOT a.left_out THEN o.http_status END AS http_status, CASE WHEN NOT a.left_out THEN o.code END AS code,
        CASE WHEN NOT a.left_out THEN o.correlation_id END AS correlation_id,
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
";

/// Returns the statement that makes the view.
///
/// The view cannot ask whether the process that holds the ledger still lives, so a row whose call is open reads as in doubt.
pub(super) fn results_view() -> String {
    let guid = |column: &str| {
        format!(
            "CASE WHEN {column} IS NOT NULL THEN lower(substr(hex({column}),1,8)||'-'||substr(hex({column}),9,4)||'-'||substr(hex({column}),13,4)||'-'\
             ||substr(hex({column}),17,4)||'-'||substr(hex({column}),21)) END"
        )
    };
    let time = |column: &str| {
        format!(
            "strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')||printf('.%03dZ', {column} / 1000 % 1000)"
        )
    };
    format!(
        "{RESULTS}SELECT row, id, type, {template} AS profiletemplateuuid, {target} AS target, {smartcard} AS smartcard,
    CASE WHEN left_out THEN '{skipped}' WHEN open THEN '{in_doubt}' WHEN next_attempt IS NOT NULL THEN '{pending}' WHEN state IS NOT NULL THEN state
        WHEN skipped IS NOT NULL THEN '{skipped}' ELSE '{pending}' END AS state,
    CASE WHEN NOT open THEN uri END AS request_uri,
    CASE WHEN NOT open THEN {uuid} END AS request_uuid,
    CASE WHEN NOT open THEN http_status END AS http_status,
    CASE WHEN open THEN '{left_open}' ELSE code END AS error_code,
    CASE WHEN left_out THEN reason WHEN NOT open THEN CASE WHEN state IS NULL THEN skipped ELSE message END END AS error_message,
    CASE WHEN NOT open THEN correlation_id END AS correlation_id,
    ended + open AS attempts,
    CASE WHEN open AND first_at IS NULL THEN {claimed_at} ELSE {first_at} END AS first_attempt_at,
    CASE WHEN open THEN {claimed_at} ELSE {last_at} END AS last_attempt_at,
    CASE WHEN NOT open THEN last_ms END AS latency_ms
FROM judged
UNION ALL
SELECT v.row, NULL, NULL, NULL, NULL, NULL, CASE WHEN l.row IS NOT NULL THEN '{skipped}' ELSE coalesce(o.state, '{invalid}') END,
    NULL, NULL, NULL, NULL, coalesce(l.reason, o.message, v.errors), NULL, 0, NULL, NULL, NULL
FROM invalid_rows v LEFT JOIN left_out l ON l.run = v.run AND l.row = v.row LEFT JOIN outcomes o ON o.run = v.run AND o.row = v.row AND NOT EXISTS
    (SELECT 1 FROM outcomes x WHERE x.run = o.run AND x.row = o.row AND (x.attempt, x.verdict) > (o.attempt, o.verdict));",
        template = guid("template"),
        target = guid("target"),
        smartcard = guid("smartcard"),
        uuid = guid("uuid"),
        claimed_at = time("claimed_at"),
        first_at = time("first_at"),
        last_at = time("last_at"),
        in_doubt = RowState::InDoubt,
        pending = RowState::Pending,
        skipped = RowState::Skipped,
        invalid = RowState::Invalid,
        left_open = ErrorCode::LeftOpen.as_str(),
    )
}
