//! The `datacollection` column: the data collection as JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::finding::Advice;
use super::quote::quoted;
use super::rule::Rule;
use crate::request::printable;

/// What to write instead of whatever is wrong.
const FORM: &str =
    "write an array of objects with one name and one value each, like [{\"name\":\"pavle\"},{\"city\":\"seattle\"}]";

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item<'r> {
    pub(super) name: String,
    pub(super) value: Cow<'r, str>,
}

/// Why a text is no data collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not JSON; the reason is the parser's.
    Syntax { reason: String, column: usize },
    /// It is JSON and not an array.
    NotAnArray,
    /// An item is not an object. Items count from 1.
    ItemNotAnObject { item: usize },
    /// An item has another number of names than one.
    ItemNotSingle { item: usize, n_names: usize },
    /// An item has an empty name.
    ItemUnnamed { item: usize },
    /// The value of an item is null.
    ValueNull { name: String },
    /// The value of an item is an array or object.
    ValueNested { name: String },
    /// A name stands twice.
    Repeated { name: String },
}

/// An object of whatever number of names; of those after the first only the count matters.
struct Entry<'r> {
    first: Option<(String, &'r RawValue)>,
    n_names: usize,
}

impl<'de> Deserialize<'de> for Entry<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'de>, A::Error> {
                let first = map.next_entry()?;
                let mut n_names = usize::from(first.is_some());
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    n_names += 1;
                }
                Ok(Entry { first, n_names })
            }
        }
        deserializer.deserialize_map(EntryVisitor)
    }
}

/// Reads a data collection.
pub(super) fn parse(json: &str) -> Result<Vec<Item<'_>>, Fault> {
    let json = json.trim_ascii();
    // What every program writes for "none".
    if json == "[]" {
        return Ok(Vec::new());
    }
    let raw_items: Vec<&RawValue> = match serde_json::from_str(json) {
        Ok(items) => items,
        Err(_) if serde_json::from_str::<IgnoredAny>(json).is_ok() => return Err(Fault::NotAnArray),
        Err(error) => return Err(syntax(&error)),
    };
    let items = raw_items.iter().enumerate().map(|(index, raw)| item(index + 1, raw)).collect::<Result<Vec<_>, _>>()?;
    match repeated(&items) {
        Some(name) => Err(Fault::Repeated { name: name.to_owned() }),
        None => Ok(items),
    }
}

fn item<'r>(number: usize, raw: &'r RawValue) -> Result<Item<'r>, Fault> {
    let Ok(entry) = serde_json::from_str::<Entry<'r>>(raw.get()) else {
        return Err(Fault::ItemNotAnObject { item: number });
    };
    let (1, Some((name, value))) = (entry.n_names, entry.first) else {
        return Err(Fault::ItemNotSingle { item: number, n_names: entry.n_names });
    };
    if name.trim().is_empty() {
        return Err(Fault::ItemUnnamed { item: number });
    }
    let text = value.get();
    match text.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
            Ok(Item { name, value: Cow::Borrowed(&text[1..text.len() - 1]) })
        }
        [b'"', ..] => match serde_json::from_str::<String>(text) {
            Ok(value) => Ok(Item { name, value: Cow::Owned(value) }),
            // Such as half of a surrogate pair, which the first look does not undo.
            Err(error) => Err(syntax(&error)),
        },
        [b'[' | b'{', ..] => Err(Fault::ValueNested { name }),
        b"null" => Err(Fault::ValueNull { name }),
        _ => Ok(Item { name, value: Cow::Borrowed(text) }),
    }
}

fn repeated<'i>(items: &'i [Item<'_>]) -> Option<&'i str> {
    let mut names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn syntax(error: &serde_json::Error) -> Fault {
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
    Fault::Syntax { reason, column: error.column() }
}

impl Fault {
    pub(super) const fn rule(&self) -> Rule {
        match self {
            Self::Repeated { .. } => Rule::RepeatedDataItem,
            Self::Syntax { .. }
            | Self::NotAnArray
            | Self::ItemNotAnObject { .. }
            | Self::ItemNotSingle { .. }
            | Self::ItemUnnamed { .. }
            | Self::ValueNull { .. }
            | Self::ValueNested { .. } => Rule::InvalidDataCollection,
        }
    }

    /// Says what is wrong with this JSON in the field.
    pub(super) fn advice(&self, field: &str, json: &str) -> Advice {
        match self {
            Self::Syntax { reason, column } => {
                let what = format!("{field} {} is not JSON: {} at character {column}", quoted(json), printable(reason));
                if json.contains(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\'']) {
                    return Advice::new(what, "JSON takes plain double quotes (\") around names and values");
                }
                Advice::new(what, FORM)
            }
            Self::NotAnArray => Advice::new(format!("{field} {} is not an array", quoted(json)), FORM),
            Self::ItemNotAnObject { item } => Advice::new(format!("item {item} of {field} is not an object"), FORM),
            Self::ItemNotSingle { item, n_names } => {
                let what = format!("item {item} of {field} has {n_names} names where an item has one");
                Advice::new(what, "write each name and its value as an object of its own, like {\"city\":\"seattle\"}")
            }
            Self::ItemUnnamed { item } => {
                Advice::new(format!("item {item} of {field} has an empty name"), "give the item its name")
            }
            Self::ValueNull { name } => Advice::new(
                format!("item {} of {field} is null", quoted(name)),
                "write the value as a text in double quotes, or leave the item out",
            ),
            Self::ValueNested { name } => Advice::new(
                format!("item {} of {field} is a list or an object", quoted(name)),
                "write the value as one text in double quotes",
            ),
            Self::Repeated { name } => {
                Advice::new(format!("item {} stands twice in {field}", quoted(name)), "delete or rename one of the two")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(json: &str) -> Vec<(String, String)> {
        parse(json).unwrap().into_iter().map(|item| (item.name, item.value.into_owned())).collect()
    }

    #[test]
    fn the_published_forms_are_read() {
        assert_eq!(pairs("[]"), []);
        assert_eq!(pairs(" [ ] "), []);
        assert_eq!(
            pairs(r#"[{"name" : "pavle"}, {"city":"se\u0061ttle"}, {"n":4}, {"vip":true}, {"x":""}]"#),
            [("name", "pavle"), ("city", "seattle"), ("n", "4"), ("vip", "true"), ("x", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn every_other_form_is_named() {
        let table = [
            (r#"{"name":"pavle"}"#, Fault::NotAnArray),
            (r#""x""#, Fault::NotAnArray),
            (r#"["x"]"#, Fault::ItemNotAnObject { item: 1 }),
            (r#"[{"a":"1"},{}]"#, Fault::ItemNotSingle { item: 2, n_names: 0 }),
            (r#"[{"a":"1","b":"2"}]"#, Fault::ItemNotSingle { item: 1, n_names: 2 }),
            (r#"[{" ":"1"}]"#, Fault::ItemUnnamed { item: 1 }),
            (r#"[{"a":null}]"#, Fault::ValueNull { name: "a".to_owned() }),
            (r#"[{"a":["x"]}]"#, Fault::ValueNested { name: "a".to_owned() }),
            (r#"[{"a":{}}]"#, Fault::ValueNested { name: "a".to_owned() }),
            (r#"[{"a":"1"},{"b":"2"},{"a":"3"}]"#, Fault::Repeated { name: "a".to_owned() }),
        ];
        for (json, fault) in table {
            assert_eq!(parse(json), Err(fault), "{json}");
        }
        for json in ["", "[", "[}", "x", "[{\"a\":\"1\"},]", "[{\"a\":\"\\ud800\"}]", "[] []", "\u{201c}x\u{201d}"] {
            assert!(matches!(parse(json), Err(Fault::Syntax { .. })), "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        let deep = "[".repeat(100_000);
        assert!(matches!(parse(&deep), Err(Fault::Syntax { .. })));
    }

    #[test]
    fn curly_quotes_get_the_advice_that_helps() {
        let json = "[{\u{201c}a\u{201d}:1}]";
        assert!(parse(json).unwrap_err().advice("datacollection", json).help.contains("plain double quotes"));
    }

    proptest! {
        #[test]
        fn what_the_domain_writes_is_read_back(values in proptest::collection::btree_map("[a-z]{1,4}", "\\PC*", 0..5)) {
            let mut request = crate::request::CreateRequest::new(crate::request::RequestType::Enroll);
            request.data =
                values.iter().map(|(name, value)| crate::request::NamedValue::new(name.as_str(), value.as_str())).collect();
            prop_assert_eq!(pairs(request.data.as_json()), values.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_text_gives_items_or_a_fault_with_advice(json in "\\PC*|[\\[\\]{}\":,a1 ]{0,30}") {
            if let Err(fault) = parse(&json) {
                prop_assert!(!fault.advice("datacollection", &json).help.is_empty());
            }
        }
    }
}
