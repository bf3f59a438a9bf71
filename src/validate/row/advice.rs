//! What is said about a row and its cells.

use crate::request::RequestType;
use crate::validate::columns::Layout;
use crate::validate::finding::Advice;
use crate::validate::quote::{counted, quoted, quoted_char};
use crate::validate::rules::Rules;
use crate::validate::suggest::{near_name, near_type};

/// How many names of templates a message lists.
const SHOWN_TEMPLATES: usize = 10;

pub(super) fn field_count(n_fields: usize, layout: &Layout) -> Advice {
    let n_columns = layout.names.len();
    let what = format!("the line has {} where the header line has {n_columns}", counted(n_fields, "field", "fields"));
    let delimiter = match layout.delimiter {
        Some('\t') => "a tab".to_owned(),
        Some(c) => quoted_char(c),
        None => "the delimiter".to_owned(),
    };
    let help = if n_fields > n_columns {
        format!("put a value that holds {delimiter} itself in double quotes")
    } else {
        format!(
            "add what is missing; an empty cell still needs {delimiter}, and a value with a line break double quotes"
        )
    };
    Advice::new(what, help)
}

pub(super) fn unknown_type(name: &str, text: &str) -> Advice {
    let what = format!("{name} {} is not a request type", quoted(text));
    let help = match near_type(text) {
        Some(kind) => format!("did you mean {kind}?"),
        None => format!("write one of {}", RequestType::ALL.map(RequestType::as_str).join(", ")),
    };
    Advice::new(what, help)
}

pub(super) fn unknown_template(rules: &Rules, name: &str, text: &str) -> Advice {
    let what = format!("{name} {} is neither a GUID nor a name in [templates]", quoted(text));
    let help = match near_name(text, rules.templates.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => {
            let names: Vec<String> = rules.templates.keys().take(SHOWN_TEMPLATES).map(|name| quoted(name)).collect();
            let more = if rules.templates.len() > SHOWN_TEMPLATES { " or another of [templates]" } else { "" };
            format!("write the GUID, or one of {}{more}", names.join(", "))
        }
    };
    Advice::new(what, help)
}

pub(super) fn missing_template(is_enroll: bool) -> Advice {
    let all = "or give one for all rows with --template";
    if is_enroll {
        Advice::new(
            "the row has no profile template, which Enroll needs",
            format!("write its GUID in \"profiletemplateuuid\", {all}"),
        )
    } else {
        Advice::new(
            "the row has no profile template",
            format!("write its GUID in \"profiletemplateuuid\" (or the card's in \"smartcard\"), {all}"),
        )
    }
}
