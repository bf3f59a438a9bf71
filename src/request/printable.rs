//! Text from outside, made safe to print.

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

/// Returns whether a character would move the cursor, or hide or reorder what stands around it.
fn moves_or_hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
