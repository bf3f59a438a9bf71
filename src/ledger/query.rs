//! The ways of asking SQLite, and the one place where values of the domain become values of SQLite, and back. What is none of the
//! values that this program writes is an error, never a default. Statements stay prepared from one time to the next.

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql};

use super::findings::FindingKind;
use super::history::Source;
use super::state::RowState;
use crate::request::{
    AttemptNo, CorrelationId, ErrorCode, Guid, NamedValues, RequestType, RequestUri, RequestUuid, RowId,
};

/// Leaves out lines of `outcomes o` that are not the last word on their row.
pub(super) const LAST_WORD: &str = "NOT EXISTS (SELECT 1 FROM outcomes x WHERE x.row = o.row
    AND (x.attempt, x.verdict) > (o.attempt, o.verdict))";

/// Leaves out rows of `items i` about which something was decided.
pub(super) const UNDECIDED: &str = "NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.row = i.row)
    AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.row = i.row)";

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

/// Types whose values are their names.
macro_rules! by_name {
    ($($named:ty),+) => {$(
        impl ToSql for $named {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $named {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let name = value.as_str()?;
                let known = Self::ALL.into_iter().find(|known| known.as_str() == name);
                known.ok_or_else(|| FromSqlError::Other(format!("{name:?} is not known").into()))
            }
        }
    )+};
}

by_name!(ErrorCode, FindingKind, RequestType, RowState, Source);

/// Types whose values are numbers from 1.
macro_rules! by_number {
    ($($number:ty),+) => {$(
        impl ToSql for $number {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.get().into())
            }
        }

        impl FromSql for $number {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::new(u32::column_result(value)?).ok_or(FromSqlError::OutOfRange(0))
            }
        }
    )+};
}

by_number!(AttemptNo, RowId);

impl ToSql for Guid {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_bytes().as_slice().into())
    }
}

impl FromSql for Guid {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(Self::from_bytes)
    }
}

impl ToSql for RequestUuid {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.guid().to_sql()
    }
}

impl FromSql for RequestUuid {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Guid::column_result(value).map(Self::new)
    }
}

/// Some uuids, one behind the other.
#[derive(Debug)]
pub(super) struct Uuids<T>(pub(super) T);

impl ToSql for Uuids<&[RequestUuid]> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|uuid| *uuid.guid().as_bytes()).collect();
        Ok(bytes.into())
    }
}

impl FromSql for Uuids<Vec<RequestUuid>> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (uuids, []) = value.as_blob()?.as_chunks() else { return Err(FromSqlError::InvalidType) };
        Ok(Self(uuids.iter().map(|bytes| RequestUuid::new(Guid::from_bytes(*bytes))).collect()))
    }
}

impl FromSql for RequestUri {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl FromSql for CorrelationId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::new)
    }
}

/// A time, in microseconds since 1970 UTC.
#[derive(Debug)]
pub(super) struct Micros(pub(super) Timestamp);

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_microsecond(value.as_i64()?).map(Self).map_err(FromSqlError::other)
    }
}

/// NULL where there are none.
impl ToSql for NamedValues {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((!self.is_empty()).then(|| self.as_json()).map_or(ToSqlOutput::Borrowed(ValueRef::Null), Into::into))
    }
}

impl FromSql for NamedValues {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(Self::new()),
            _ => Self::from_json(value.as_str()?).map_err(FromSqlError::other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_named_values_are_null_and_other_json_is_an_error() {
        assert_eq!(NamedValues::new().to_sql().unwrap(), ToSqlOutput::Borrowed(ValueRef::Null));
        assert!(NamedValues::column_result(ValueRef::Null).unwrap().is_empty());
        for text in ["", "{}", r#"[{"a":"1","b":"2"}]"#, "[{}]", r#"[{"a":1}]"#] {
            assert!(NamedValues::column_result(ValueRef::Text(text.as_bytes())).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_are_not_known_are_errors() {
        let text = ValueRef::Text(b"surprise");
        assert!(RowState::column_result(text).is_err());
        assert!(ErrorCode::column_result(text).is_err());
        assert!(RequestType::column_result(text).is_err());
        assert!(RowId::column_result(ValueRef::Integer(0)).is_err());
        assert!(u64::column_result(ValueRef::Integer(-1)).is_err());
    }

    #[test]
    fn every_name_is_found_again() {
        fn check<T: Copy + ToSql + FromSql + PartialEq + std::fmt::Debug>(all: &[T]) {
            for known in all {
                let ToSqlOutput::Borrowed(written) = known.to_sql().unwrap() else { panic!("{known:?}") };
                assert_eq!(T::column_result(written).unwrap(), *known);
            }
        }
        check(&ErrorCode::ALL);
        check(&FindingKind::ALL);
        check(&RequestType::ALL);
        check(&RowState::ALL);
        check(&Source::ALL);
    }
}
