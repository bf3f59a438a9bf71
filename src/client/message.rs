//! What a server's answer says, for people.

use http::StatusCode;
use serde_json::Value;

use super::session;
use crate::request::{CorrelationId, Guid};

mod html;

/// The longest message that is kept, in bytes.
pub(crate) const MAX_BYTES: usize = 4096;

/// Returns what an answer's body says: the messages of a JSON object (any case), a JSON string, the headings and paragraphs of an
/// HTML page (its text where it has none), else the body as it is. At most [`MAX_BYTES`]; empty where the body says nothing.
pub(crate) fn of_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.as_bytes().first() {
        Some(b'{' | b'"') => cut(json_message(text).as_deref().unwrap_or(text).trim()),
        Some(b'<') => cut(&html::text_of(text)),
        _ => cut(text),
    }
}

/// Returns whether a body is a page for people, which the API never writes.
pub(crate) fn is_page(body: &[u8]) -> bool {
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()));
    begins("<!doctype") || begins("<html") || begins("<head") || begins("<body") || begins("<title") || begins("<h1")
}

/// What Web API writes where no controller has the address that was called.
const NO_ROUTE: &str = "No HTTP resource was found";

/// Returns whether the body of a 404 says that the address is not there, and not that something is missing which the call names.
pub(crate) fn is_of_address(body: &[u8]) -> bool {
    is_page(body) || of_body(body).contains(NO_ROUTE)
}

/// Returns what an answer says: what its body does, and before that where it sends the call on, or what to do about it.
pub(crate) fn of_answer(status: u16, location: Option<&str>, advice: Option<&str>, body: &[u8]) -> String {
    let said = of_body(body);
    let lead = match (location, advice) {
        (Some(location), _) if (300..400).contains(&status) => {
            format!("the call is sent on{}", session::place(location))
        }
        (_, Some(advice)) => advice.to_owned(),
        (_, None) if said.is_empty() => return reason(status),
        (_, None) => return said,
    };
    if said.is_empty() { lead } else { cut(&format!("{lead}; it says: {said}")) }
}

/// Returns a status in words, for an answer that has none of its own.
pub(crate) fn reason(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// Returns the text, cut to [`MAX_BYTES`] between two characters.
pub(crate) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_BYTES)].to_owned()
}

/// The names under which errors speak, first the most general one: Web API's (`HttpError`) and RFC 9457's.
const SPOKEN: [&str; 6] = ["Message", "MessageDetail", "title", "detail", "ExceptionMessage", "InnerException"];

/// Where they say what is wrong with each property.
const BY_PROPERTY: [&str; 2] = ["ModelState", "errors"];

/// How deep errors that caused one another are looked into.
const MAX_DEPTH: usize = 8;

fn json_message(text: &str) -> Option<String> {
    let mut said = Said::default();
    match serde_json::from_str(text).ok()? {
        Value::String(message) => return Some(message),
        object @ Value::Object(_) => add_json(&mut said, &object, MAX_DEPTH),
        _ => {}
    }
    Some(said.0).filter(|said| !said.is_empty())
}

fn add_json(said: &mut Said, value: &Value, depth: usize) {
    match value {
        Value::String(text) => said.add(text),
        Value::Object(properties) if depth > 0 => {
            let of = |name: &str| properties.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            for (_, value) in SPOKEN.iter().filter_map(|name| of(name)) {
                add_json(said, value, depth - 1);
            }
            for (_, value) in BY_PROPERTY.iter().filter_map(|name| of(name)) {
                let by_property = value.as_object().into_iter().flatten();
                for (name, faults) in by_property {
                    for fault in faults.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        said.add(&format!("{name}: {fault}"));
                    }
                }
            }
        }
        _ => {}
    }
}

/// What is said, in one line and nothing twice.
#[derive(Default)]
struct Said(String);

impl Said {
    fn add(&mut self, text: &str) {
        let text = text.trim();
        if self.0.contains(text) {
            return;
        }
        if !self.0.is_empty() {
            self.0.push_str(if self.0.ends_with(['.', '!', '?', ':', ';']) { " " } else { ": " });
        }
        self.0.push_str(text);
    }
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
            ("<html><title></title><h1>Service &lt;Unavailable&gt;</h1><p>later</p>", "Service <Unavailable>: later"),
            (
                r#"{"Message":"An error has occurred.","ExceptionMessage":"No user.","InnerException":{"Message":"An error has occurred.","ExceptionMessage":"LDAP 32"}}"#,
                "An error has occurred. No user. LDAP 32",
            ),
            (
                r#"{"Message":"The request is invalid.","ModelState":{"target":["not a GUID"]}}"#,
                "The request is invalid. target: not a GUID",
            ),
            (r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"no quota"}"#, "Forbidden: no quota"),
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
    fn a_page_is_known_by_how_it_begins() {
        for page in ["<html>", "\u{feff}\r\n<!DOCTYPE HTML PUBLIC>", "<HTML lang=de>", "<head><title>x"] {
            assert!(is_page(page.as_bytes()), "{page}");
        }
        for other in ["", "{\"Message\":\"<html>\"}", "<Error/>", "plain", "<"] {
            assert!(!is_page(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_stands_in_the_head_comes_first() {
        let to = Some("https://u:p@sts.contoso.test/adfs/ls?wctx=secret");
        assert_eq!(of_answer(302, to, None, b""), "the call is sent on to https://sts.contoso.test/adfs/ls");
        assert_eq!(
            of_answer(307, Some("/in\u{1b}"), None, b"Moved"),
            "the call is sent on to /in\\u{1b}; it says: Moved"
        );
        assert_eq!(of_answer(302, None, None, b""), "302 Found");
        assert_eq!(of_answer(500, to, None, b"no"), "no");
        assert_eq!(of_answer(401, None, Some("give --auth ntlm"), b"no"), "give --auth ntlm; it says: no");
        assert_eq!(of_answer(401, None, Some("give --auth ntlm"), b""), "give --auth ntlm");
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
