//! Text from outside, made safe to print.

use std::borrow::Cow;

/// The longest text from outside that is printed, in characters.
const MAX_CHARS: usize = 200;

/// Returns text from outside (server, manifest) as it may be printed on a terminal: control, bidi and invisible
/// characters escaped, cut at 200 characters with `…` behind.
///
/// ```
/// use cmbatch::request::printable;
/// assert_eq!(printable("a\u{1b}[31mred\u{202e}\n"), "a\\u{1b}[31mred\\u{202e}\\n");
/// ```
pub fn printable(text: &str) -> String {
    printable_up_to(text, MAX_CHARS)
}

/// Returns the same, cut at so many characters.
pub fn printable_up_to(text: &str, max_chars: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(4 * max_chars));
    for (n, c) in text.chars().enumerate() {
        if n == max_chars {
            safe.push('…');
            break;
        }
        match c {
            '\t' | '\n' | '\r' => safe.extend(c.escape_default()),
            c if moves_or_hides(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// Returns lines of the program's own as they may be printed: line ends and tabs stay, what else would steer a terminal is
/// escaped, wherever it came from.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let is_wrong = |c: char| moves_or_hides(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_wrong) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| if is_wrong(c) { c.escape_unicode().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

/// Returns whether a character would move the cursor, or hide or reorder what stands around it.
pub(crate) fn moves_or_hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_lines_keep_their_ends_and_nothing_else_that_steers_a_terminal() {
        assert_eq!(printable_lines("a\n\tZoë"), "a\n\tZoë");
        assert_eq!(printable_lines("a\u{1b}[2J\r\n\u{9b}x\u{202e}"), "a\\u{1b}[2J\\u{d}\n\\u{9b}x\\u{202e}");
    }

    #[test]
    fn long_text_is_cut_and_controls_are_escaped() {
        assert_eq!(printable("Zoë – ok"), "Zoë – ok");
        assert_eq!(printable("a\nb\tc\u{0}"), "a\\nb\\tc\\u{0}");
        assert_eq!(printable("\u{2066}x\u{200b}"), "\\u{2066}x\\u{200b}");
        let long = printable(&"ä".repeat(500));
        assert_eq!(long.chars().count(), 201);
        assert!(long.ends_with("ä…"));
    }
}
