//! The ways of asking SQLite. Statements stay prepared from one time to the next.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};

/// Reads all lines.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, read)?.collect()
}

/// Reads the first line, where there is one.
pub(super) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached(sql)?.query_row(params, read).optional()
}

/// Reads the first column of the first line; an error where there is none.
pub(super) fn value<T: FromSql>(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<T> {
    conn.prepare_cached(sql)?.query_row(params, |line| line.get(0))
}

/// Changes lines, and returns how many.
pub(super) fn change(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    conn.prepare_cached(sql)?.execute(params)
}
