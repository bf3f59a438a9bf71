//! Names with values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

/// A name and its value, both text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedValue {
    /// The name, as the manifest writes it.
    pub name: String,
    /// The value.
    pub value: String,
}

impl NamedValue {
    /// Returns a pair of these texts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Named values in their order, as the JSON that the wire and the ledger have of them: an array of single-key objects whose
/// values are strings. A name may stand more than once.
///
/// They are written once, from the manifest's cells, and copied from there on: into the ledger, out of it, into the body.
///
/// ```
/// use cmbatch::request::{NamedValue, NamedValues};
/// let mut values = NamedValues::new();
/// assert_eq!(values.as_json(), "[]");
/// values.push("name", "Zoë \"Z\"");
/// values.push("city", "Oslo");
/// assert_eq!(values.as_json(), r#"[{"name":"Zoë \"Z\""},{"city":"Oslo"}]"#);
/// assert_eq!(NamedValues::from_json(values.as_json())?, values);
/// assert_eq!(values.to_vec()[1], NamedValue::new("city", "Oslo"));
/// # Ok::<(), cmbatch::request::NotNamedValues>(())
/// ```
#[derive(Clone, Default)]
pub struct NamedValues {
    /// Empty where there are none.
    json: String,
}

/// The text is no JSON array of single-key objects of strings.
#[derive(Debug, thiserror::Error)]
pub enum NotNamedValues {
    /// It is no JSON, or has other values.
    #[error("it is no JSON of named values")]
    Json(#[source] serde_json::Error),
    /// It is such JSON, and an object in it has not exactly one key.
    #[error("an object in it has not exactly one key")]
    Keys,
}

impl NamedValues {
    /// Returns none.
    pub const fn new() -> Self {
        Self { json: String::new() }
    }

    /// Takes the JSON text of such an array.
    ///
    /// # Errors
    /// [`NotNamedValues`].
    pub fn from_json(json: &str) -> Result<Self, NotNamedValues> {
        if is_as_written(json.as_bytes()) {
            return Ok(Self { json: json.to_owned() });
        }
        let mut is_empty = true;
        read(json, |_, _| is_empty = false)?;
        Ok(if is_empty { Self::new() } else { Self { json: json.to_owned() } })
    }

    /// Adds a value behind the others.
    pub fn push(&mut self, name: &str, value: &str) {
        if self.json.is_empty() {
            // Room for the few pairs that a row has; growing by each of them would cost more than writing them.
            self.json.reserve(128);
        }
        match self.json.pop() {
            None => self.json.push('['),
            Some(_) => self.json.push(','),
        }
        self.json.push('{');
        push_quoted(&mut self.json, name);
        self.json.push(':');
        push_quoted(&mut self.json, value);
        self.json.push_str("}]");
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// Returns the JSON text of the array.
    pub const fn as_json(&self) -> &str {
        if self.json.is_empty() { "[]" } else { self.json.as_str() }
    }

    /// Gives each name and value in their order.
    pub fn for_each(&self, each: impl FnMut(&str, &str)) {
        read(self.as_json(), each).expect("the text was checked when it was taken");
    }

    /// Returns the names and values in their order.
    pub fn to_vec(&self) -> Vec<NamedValue> {
        let mut values = Vec::new();
        self.for_each(|name, value| values.push(NamedValue::new(name, value)));
        values
    }
}

/// Returns whether the text is what [`NamedValues::push`] writes of one or more plain names and values, so that a row out of
/// the ledger needs no JSON parser.
fn is_as_written(json: &[u8]) -> bool {
    let Some(mut rest) = json.strip_prefix(b"[") else { return false };
    loop {
        let Some(behind) = rest.strip_prefix(b"{").and_then(behind_plain) else { return false };
        let Some(behind) = behind.strip_prefix(b":").and_then(behind_plain) else { return false };
        rest = match behind {
            [b'}', b']'] => return true,
            [b'}', b',', rest @ ..] => rest,
            _ => return false,
        };
    }
}

/// Returns what follows a string in which nothing is escaped.
fn behind_plain(json: &[u8]) -> Option<&[u8]> {
    let text = json.strip_prefix(b"\"")?;
    let end = text.iter().position(|byte| !is_plain(*byte))?;
    text[end..].strip_prefix(b"\"")
}

/// Returns whether a byte of text stands for itself in a JSON string.
const fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

fn read(json: &str, each: impl FnMut(&str, &str)) -> Result<(), NotNamedValues> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = reader.deserialize_seq(Pairs(each)).and_then(|()| reader.end());
    read.map_err(|error| match error.classify() {
        Category::Data if error.to_string().starts_with(NOT_ONE_KEY) => NotNamedValues::Keys,
        Category::Data | Category::Io | Category::Syntax | Category::Eof => NotNamedValues::Json(error),
    })
}

impl PartialEq for NamedValues {
    fn eq(&self, other: &Self) -> bool {
        // The same text can be escaped in several ways.
        self.json == other.json || self.to_vec() == other.to_vec()
    }
}

impl Eq for NamedValues {}

impl fmt::Debug for NamedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json())
    }
}

impl FromIterator<NamedValue> for NamedValues {
    fn from_iter<T: IntoIterator<Item = NamedValue>>(values: T) -> Self {
        let mut named = Self::new();
        values.into_iter().for_each(|NamedValue { name, value }| named.push(&name, &value));
        named
    }
}

/// Writes a text as a JSON string.
pub(super) fn push_quoted(json: &mut String, text: &str) {
    if text.bytes().all(is_plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&serde_json::to_string(text).expect("a string always serializes"));
    }
}

const NOT_ONE_KEY: &str = "not one key";

/// The array.
struct Pairs<F>(F);

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Pairs<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of single-key objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut objects: A) -> Result<(), A::Error> {
        while objects.next_element_seed(Pair(&mut self.0))?.is_some() {}
        Ok(())
    }
}

/// One object of it.
struct Pair<'f, F>(&'f mut F);

impl<'de, F: FnMut(&str, &str)> DeserializeSeed<'de> for Pair<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Pair<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Some((Text(name), Text(value))) = object.next_entry()? else { return Err(A::Error::custom(NOT_ONE_KEY)) };
        if object.next_key::<Text<'_>>()?.is_some() {
            return Err(A::Error::custom(NOT_ONE_KEY));
        }
        (self.0)(&name, &value);
        Ok(())
    }
}

/// A text that is borrowed from the JSON, where nothing in it is escaped.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn named_values_come_back_in_order_with_repeated_names(
            pairs in prop::collection::vec((".{0,8}", "(?s).{0,12}"), 0..6)
        ) {
            let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| NamedValue { name, value }).collect();
            let values: NamedValues = pairs.iter().cloned().collect();
            prop_assert_eq!(&values.to_vec(), &pairs);
            prop_assert_eq!(values.is_empty(), pairs.is_empty());
            let array: Vec<_> = pairs.iter().map(|pair| serde_json::json!({ pair.name.as_str(): pair.value })).collect();
            prop_assert_eq!(values.as_json(), serde_json::Value::Array(array).to_string());
            prop_assert_eq!(NamedValues::from_json(values.as_json()).unwrap(), values.clone());
            let has_escapes = values.as_json().contains('\\');
            prop_assert_eq!(is_as_written(values.as_json().as_bytes()), !pairs.is_empty() && !has_escapes);
        }

        #[test]
        fn text_that_is_taken_unread_is_text_that_the_parser_takes(
            json in r#"\[?(\{"?[a\\n]{0,2}"?:?"?[a\\1"]{0,3}"?\}?[,\]{]?){0,3}\]?"#
        ) {
            let parsed = read(&json, |_, _| ());
            prop_assert!(parsed.is_ok() || !is_as_written(json.as_bytes()), "{}", json);
        }
    }

    #[test]
    fn other_text_is_an_error() {
        for text in ["", "{}", r#"[{"a":1}]"#, r#"[{"a":"1"}"#, r#"[{"a":"1"}] x"#, r#"[],"target":"x""#] {
            assert!(matches!(NamedValues::from_json(text), Err(NotNamedValues::Json(_))), "{text}");
        }
        for text in ["[{}]", r#"[{"a":"1","b":"2"}]"#] {
            assert!(matches!(NamedValues::from_json(text), Err(NotNamedValues::Keys)), "{text}");
        }
    }

    #[test]
    fn texts_that_are_escaped_in_another_way_are_equal() {
        let one = NamedValues::from_json(r#"[ {"a": "\u007a"} ]"#).unwrap();
        let two = NamedValues::from_json(r#"[{"a":"z"}]"#).unwrap();
        assert_eq!(one, two);
        assert_ne!(one, NamedValues::new());
        assert_eq!(NamedValues::from_json(" [ ] ").unwrap(), NamedValues::new());
    }
}
