//! The columns of an export, and the values that stand in them.

use jiff::Timestamp;

use crate::ledger::ResultRow;
use crate::request::{CreateRequest, Guid, NamedValues};

/// The columns of a results export, in their order; the `note.` columns follow.
pub const RESULT_COLUMNS: [&str; 17] = [
    "row",
    "id",
    "type",
    "profiletemplateuuid",
    "target",
    "smartcard",
    "state",
    "request_uri",
    "request_uuid",
    "http_status",
    "error_code",
    "error_message",
    "correlation_id",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "latency_ms",
];

/// A value of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Text(String),
    Number(u64),
}

impl Value {
    fn text(value: Option<impl ToString>) -> Self {
        value.map_or(Self::None, |value| Self::Text(value.to_string()))
    }

    fn number(value: Option<impl Into<u64>>) -> Self {
        value.map_or(Self::None, |value| Self::Number(value.into()))
    }

    fn time(value: Option<Timestamp>) -> Self {
        // Always three fractional digits, so that the column sorts as text.
        value.map_or(Self::None, |value| Self::Text(format!("{value:.3}")))
    }
}

/// Returns the values of a row, in the order of [`RESULT_COLUMNS`].
pub(super) fn values(row: &ResultRow) -> [Value; 17] {
    let request = row.request.as_ref();
    // Of an invalid row its own words are given, right or wrong.
    let invalid = |name: &str| row.invalid.as_ref().and_then(|invalid| invalid.cell(name));
    let guid = |name: &str, of: fn(&CreateRequest) -> Option<Guid>| match request {
        Some(request) => Value::text(of(request)),
        None => Value::text(invalid(name)),
    };
    [
        Value::Number(row.row.get().into()),
        Value::text(row.id.as_ref()),
        Value::text(request.map(|request| request.kind.to_string()).or_else(|| invalid("type"))),
        guid("profiletemplateuuid", |request| request.template),
        guid("target", |request| request.target),
        guid("smartcard", |request| request.smartcard),
        Value::Text(row.state.to_string()),
        Value::text(row.request_uri.as_ref().map(|uri| uri.as_str())),
        Value::text(row.request_uuid),
        Value::number(row.http_status),
        Value::text(row.error_code.map(|code| code.as_str())),
        Value::text(error_message(row)),
        Value::text(row.correlation_id.as_ref().map(|id| id.as_str())),
        Value::Number(row.attempts.into()),
        Value::time(row.first_attempt_at),
        Value::time(row.last_attempt_at),
        Value::number(row.latency_ms),
    ]
}

/// What went wrong: in the attempt, in validation, or why the row was left out.
fn error_message(row: &ResultRow) -> Option<String> {
    let attempt = row.error_message.clone().filter(|message| !message.is_empty());
    let invalid = || row.invalid.as_ref().map(|invalid| invalid.errors.clone());
    attempt.or_else(invalid).or_else(|| row.skipped.clone())
}

/// Names in the order in which they were first seen, compared exactly.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    index: std::collections::HashMap<String, usize>,
}

impl Names {
    /// Notes the names of these pairs.
    pub(super) fn see(&mut self, pairs: &NamedValues) {
        pairs.for_each(|name, _| self.see_name(name));
    }

    /// Notes a name.
    pub(super) fn see_name(&mut self, name: &str) {
        if !self.index.contains_key(name) {
            self.index.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
        }
    }

    /// Returns the place of a name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Returns all names.
    pub(super) fn all(&self) -> &[String] {
        &self.names
    }

    /// Returns the values of these pairs in the order of the names, empty where a pair is missing.
    pub(super) fn values(&self, pairs: &NamedValues) -> Vec<String> {
        let mut values = vec![String::new(); self.names.len()];
        pairs.for_each(|name, value| {
            if let Some(place) = self.index.get(name) {
                value.clone_into(&mut values[*place]);
            }
        });
        values
    }
}
