//! A rejected row as its manifest has it.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::cells;
use super::columns::UNREAD_LINE;
use crate::manifest::{BadRow, Cells, JsonValue};

/// A property of a rejected JSON row.
#[derive(Clone, Debug)]
pub(super) enum KeptValue {
    Text(String),
    /// A number, `true`, `false`, `null`, array or object, as written.
    Raw(String),
}

/// What is kept of a rejected row until it is handed out.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Csv(csv::ByteRecord),
    Json(Vec<(String, KeptValue)>),
    /// A line that could not be taken apart.
    Line(Vec<u8>),
}

impl Kept {
    pub(super) fn of_cells(row: Cells<'_>) -> Self {
        match row {
            Cells::Csv(record) => Self::Csv(record.clone()),
            Cells::Json(properties) => Self::Json(
                properties
                    .iter()
                    .map(|cell| {
                        let value = match &cell.value {
                            JsonValue::Text(text) => KeptValue::Text(text.clone().into_owned()),
                            JsonValue::Literal(raw) | JsonValue::Nested(raw) => KeptValue::Raw((*raw).to_owned()),
                            JsonValue::Null => KeptValue::Raw("null".to_owned()),
                        };
                        (cell.name.clone().into_owned(), value)
                    })
                    .collect(),
            ),
        }
    }

    pub(super) fn of_bad(row: &BadRow<'_>) -> Self {
        match row.cells {
            Some(record) => Self::Csv(record.clone()),
            None => Self::Line(row.raw.to_vec()),
        }
    }
}

/// A rejected row as its manifest has it: its columns and their text.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    pub(super) names: &'a [String],
    pub(super) kept: &'a Kept,
}

impl<'a> Original<'a> {
    /// Returns the columns and their text, in their order.
    ///
    /// Bytes that are no text show as U+FFFD. A field beyond the header's columns is named `(field 12)`; a line that
    /// could not be taken apart is one value named `(line)`. A null of a JSON row is left out.
    pub fn fields(&self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        match self.kept {
            Kept::Csv(record) => record
                .iter()
                .enumerate()
                .map(|(column, bytes)| {
                    let name = match self.names.get(column).filter(|name| !name.is_empty()) {
                        Some(name) => Cow::Borrowed(name.as_str()),
                        None => Cow::Owned(format!("(field {})", column + 1)),
                    };
                    (name, cells::text(bytes))
                })
                .collect(),
            Kept::Json(properties) => properties
                .iter()
                .filter(|(_, value)| !matches!(value, KeptValue::Raw(raw) if raw == "null"))
                .map(|(name, value)| {
                    let (KeptValue::Text(text) | KeptValue::Raw(text)) = value;
                    (Cow::Borrowed(name.as_str()), Cow::Borrowed(text.as_str()))
                })
                .collect(),
            Kept::Line(bytes) => vec![(Cow::Borrowed(UNREAD_LINE), cells::text(bytes))],
        }
    }

    /// Returns [`fields`](Self::fields) as the text of one JSON object. Where columns share a name, each keeps its value
    /// under it, in their order.
    pub fn to_json(&self) -> String {
        let fields = self.fields();
        serde_json::to_string(&TextObject(&fields)).expect("strings always serialize")
    }
}

struct TextObject<'a>(&'a [(Cow<'a, str>, Cow<'a, str>)]);

impl Serialize for TextObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for KeptValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Raw(json) => match serde_json::from_str::<&RawValue>(json) {
                Ok(raw) => raw.serialize(serializer),
                // The reader gave it as JSON; as text it still cannot break the line.
                Err(_) => serializer.serialize_str(json),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::JsonCell;

    #[test]
    fn a_csv_row_is_an_object_of_its_columns() {
        let names = ["type".to_owned(), String::new(), "comment".to_owned()];
        let kept = Kept::Csv(csv::ByteRecord::from(vec![&b"Foo"[..], b"1", b"Andr\xe9 \"x\"\n", b"more"]));
        let original = Original { names: &names, kept: &kept };
        assert_eq!(
            original.to_json(),
            "{\"type\":\"Foo\",\"(field 2)\":\"1\",\"comment\":\"Andr\u{fffd} \\\"x\\\"\\n\",\"(field 4)\":\"more\"}"
        );
    }

    #[test]
    fn a_json_row_gives_its_values_as_text_and_a_broken_line_itself() {
        let cell = |name: &'static str, value| JsonCell { name: name.into(), value };
        let row = [
            cell("type", JsonValue::Text("Foo".into())),
            cell("priority", JsonValue::Literal("4")),
            cell("datacollection", JsonValue::Nested(r#"[{"a":1}]"#)),
            cell("comment", JsonValue::Null),
        ];
        let kept = Kept::of_cells(Cells::Json(&row));
        let json = Original { names: &[], kept: &kept }.to_json();
        assert_eq!(json, r#"{"type":"Foo","priority":"4","datacollection":"[{\"a\":1}]"}"#);
        let line = Kept::Line(b"{oops".to_vec());
        assert_eq!(Original { names: &[], kept: &line }.to_json(), r#"{"(line)":"{oops"}"#);
    }
}
