//! What spreadsheets and conversions do to cells.

use super::finding::Advice;
use super::lookalike;
use super::quote::quoted;
use super::rule::Rule;

/// Error values of formulas, as English, German, French and Spanish spreadsheets export them.
const FORMULA_ERRORS: [&str; 22] = [
    "#N/A",
    "#REF!",
    "#NAME?",
    "#VALUE!",
    "#DIV/0!",
    "#NUM!",
    "#NULL!",
    "#SPILL!",
    "#CALC!",
    "#GETTING_DATA",
    "#FIELD!",
    "#NV",
    "#BEZUG!",
    "#WERT!",
    "#ZAHL!",
    "#VALEUR!",
    "#NOM?",
    "#NOMBRE!",
    "#NOMBRE?",
    "#¡REF!",
    "#¡VALOR!",
    "#¿NOMBRE?",
];

/// Which characters that are no text a cell may hold all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaks {
    /// Tab, carriage return and line feed.
    Allowed,
    /// None.
    Refused,
}

/// Whether a cell is a value that a spreadsheet can spoil (an id, a data item), or free text (a comment, a note).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A value.
    Value,
    /// Free text.
    Free,
}

/// Returns whether free text has nothing that [`in_text`] looks for, in one pass without branches: no control characters
/// and no U+FFFD. In UTF-8 those of C1 begin with C2 and U+FFFD with EF; most letters beyond ASCII begin with neither.
pub(super) fn is_harmless(bytes: &[u8]) -> bool {
    let harmless = bytes.iter().fold(true, |harmless, byte| {
        harmless & (byte.wrapping_sub(b' ') < 0x5f || *byte >= 0x80) & (*byte != 0xc2) & (*byte != 0xef)
    });
    // Readers give UTF-8; what is not must never pass unseen.
    harmless && simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Returns whether a value that [`is_harmless`] needs [`in_text`] all the same: what it looks for begins so.
pub(super) const fn may_be_spoiled(bytes: &[u8]) -> bool {
    matches!(bytes, [b'0'..=b'9' | b'+' | b'-' | b'#' | b' ', ..])
}

/// Finds damage in a cell that holds a GUID, a type or a priority.
pub(super) fn in_code(field: &str, text: &str) -> Option<(Rule, Advice)> {
    formula_error(field, text)
        .or_else(|| lost_character(field, text))
        .or_else(|| control_character(field, text, Breaks::Refused))
        .or_else(|| lookalike::find(field, text).map(|advice| (Rule::LookalikeCharacter, advice)))
}

/// Finds damage in a cell that holds text; all of it, each kind once.
pub(super) fn in_text(field: &str, text: &str, breaks: Breaks, sort: Sort) -> impl Iterator<Item = (Rule, Advice)> {
    let spoiled = match sort {
        Sort::Value => formula_error(field, text).or_else(|| rounded_number(field, text)),
        Sort::Free => None,
    };
    [spoiled, lost_character(field, text), control_character(field, text, breaks)].into_iter().flatten()
}

fn formula_error(field: &str, text: &str) -> Option<(Rule, Advice)> {
    let value = text.trim_ascii();
    let is_hashes = value.len() >= 4 && value.bytes().all(|b| b == b'#');
    if !value.starts_with('#') || !(is_hashes || FORMULA_ERRORS.contains(&value)) {
        return None;
    }
    let advice = if is_hashes {
        Advice::new(
            format!("{field} is {}, which a spreadsheet shows where a column is too narrow", quoted(value)),
            "widen the column in the spreadsheet and export again",
        )
    } else {
        Advice::new(
            format!("{field} is {}, the error value of a spreadsheet's formula", quoted(value)),
            "correct the formula or fill in the value in the spreadsheet, and export again",
        )
    };
    Some((Rule::SpreadsheetError, advice))
}

/// A long number as a spreadsheet shows it: `6.1E+15`, `1,23457E+15`.
fn rounded_number(field: &str, text: &str) -> Option<(Rule, Advice)> {
    let value = text.trim_ascii();
    if !is_rounded_number(value.as_bytes()) {
        return None;
    }
    let advice = Advice::new(
        format!("{field} {} is a long number that a spreadsheet has rounded; its last digits are lost", quoted(value)),
        "take the number from its source again, give the column the format Text before it goes in, and export again",
    );
    Some((Rule::NumberDamaged, advice))
}

fn is_rounded_number(value: &[u8]) -> bool {
    let unsigned = match value {
        [b'+' | b'-', rest @ ..] => rest,
        all => all,
    };
    let [b'0'..=b'9', rest @ ..] = unsigned else { return false };
    let exponent = match rest {
        [b'.' | b',', digits @ ..] => {
            let n_digits = digits.iter().take_while(|b| b.is_ascii_digit()).count();
            if n_digits == 0 {
                return false;
            }
            &digits[n_digits..]
        }
        all => all,
    };
    let [b'E', b'+', digits @ ..] = exponent else { return false };
    (2..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
}

fn lost_character(field: &str, text: &str) -> Option<(Rule, Advice)> {
    let at = text.chars().position(|c| c == '\u{fffd}')?;
    let advice = Advice::new(
        format!("character {} of {field} {} is U+FFFD: a letter was lost in a conversion", at + 1, quoted(text)),
        "export the list again from its source as \"CSV UTF-8\"; this file no longer has the letter",
    );
    Some((Rule::TextDamaged, advice))
}

fn control_character(field: &str, text: &str, breaks: Breaks) -> Option<(Rule, Advice)> {
    let is_wrong = |c: char| c.is_control() && !(breaks == Breaks::Allowed && matches!(c, '\t' | '\r' | '\n'));
    let (at, c) = text.chars().enumerate().find(|(_, c)| is_wrong(*c))?;
    let (name, help) = match c {
        '\0' => (
            "a NUL character",
            "delete it; if the whole file is full of them, it is UTF-16 without its mark: save it as \"CSV UTF-8\"",
        ),
        '\n' | '\r' => ("a line break", "write the value on one line"),
        '\t' => ("a tab", "delete it, or write a blank instead"),
        _ => ("a control character", "delete it, or type the value again"),
    };
    let what = format!("character {} of {field} {} is U+{:04X}, {name}", at + 1, quoted(text), u32::from(c));
    Some((Rule::ControlCharacter, Advice::new(what, help)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str, breaks: Breaks, sort: Sort) -> Vec<Rule> {
        in_text("data.badge", text, breaks, sort).map(|(rule, _)| rule).collect()
    }

    #[test]
    fn what_is_taken_for_harmless_is() {
        for c in '\0'..='\u{ffff}' {
            if is_harmless(c.encode_utf8(&mut [0; 4]).as_bytes()) {
                assert_eq!(rules(&format!("a{c}"), Breaks::Refused, Sort::Free), [], "{c:?}");
            }
        }
        assert!(is_harmless("Grażyna Müller, 東京".as_bytes()));
        assert!(!is_harmless("a\u{85}".as_bytes()) && !is_harmless("a\u{fffd}".as_bytes()) && !is_harmless(b"a\t"));
    }

    #[test]
    fn long_numbers_that_a_spreadsheet_rounded_are_told_from_codes() {
        for damaged in ["6.1E+15", "1,23457E+15", "1E+15", "-1.5E+12", "4.00000000000001E+100"] {
            assert_eq!(rules(damaged, Breaks::Allowed, Sort::Value), [Rule::NumberDamaged], "{damaged}");
            assert_eq!(rules(damaged, Breaks::Allowed, Sort::Free), [], "{damaged}");
        }
        for fine in
            ["", "6100000000000000", "1E15", "E+15", "6.E+15", "6.1e+15", "6.1E+1", "12E+15", "6.1E+15x", "6.1E-15"]
        {
            assert_eq!(rules(fine, Breaks::Allowed, Sort::Value), [], "{fine}");
        }
    }

    #[test]
    fn error_values_of_formulas_are_found_in_values_only() {
        for damaged in ["#N/A", "#REF!", "#NAME?", "#VALUE!", "#BEZUG!", " #N/A ", "########"] {
            assert_eq!(rules(damaged, Breaks::Allowed, Sort::Value), [Rule::SpreadsheetError], "{damaged}");
            assert_eq!(rules(damaged, Breaks::Allowed, Sort::Free), [], "{damaged}");
        }
        for fine in ["#", "#17", "# N/A", "see #N/A", "###"] {
            assert_eq!(rules(fine, Breaks::Allowed, Sort::Value), [], "{fine}");
        }
    }

    #[test]
    fn control_characters_are_errors_and_line_breaks_where_they_are_no_text() {
        for c in ['\0', '\u{1}', '\u{1b}', '\u{7f}', '\u{80}', '\u{9f}'] {
            assert_eq!(rules(&format!("a{c}b"), Breaks::Allowed, Sort::Free), [Rule::ControlCharacter], "{c:?}");
        }
        for c in ['\t', '\r', '\n'] {
            assert_eq!(rules(&format!("a{c}b"), Breaks::Allowed, Sort::Free), [], "{c:?}");
            assert_eq!(rules(&format!("a{c}b"), Breaks::Refused, Sort::Free), [Rule::ControlCharacter], "{c:?}");
        }
    }

    #[test]
    fn the_quick_look_never_misses_what_the_slow_one_finds() {
        for byte in 0..=255u8 {
            assert_eq!(is_harmless(&[b'a', byte]), (0x20..0x7f).contains(&byte), "{byte}");
        }
        for text in FORMULA_ERRORS.into_iter().chain(["6.1E+15", "-6.1E+15", "+6.1E+15", " 6.1E+15", "#####"]) {
            assert!(may_be_spoiled(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn several_kinds_of_damage_are_all_named() {
        assert_eq!(rules("\u{fffd}\u{7}", Breaks::Allowed, Sort::Value), [Rule::TextDamaged, Rule::ControlCharacter]);
    }
}
