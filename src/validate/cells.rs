//! One way to look at the cells of a row, whatever its form.

use std::borrow::Cow;

use super::damage::is_harmless;
use crate::manifest::{Cells, JsonCell, JsonValue};

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'r> {
    /// Not there, empty, or null.
    Absent,
    /// Text; a number, `true` or `false` as written.
    Text(&'r [u8]),
    /// An array or object, as written.
    Nested(&'r str),
}

/// Returns one cell; [`Value::Absent`] past the end.
pub(super) fn value<'r>(cells: Cells<'r>, column: usize) -> Value<'r> {
    let text = match cells {
        Cells::Csv(record) => record.get(column).unwrap_or_default(),
        Cells::Json(properties) => match properties.get(column).map(|cell| &cell.value) {
            Some(JsonValue::Text(text)) => text.as_bytes(),
            Some(JsonValue::Literal(text)) => text.as_bytes(),
            Some(JsonValue::Nested(text)) => return Value::Nested(text),
            Some(JsonValue::Null) | None => b"",
        },
    };
    if text.is_empty() { Value::Absent } else { Value::Text(text) }
}

/// Returns whether no text of the whole row can be damaged; not looked at for JSON, whose cells lie apart.
pub(super) fn is_row_harmless(cells: Cells<'_>) -> bool {
    match cells {
        Cells::Csv(record) => is_harmless(record.as_slice()),
        Cells::Json(_) => false,
    }
}

/// Returns the names of a JSON row.
pub(super) fn names<'r>(properties: &'r [JsonCell<'r>]) -> impl Iterator<Item = &'r str> {
    properties.iter().map(|cell| cell.name.as_ref())
}

/// Returns bytes of the manifest as text. Readers give UTF-8; whatever is not shows as U+FFFD, which a rule refuses.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
