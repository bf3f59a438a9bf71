//! Text from outside, made safe to stand in a message.

use crate::request::printable;

/// Returns the text in double quotes, escaped and cut like [`printable`].
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text))
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
        let shown = printable(&"é".repeat(1000));
        assert_eq!(shown.chars().count(), 201);
        assert!(shown.ends_with('…'));
        assert_eq!(printable(&"é".repeat(200)), "é".repeat(200));
    }
}
