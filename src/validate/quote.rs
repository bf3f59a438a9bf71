//! Text from outside, made safe to stand in a message.

use std::fmt::Write as _;

/// How many characters of a text from outside a message shows.
const SHOWN_CHARS: usize = 200;

/// Returns whether a character would move, hide or reorder what stands around it on a terminal: control characters,
/// bidirectional controls, line and paragraph separators, and what has no width.
fn is_unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the text with control, bidi and invisible characters written as escapes, cut at 200 characters.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(SHOWN_CHARS + 16));
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN_CHARS {
            shown.push('…');
            break;
        }
        match c {
            '\t' => shown.push_str("\\t"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            c if is_unsafe_to_show(c) => {
                write!(shown, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Returns the text in double quotes, escaped and cut like [`escaped`].
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Returns one character in double quotes, with its code point where it cannot be shown as itself.
pub(super) fn quoted_char(c: char) -> String {
    quoted(c.encode_utf8(&mut [0; 4]))
}

/// Returns the count with its noun, in the plural where it is not one.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_shown_as_an_escape() {
        assert_eq!(quoted("a\u{1b}[2J\u{202e}b\u{200b}\tc\n"), r#""a\u{1b}[2J\u{202e}b\u{200b}\tc\n""#);
        assert_eq!(quoted("Müller, \"Zoë\""), "\"Müller, \"Zoë\"\"");
        assert_eq!(quoted_char('\u{a0}'), "\"\u{a0}\"");
    }

    #[test]
    fn long_text_is_cut_at_200_characters() {
        let shown = escaped(&"é".repeat(1000));
        assert_eq!(shown.chars().count(), 201);
        assert!(shown.ends_with('…'));
        assert_eq!(escaped(&"é".repeat(200)), "é".repeat(200));
    }
}
