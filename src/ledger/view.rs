//! The view `results`, for people with `sqlite3`.

use super::query::LAST_WORD;

/// The view's head, and what its columns are made of.
const RESULTS: &str = "CREATE VIEW results AS
-- One line for each row of the run, with the columns of `cmbatch export`; add ORDER BY row. GUIDs are text, times RFC 3339
-- in UTC, latency_ms is the last attempt's. A row whose call is open reads as in_doubt: whether its process still lives,
-- `cmbatch status` can tell and this view cannot. error_message of an invalid row is what is wrong with it, of a skipped
-- row why it was left out, of a replaced row which one stands for it.
WITH ended AS (SELECT * FROM outcomes WHERE attempt > 0 AND verdict = 0),
placed AS (
    SELECT i.*, coalesce(p.attempt, l.attempt) AS next_attempt, l.row IS NOT NULL AS left_out, l.reason AS left_out_for,
        CASE WHEN i.original IS NOT NULL THEN i.reason END AS errors,
        coalesce(
            (SELECT max(c.attempt) FROM claims c WHERE c.first_row = i.row AND c.attempt > 1),
            (SELECT CASE WHEN c.last_row >= i.row THEN 1 ELSE 0 END FROM claims c
                WHERE c.first_row <= i.row AND c.attempt = 1 ORDER BY c.first_row DESC LIMIT 1),
            0) AS claimed
    FROM items i LEFT JOIN pending_again p ON p.row = i.row LEFT JOIN left_out l ON l.row = i.row
),
judged AS (
    SELECT a.*, o.state, o.message,
        CASE WHEN NOT a.left_out THEN o.uri END AS uri, CASE WHEN NOT a.left_out THEN o.uuid END AS uuid,
        CASE WHEN NOT a.left_out THEN o.http_status END AS http_status, CASE WHEN NOT a.left_out THEN o.code END AS code,
        CASE WHEN NOT a.left_out THEN o.correlation_id END AS correlation_id,
        a.next_attempt IS NULL AND a.claimed > coalesce(o.attempt, 0) AS open,
        (SELECT max(c.claimed_at) FROM claims c WHERE c.attempt = a.claimed AND c.first_row =
            (SELECT max(f.first_row) FROM claims f WHERE f.attempt = a.claimed AND f.first_row <= a.row)) AS claimed_at,
        (SELECT count(*) FROM ended x WHERE x.row = a.row) AS n_ended,
        (SELECT x.started_at FROM ended x WHERE x.row = a.row ORDER BY x.attempt LIMIT 1) AS first_at,
        (SELECT x.started_at FROM ended x WHERE x.row = a.row ORDER BY x.attempt DESC LIMIT 1) AS last_at,
        (SELECT x.latency_us / 1000 FROM ended x WHERE x.row = a.row ORDER BY x.attempt DESC LIMIT 1) AS last_ms
    FROM placed a LEFT JOIN outcomes o ON o.row = a.row AND ";

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
        "{RESULTS}{LAST_WORD}
)
SELECT row, id, type, {template} AS profiletemplateuuid, {target} AS target, {smartcard} AS smartcard,
    CASE WHEN left_out THEN 'skipped' WHEN open THEN 'in_doubt' WHEN next_attempt IS NOT NULL THEN 'pending' WHEN state IS NOT NULL THEN state
        WHEN original IS NOT NULL THEN 'invalid' WHEN reason IS NOT NULL THEN 'skipped' ELSE 'pending' END AS state,
    CASE WHEN NOT open THEN uri END AS request_uri,
    CASE WHEN NOT open THEN {uuid} END AS request_uuid,
    CASE WHEN NOT open THEN http_status END AS http_status,
    CASE WHEN open THEN 'left-open' ELSE code END AS error_code,
    CASE WHEN left_out THEN coalesce(left_out_for, errors) WHEN NOT open THEN CASE WHEN state IS NULL THEN reason ELSE message END END
        AS error_message,
    CASE WHEN NOT open THEN correlation_id END AS correlation_id,
    n_ended + open AS attempts,
    CASE WHEN open AND first_at IS NULL THEN {claimed_at} ELSE {first_at} END AS first_attempt_at,
    CASE WHEN open THEN {claimed_at} ELSE {last_at} END AS last_attempt_at,
    CASE WHEN NOT open THEN last_ms END AS latency_ms
FROM judged;",
        template = guid("template"),
        target = guid("target"),
        smartcard = guid("smartcard"),
        uuid = guid("uuid"),
        claimed_at = time("claimed_at"),
        first_at = time("first_at"),
        last_at = time("last_at"),
    )
}
