//! What a page for people says.

use super::{MAX_BYTES, Said};

/// The elements whose text is what a page has to say.
const SPOKEN: [&str; 6] = ["title", "h1", "h2", "h3", "p", "pre"];
/// Those whose text is nothing for people.
const SILENT: [&str; 2] = ["script", "style"];
/// Those that stand within a sentence.
const INLINE: [&str; 11] = ["a", "b", "i", "em", "strong", "span", "font", "code", "tt", "br", "u"];

/// Returns the text of a page: that of its title, headings and paragraphs, or all of it where it has none of these.
pub(super) fn text_of(page: &str) -> String {
    let (mut spoken, mut all) = (Said::default(), Words::default());
    let mut within: Option<Words> = None;
    let mut end_of = |within: &mut Option<Words>| {
        if let Some(words) = within.take() {
            spoken.add(&words.finish());
        }
    };
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let (text, from_tag) = rest.split_at(at);
        all.add(text);
        if let Some(words) = &mut within {
            words.add(text);
        }
        rest = match from_tag.strip_prefix("<!--") {
            Some(comment) => comment.split_once("-->").map_or("", |(_, after)| after),
            None => {
                let (tag, after) = from_tag.split_once('>').unwrap_or((from_tag, ""));
                let tag = tag[1..].to_ascii_lowercase();
                let name =
                    tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
                let is_end = tag.starts_with('/');
                all.space();
                if INLINE.contains(&name) {
                    if let Some(words) = &mut within {
                        words.space();
                    }
                } else {
                    end_of(&mut within);
                    within = (!is_end && SPOKEN.contains(&name)).then(Words::default);
                }
                if !is_end && SILENT.contains(&name) { after_element(after, name) } else { after }
            }
        };
        if all.0.len() > 4 * MAX_BYTES {
            rest = "";
        }
    }
    all.add(rest);
    if let Some(words) = &mut within {
        words.add(rest);
    }
    end_of(&mut within);
    if spoken.0.is_empty() { all.finish() } else { spoken.0 }
}

fn after_element<'a>(text: &'a str, name: &str) -> &'a str {
    let end = format!("</{name}");
    let at = text.as_bytes().windows(end.len()).position(|window| window.eq_ignore_ascii_case(end.as_bytes()));
    at.map_or("", |at| &text[at..])
}

/// Text with one space for any run of white space, its entities still in it.
#[derive(Default)]
struct Words(String);

impl Words {
    fn add(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.space();
            } else {
                self.0.push(c);
            }
        }
    }

    fn space(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with(' ') {
            self.0.push(' ');
        }
    }

    fn finish(self) -> String {
        decoded(self.0.trim_end())
    }
}

/// Returns a text with its entities decoded, once.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match after.split_once(';').and_then(|(name, after)| Some((character(name)?, after))) {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    if let Some(number) = number {
        return char::from_u32(number);
    }
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "copy" => '©',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "laquo" => '«',
        "raquo" => '»',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_has_to_say_is_found() {
        for (page, says) in [
            (
                "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">\r\n<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD>\r\n<BODY>\
                 <h2>Bad Request - Request Too Long</h2>\r\n<hr><p>HTTP Error 400. The size of the request headers is too \
                 long.</p></BODY></HTML>",
                "Bad Request: Bad Request - Request Too Long: HTTP Error 400. The size of the request headers is too long.",
            ),
            (
                "<html><head><title>403 - Forbidden: Access is denied.</title><style>body{margin:0}</style></head><body>\
                 <div id=\"header\"><h1>Server Error</h1></div><div><fieldset><h2>403 - Forbidden: Access is denied.</h2>\
                 <h3>You do not have permission to view this directory.</h3></fieldset></div></body></html>",
                "403 - Forbidden: Access is denied. Server Error: You do not have permission to view this directory.",
            ),
            (
                "<html><script>if (a<b) { x(\"<p>no</p>\") }</script><!-- <p>nor</p> --><p>Policy <b>K&uuml;che</b><br>denies \
                 &#8220;POST&#x201D; &amp;lt;<p>ask proxy@contoso.test<div>Footer</div>",
                "Policy Küche denies “POST” &lt; ask proxy@contoso.test",
            ),
            (
                "<html><body>Request Rejected.<br>Your support ID is: 42 &unknown; &</body>",
                "Request Rejected. Your support ID is: 42 &unknown; &",
            ),
            ("<html><title>never ended", "never ended"),
            ("<pre>a < b", "a"),
            ("<", ""),
        ] {
            assert_eq!(text_of(page), says, "{page}");
        }
    }
}
