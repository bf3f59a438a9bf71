//! Cells that hold a GUID.

use super::finding::Advice;
use super::quote::{counted, quoted, quoted_char};
use crate::request::Guid;

/// What a byte is as a hexadecimal digit; 0xFF for those that are none.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit as usize] as usize] = digit;
        table[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    table
};

/// Where the 16 bytes of a GUID start in its 36 characters.
const STARTS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Reads the same as [`Guid`]'s `FromStr`, straight from the bytes of a cell: most cells of a manifest are GUIDs.
pub(super) fn parse(cell: &[u8]) -> Option<Guid> {
    let bare = match cell {
        [b'{', bare @ .., b'}'] => bare,
        bare => bare,
    };
    let text: &[u8; 36] = bare.try_into().ok()?;
    let hyphens = [text[8], text[13], text[18], text[23]];
    let mut bytes = [0; 16];
    // Digits that are none leave their high bits here, so that the loop has no branch.
    let mut seen = 0;
    for (byte, start) in bytes.iter_mut().zip(STARTS) {
        let (high, low) = (HEX[text[start] as usize], HEX[text[start + 1] as usize]);
        seen |= high | low;
        *byte = high << 4 | low & 0x0f;
    }
    (seen < 16 && hyphens == *b"----").then(|| Guid::from_bytes(bytes))
}

/// Returns whether a text that is no GUID was probably meant as one, and not as a name.
pub(super) fn is_meant(text: &str) -> bool {
    let n_hex = text.bytes().filter(|b| HEX[*b as usize] != 0xff).count();
    let n_other = text.chars().filter(|c| !c.is_ascii_hexdigit() && !"-{}".contains(*c)).count();
    n_hex >= 20 && n_other <= 4
}

/// Says that a GUID is all zeros.
pub(super) fn zero(field: &str) -> Advice {
    Advice::new(
        format!("{field} is the all-zero GUID, which the API takes for \"none\""),
        "leave the cell empty, or give the real GUID",
    )
}

/// Says why a cell is no GUID. `text` is trimmed, not empty, not damaged, and does not parse.
pub(super) fn explain(field: &str, text: &str) -> Advice {
    let value = quoted(text);
    let copy = "copy it again from its source";
    let inner = text.trim_matches(['{', '}', '(', ')', '[', ']', '"', '\'', '<', '>']).trim();
    let inner = inner.strip_prefix("urn:uuid:").unwrap_or(inner);
    let digits: String = inner.chars().filter(|c| *c != '-').collect();
    let is_hex = digits.bytes().all(|b| HEX[b as usize] != 0xff);
    if is_hex && digits.len() == 32 {
        let right = regrouped(&digits);
        let what = if inner == right {
            format!("{field} {value} has more around the GUID than a pair of braces")
        } else {
            format!("{field} {value} does not have its digits in groups of 8-4-4-4-12")
        };
        return Advice::new(what, format!("write {right}"));
    }
    if is_hex && !digits.is_empty() {
        let n_digits = counted(digits.len(), "hexadecimal digit", "hexadecimal digits");
        return Advice::new(format!("{field} {value} has {n_digits} where a GUID has 32"), copy);
    }
    match text.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit() && !"-{}".contains(*c)) {
        Some((at, c)) if is_meant(text) => {
            let hint = match c {
                'o' | 'O' => "the digit 0 is meant, not the letter O",
                'l' | 'I' | 'i' => "the digit 1 is meant, not a letter",
                _ => copy,
            };
            let what = format!("character {} of {field} {value} is {}", at + 1, quoted_char(c));
            Advice::new(format!("{what}, and a GUID has only the digits 0-9 and a-f"), hint)
        }
        _ => Advice::new(
            format!("{field} {value} is not a GUID"),
            "write 32 hexadecimal digits in groups of 8-4-4-4-12, such as 97cc3493-f556-4c9b-9d8b-982434201527",
        ),
    }
}

/// Puts 32 digits into groups.
fn regrouped(digits: &str) -> String {
    let lower = digits.to_ascii_lowercase();
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &lower[group]).join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUID: &str = "97cc3493-f556-4c9b-9d8b-982434201527";

    #[test]
    fn reads_what_the_domain_reads() {
        for text in [
            GUID.to_owned(),
            GUID.to_uppercase(),
            format!("{{{GUID}}}"),
            format!("{{{GUID}"),
            format!("{GUID}}}"),
            format!("{{{{{GUID}}}}}"),
            GUID.replace('-', ""),
            GUID.replace('9', "g"),
            GUID.replace("-4", "4-"),
            String::new(),
            "{}".to_owned(),
        ] {
            assert_eq!(parse(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_offers_the_right_value() {
        let table = [
            ("97cc3493f5564c9b9d8b982434201527", "groups of 8-4-4-4-12", "write 97cc3493-f556-4c9b-9d8b-982434201527"),
            ("97CC3493-F5564C9B-9D8B-982434201527", "groups of", "write 97cc3493-f556-4c9b-9d8b-982434201527"),
            ("(97cc3493-f556-4c9b-9d8b-982434201527)", "more around", "write 97cc3493-f556-4c9b-9d8b-982434201527"),
            ("{97cc3493-f556-4c9b-9d8b-982434201527", "more around", "write 97cc3493-f556-4c9b-9d8b-982434201527"),
            ("97cc3493-f556-4c9b-9d8b-98243420152", "31 hexadecimal digits where a GUID has 32", "copy it again"),
            ("97cc3493-f556-4c9b-9d8b-98243420152g", "character 36", "copy it again"),
            ("97cc3493-f556-4c9b-9d8b-98243420152O", "is \"O\"", "the digit 0 is meant"),
            ("pavle@contoso.com", "is not a GUID", "write 32 hexadecimal digits"),
            ("CONTOSO\\pavle", "is not a GUID", "write 32 hexadecimal digits"),
            ("-", "is not a GUID", "write 32"),
            ("17", "2 hexadecimal digits", "copy"),
        ];
        for (text, what, help) in table {
            let advice = explain("target", text);
            assert!(advice.what.contains(what), "{text}: {advice:?}");
            assert!(advice.help.contains(help), "{text}: {advice:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_the_domain_reads_it(text in "[{]?[0-9a-fA-Fg-]{34,37}[}]?|\\PC*") {
            prop_assert_eq!(parse(text.as_bytes()), text.parse().ok());
            if !text.is_empty() {
                explain("target", &text);
            }
        }
    }
}
