//! What a server's answer says, for people.

use crate::request::{CorrelationId, Guid};

/// The longest message that is kept, in bytes.
pub(crate) const MAX_BYTES: usize = 4096;

/// Returns what an answer's body says: the `Message` of a JSON object (any case), a JSON string, the title of an HTML
/// page (its text where it has none), else the body as it is. At most [`MAX_BYTES`]; empty where the body says nothing.
pub(crate) fn of_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.as_bytes().first() {
        Some(b'{' | b'"') => cut(json_message(text).as_deref().unwrap_or(text).trim()),
        Some(b'<') => cut(&html_message(text)),
        _ => cut(text),
    }
}

/// Returns the text, cut to [`MAX_BYTES`] between two characters.
pub(crate) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_BYTES)].to_owned()
}

fn json_message(text: &str) -> Option<String> {
    match serde_json::from_str(text).ok()? {
        serde_json::Value::String(message) => Some(message),
        serde_json::Value::Object(properties) => properties.into_iter().find_map(|(name, value)| match value {
            serde_json::Value::String(message) if name.eq_ignore_ascii_case("message") => Some(message),
            _ => None,
        }),
        _ => None,
    }
}

fn html_message(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let from = at + lower[at..].find('>')? + 1;
        let to = from + lower[from..].find("</title")?;
        Some(plain(&text[from..to])).filter(|title| !title.is_empty())
    });
    title.unwrap_or_else(|| plain(text))
}

/// Returns the text between tags, with one space for any run of white space.
fn plain(html: &str) -> String {
    let mut words = String::with_capacity(html.len().min(MAX_BYTES));
    let mut in_tag = false;
    for c in html.chars() {
        let c = match c {
            '<' => {
                in_tag = true;
                ' '
            }
            '>' if in_tag => {
                in_tag = false;
                ' '
            }
            _ if in_tag => continue,
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if c != ' ' || !words.is_empty() && !words.ends_with(' ') {
            words.push(c);
        }
    }
    let mut text = words.trim_end().to_owned();
    // `&amp;` comes last, or `&amp;lt;` would be undone twice.
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        text = text.replace(entity, character);
    }
    text
}

/// Returns the correlation id that an answer names: a GUID that stands at most 32 characters behind "correlation id" (any
/// case, with or without space, `-` or `_`). It travels in the message of an unhandled exception (*CM REST API service
/// details*); no page gives its form, and inside JSON it may stand in any property.
pub(crate) fn correlation_id(message: &str, body: &[u8]) -> Option<CorrelationId> {
    // The message is undone JSON, the body has what stands beside the message.
    find_correlation_id(message.as_bytes()).or_else(|| find_correlation_id(body))
}

fn find_correlation_id(text: &[u8]) -> Option<CorrelationId> {
    const WORD: &[u8] = b"correlation";
    const BEHIND: usize = 32;
    const GUID: usize = 36;

    let text = text.to_ascii_lowercase();
    memchr::memmem::find_iter(&text, WORD).find_map(|at| {
        let rest = &text[at + WORD.len()..];
        let gap = rest.iter().take_while(|byte| matches!(byte, b' ' | b'-' | b'_')).count();
        let rest = rest.get(gap..)?.strip_prefix(b"id")?;
        (0..=BEHIND).find_map(|skip| {
            let text = std::str::from_utf8(rest.get(skip..skip + GUID)?).ok()?;
            text.parse::<Guid>().ok()?;
            Some(CorrelationId::new(text))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_body_gives_its_message() {
        for (body, expect) in [
            (r#"{"Message":"An error has occurred."}"#, "An error has occurred."),
            (r#"{"code":7,"message":" not allowed "}"#, "not allowed"),
            ("\u{feff} {\"Message\":\"with a mark\"}", "with a mark"),
            (r#""just text""#, "just text"),
            (r#"{"Error":"other"}"#, r#"{"Error":"other"}"#),
            (r#"{"Message":7}"#, r#"{"Message":7}"#),
            (r#"{"Message":"cut o"#, r#"{"Message":"cut o"#),
            (
                "<!DOCTYPE html>\r\n<HTML><head><TITLE lang=en>502 &amp;\n Bad  Gateway</TITLE></head><body>x</body>",
                "502 & Bad Gateway",
            ),
            ("<html><title></title><h1>Service &lt;Unavailable&gt;</h1><p>later</p>", "Service <Unavailable> later"),
            ("<html><title>never ended", "never ended"),
            ("<Error><Message>xml</Message></Error>", "xml"),
            ("  plain\n", "plain"),
            ("", ""),
            ("  ", ""),
        ] {
            assert_eq!(of_body(body.as_bytes()), expect, "{body}");
        }
        assert_eq!(of_body(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = of_body("ü".repeat(3000).as_bytes());
        assert_eq!(message.len(), MAX_BYTES);
        let message = of_body(format!("x{}", "ü".repeat(3000)).as_bytes());
        assert_eq!(message.len(), MAX_BYTES - 1);
    }

    #[test]
    fn the_correlation_id_is_found_wherever_it_stands() {
        let id = "a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099";
        for body in [
            format!("An error occurred. Correlation ID: {id}"),
            format!("(CorrelationId={id})"),
            format!("correlation_id is {{{id}}}"),
            format!(r#"{{"Message":"failed","CorrelationId":"{id}"}}"#),
            format!(r#"{{"Message":"failed, correlation-id \"{id}\""}}"#),
            format!("<p>Correlation id: <b>{}</b>", id.to_uppercase()),
            format!("The correlation was lost. Correlation id {id}"),
        ] {
            let found = correlation_id(&of_body(body.as_bytes()), body.as_bytes());
            assert_eq!(found.as_ref().map(CorrelationId::as_str), Some(id), "{body}");
        }
        for body in [
            id.to_owned(),
            "correlation id: none".to_owned(),
            "correlation id".to_owned(),
            format!("correlation {id}"),
            format!("correlation id{}{id}", " ".repeat(33)),
            format!("correlation id ü{}", &id[..35]),
        ] {
            assert_eq!(correlation_id(&body, body.as_bytes()), None, "{body}");
        }
    }
}
