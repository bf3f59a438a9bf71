//! Taking JSON lines apart.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::chunk::Chunk;
use super::place::{Properties, place_in};
use super::row::{BadRow, Cells, JsonCell, JsonValue, RawRow, RowFault};
use super::scan::Shape;

/// Up to how many properties are compared each with each; more are looked up, so that a line of a hundred thousand
/// properties does not take minutes.
const MAX_COMPARED: usize = 32;

/// Gives each record of the chunk.
pub(super) fn for_each(chunk: &Chunk, mut f: impl FnMut(Result<RawRow<'_>, BadRow<'_>>)) {
    let mut cells = Vec::new();
    for record in chunk.records() {
        let (number, line, raw) = (record.number, record.line, record.raw);
        let result = match (record.shape, record.text) {
            (Shape::TooLong, _) => Err((0, RowFault::TooLong)),
            (_, Ok(text)) => parse(text, &mut cells),
            (_, Err(fault)) => Err(fault),
        };
        f(match result {
            Ok(()) => Ok(RawRow { number, line, raw, cells: Cells::Json(&cells) }),
            Err((offset, fault)) => {
                let place = place_in(raw, line, offset);
                let (line, column) = (place.line, place.column);
                Err(BadRow { number, line, column, field: None, raw, cells: None, fault })
            }
        });
    }
}

/// Reads a line into cells; else says at which byte what is wrong.
fn parse<'a>(line: &'a str, cells: &mut Vec<JsonCell<'a>>) -> Result<(), (usize, RowFault)> {
    cells.clear();
    let start = line.len() - line.trim_ascii_start().len();
    if !line[start..].starts_with('{') {
        return Err(match serde_json::from_str::<&RawValue>(line) {
            Ok(_) => (start, RowFault::NotAnObject),
            Err(error) => syntax_fault(line, &error),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_str(line);
    Object(cells)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| syntax_fault(line, &error))?;
    match repeated(cells) {
        None => Ok(()),
        Some(index) => {
            let offset = Properties::new(line.as_bytes()).nth(index).map_or(0, |property| property.name);
            Err((offset, RowFault::RepeatedProperty(cells[index].name.to_string())))
        }
    }
}

/// Returns the byte and the reason of a syntax error.
fn syntax_fault(line: &str, error: &serde_json::Error) -> (usize, RowFault) {
    let offset = line.floor_char_boundary(error.column().saturating_sub(1));
    (offset, RowFault::Json(reason(error)))
}

/// Returns the parser's reason without its position, which counts bytes.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Returns the first property whose name stands before, in any case: `Type` and `type` in one object are no two things.
fn repeated(cells: &[JsonCell<'_>]) -> Option<usize> {
    if cells.len() > MAX_COMPARED {
        let mut seen = HashSet::with_capacity(cells.len());
        return cells.iter().position(|cell| !seen.insert(cell.name.to_lowercase()));
    }
    let is_same: fn(&str, &str) -> bool = if cells.iter().all(|cell| cell.name.is_ascii()) {
        str::eq_ignore_ascii_case
    } else {
        |one, other| one.to_lowercase() == other.to_lowercase()
    };
    (1..cells.len()).find(|&index| cells[..index].iter().any(|cell| is_same(&cell.name, &cells[index].name)))
}

/// Reads an object into cells.
struct Object<'c, 'de>(&'c mut Vec<JsonCell<'de>>);

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let raw: &'de RawValue = map.next_value()?;
            let value = value_of(raw.get()).map_err(|error| A::Error::custom(reason(&error)))?;
            self.0.push(JsonCell { name, value });
        }
        Ok(())
    }
}

/// Reads a value of which it is known that it is well-formed, but for the escapes in a string.
fn value_of(raw: &str) -> Result<JsonValue<'_>, serde_json::Error> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') if memchr::memchr(b'\\', raw.as_bytes()).is_none() => {
            JsonValue::Text(Cow::Borrowed(&raw[1..raw.len() - 1]))
        }
        Some(b'"') => JsonValue::Text(Cow::Owned(serde_json::from_str(raw)?)),
        Some(b'{' | b'[') => JsonValue::Nested(raw),
        Some(b'n') => JsonValue::Null,
        Some(_) | None => JsonValue::Literal(raw),
    })
}

/// Reads a name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property's name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
