//! The one place where values of the domain become values of SQLite, and back.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use super::findings::FindingKind;
use super::item::RowPlace;
use super::state::RowState;
use crate::request::{
    AttemptNo, CorrelationId, CreateRequest, ErrorCode, Guid, NamedValues, RequestType, RequestUri, RequestUuid, RowId,
};

/// A value of the domain on its way into or out of SQLite. What is none of the values that this program writes is an error,
/// never a default.
#[derive(Debug)]
pub(super) struct Sql<T>(pub(super) T);

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(value: ValueRef<'_>) -> FromSqlResult<Sql<T>> {
    value.as_str()?.parse().map(Sql).map_err(FromSqlError::other)
}

/// A name in the ledger that this program does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not known")]
struct UnknownName(String);

impl ToSql for Sql<RowState> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_str().into())
    }
}

impl FromSql for Sql<RowState> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl ToSql for Sql<ErrorCode> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_str().into())
    }
}

impl FromSql for Sql<ErrorCode> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        ErrorCode::from_name(name).map(Self).ok_or_else(|| FromSqlError::other(UnknownName(name.to_owned())))
    }
}

impl FromSql for Sql<FindingKind> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl ToSql for Sql<RequestType> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_str().into())
    }
}

impl FromSql for Sql<RequestType> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

/// A name of the domain, or the empty text where there is none, as the key of the tallies holds it.
#[derive(Debug)]
pub(super) struct OrEmpty<T>(pub(super) Option<T>);

impl ToSql for OrEmpty<ErrorCode> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.map_or("", ErrorCode::as_str).into())
    }
}

impl ToSql for OrEmpty<RequestType> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.map_or("", RequestType::as_str).into())
    }
}

impl<T> FromSql for OrEmpty<T>
where
    Sql<T>: FromSql,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "" => Ok(Self(None)),
            _ => Sql::column_result(value).map(|Sql(known)| Self(Some(known))),
        }
    }
}

impl ToSql for Sql<Guid> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_bytes().as_slice().into())
    }
}

impl FromSql for Sql<Guid> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(|bytes| Self(Guid::from_bytes(bytes)))
    }
}

impl ToSql for Sql<RequestUuid> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.guid().as_bytes().as_slice().into())
    }
}

/// Some uuids, one behind the other.
impl ToSql for Sql<&[RequestUuid]> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|uuid| *uuid.guid().as_bytes()).collect();
        Ok(bytes.into())
    }
}

impl FromSql for Sql<Vec<RequestUuid>> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (uuids, []) = value.as_blob()?.as_chunks() else { return Err(FromSqlError::InvalidType) };
        Ok(Self(uuids.iter().map(|bytes| RequestUuid::new(Guid::from_bytes(*bytes))).collect()))
    }
}

impl FromSql for Sql<RequestUuid> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Sql::<Guid>::column_result(value).map(|guid| Self(RequestUuid::new(guid.0)))
    }
}

impl FromSql for Sql<RequestUri> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl FromSql for Sql<CorrelationId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(|text| Self(CorrelationId::new(text)))
    }
}

impl ToSql for Sql<Timestamp> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

impl FromSql for Sql<Timestamp> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_microsecond(value.as_i64()?).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Sql<RowId> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.get().into())
    }
}

impl FromSql for Sql<RowId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        RowId::new(u32::column_result(value)?).map(Self).ok_or(FromSqlError::OutOfRange(0))
    }
}

impl ToSql for Sql<AttemptNo> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.get().into())
    }
}

impl FromSql for Sql<AttemptNo> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        AttemptNo::new(u32::column_result(value)?).map(Self).ok_or(FromSqlError::OutOfRange(0))
    }
}

/// A count that SQLite keeps as a signed number.
impl ToSql for Sql<u64> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        i64::try_from(self.0).map(Into::into).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl FromSql for Sql<u64> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

/// NULL where there are none.
impl ToSql for Sql<&NamedValues> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((!self.0.is_empty()).then(|| self.0.as_json()).map_or(ToSqlOutput::Borrowed(ValueRef::Null), Into::into))
    }
}

impl FromSql for Sql<NamedValues> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(Self(NamedValues::new())),
            _ => NamedValues::from_json(value.as_str()?).map(Self).map_err(FromSqlError::other),
        }
    }
}

/// The columns of `items` that [`request_of`] reads, in its order.
pub(super) const REQUEST_COLUMNS: &str = "type, template, target, smartcard, profile, comment, priority, data, body";

/// Reads a request from [`REQUEST_COLUMNS`] that begin at column `at`.
pub(super) fn request_of(row: &Row<'_>, at: usize) -> rusqlite::Result<CreateRequest> {
    let guid = |column: usize| row.get::<_, Option<Sql<Guid>>>(column).map(|guid| guid.map(|guid| guid.0));
    Ok(CreateRequest {
        kind: row.get::<_, Sql<RequestType>>(at)?.0,
        template: guid(at + 1)?,
        target: guid(at + 2)?,
        smartcard: guid(at + 3)?,
        profile: guid(at + 4)?,
        comment: row.get(at + 5)?,
        priority: row.get(at + 6)?,
        data: row.get::<_, Sql<NamedValues>>(at + 7)?.0,
        body: row.get::<_, Sql<NamedValues>>(at + 8)?.0.to_vec(),
    })
}

/// The columns of `items` and `invalid_rows` that [`place_of`] reads, in its order.
pub(super) const PLACE_COLUMNS: &str = "part, part_row, line";

/// Reads a place from [`PLACE_COLUMNS`] that begin at column `at`.
pub(super) fn place_of(row: &Row<'_>, at: usize) -> rusqlite::Result<RowPlace> {
    Ok(RowPlace { part: row.get(at)?, part_row: row.get(at + 1)?, line: row.get::<_, Sql<u64>>(at + 2)?.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_named_values_are_null_and_other_json_is_an_error() {
        assert_eq!(Sql(&NamedValues::new()).to_sql().unwrap(), ToSqlOutput::Borrowed(ValueRef::Null));
        assert!(Sql::<NamedValues>::column_result(ValueRef::Null).unwrap().0.is_empty());
        for text in ["", "{}", r#"[{"a":"1","b":"2"}]"#, "[{}]", r#"[{"a":1}]"#] {
            assert!(Sql::<NamedValues>::column_result(ValueRef::Text(text.as_bytes())).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_are_not_known_are_errors() {
        let text = ValueRef::Text(b"surprise");
        assert!(Sql::<RowState>::column_result(text).is_err());
        assert!(Sql::<ErrorCode>::column_result(text).is_err());
        assert!(Sql::<RequestType>::column_result(text).is_err());
        assert!(OrEmpty::<ErrorCode>::column_result(text).is_err());
        assert_eq!(OrEmpty::<ErrorCode>::column_result(ValueRef::Text(b"")).unwrap().0, None);
        assert!(Sql::<RowId>::column_result(ValueRef::Integer(0)).is_err());
        assert!(Sql::<u64>::column_result(ValueRef::Integer(-1)).is_err());
    }
}
