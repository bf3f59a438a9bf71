//! The one place where values of the domain become values of SQLite, and back. What is none of the values that this program writes
//! is an error, never a default.

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use super::findings::FindingKind;
use super::history::Source;
use super::item::RowPlace;
use super::state::RowState;
use crate::request::{
    AttemptNo, CorrelationId, CreateRequest, ErrorCode, Guid, NamedValues, RequestType, RequestUri, RequestUuid, RowId,
};

/// A name in the ledger that this program does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not known")]
struct UnknownName(String);

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
                known.ok_or_else(|| FromSqlError::other(UnknownName(name.to_owned())))
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

/// A name of the domain, or the empty text where there is none, as the key of the tallies holds it.
#[derive(Debug)]
pub(super) struct OrEmpty<T>(pub(super) Option<T>);

impl<T: ToSql> ToSql for OrEmpty<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.as_ref().map_or(Ok("".into()), T::to_sql)
    }
}

impl<T: FromSql> FromSql for OrEmpty<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        if value.as_str()?.is_empty() { Ok(Self(None)) } else { T::column_result(value).map(|known| Self(Some(known))) }
    }
}

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

/// The columns of `items` that [`request_of`] reads, in its order.
pub(super) const REQUEST_COLUMNS: &str = "type, template, target, smartcard, profile, comment, priority, data, body";

/// Reads a request from [`REQUEST_COLUMNS`] that begin at column `at`.
pub(super) fn request_of(row: &Row<'_>, at: usize) -> rusqlite::Result<CreateRequest> {
    Ok(CreateRequest {
        kind: row.get(at)?,
        template: row.get(at + 1)?,
        target: row.get(at + 2)?,
        smartcard: row.get(at + 3)?,
        profile: row.get(at + 4)?,
        comment: row.get(at + 5)?,
        priority: row.get(at + 6)?,
        data: row.get(at + 7)?,
        body: row.get::<_, NamedValues>(at + 8)?.to_vec(),
    })
}

/// The columns of `items` and `invalid_rows` that [`place_of`] reads, in its order.
pub(super) const PLACE_COLUMNS: &str = "part, part_row, line";

/// Reads a place from [`PLACE_COLUMNS`] that begin at column `at`.
pub(super) fn place_of(row: &Row<'_>, at: usize) -> rusqlite::Result<RowPlace> {
    Ok(RowPlace { part: row.get(at)?, part_row: row.get(at + 1)?, line: row.get(at + 2)? })
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
        assert!(OrEmpty::<ErrorCode>::column_result(text).is_err());
        assert_eq!(OrEmpty::<ErrorCode>::column_result(ValueRef::Text(b"")).unwrap().0, None);
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
