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

/// Reads the same as [`Guid`]'s `FromStr`, straight from the bytes of a cell: most cells of a manifest are GUIDs.
pub(super) fn parse(cell: &[u8]) -> Option<Guid> {
    let bare = match cell {
        [b'{', bare @ .., b'}'] => bare,
        bare => bare,
    };
    let text: &[u8; 36] = bare.try_into().ok()?;
    let hyphens = [text[8], text[13], text[18], text[23]];
    // The 32 digits, eight at a time.
    let mut digits = [0; 32];
    digits[..8].copy_from_slice(&text[..8]);
    digits[8..12].copy_from_slice(&text[9..13]);
    digits[12..16].copy_from_slice(&text[14..18]);
    digits[16..20].copy_from_slice(&text[19..23]);
    digits[20..].copy_from_slice(&text[24..]);
    let mut bytes = [0; 16];
    let mut is_hex = true;
    for (digits, bytes) in digits.as_chunks::<8>().0.iter().zip(bytes.as_chunks_mut::<4>().0) {
        let (number, all_digits) = eight_digits(u64::from_le_bytes(*digits));
        is_hex &= all_digits;
        *bytes = number.to_le_bytes();
    }
    (is_hex && hyphens == *b"----").then(|| Guid::from_bytes(bytes))
}

/// One bit in each byte of eight.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Reads eight characters as hexadecimal digits, all in one go, the first in the lowest byte; says whether all of them are.
///
/// Adding `0x80 - n` to a byte below 0x80 sets its highest bit where it is n or more, and carries into no other byte.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
const fn eight_digits(text: u64) -> (u32, bool) {
    const fn at_least(bytes: u64, least: u8) -> u64 {
        bytes + ONES * (0x80 - least) as u64
    }
    let ascii = text & (ONES * 0x7f);
    let lower = ascii | (ONES * 0x20);
    let is_digit = at_least(ascii, b'0') & !at_least(ascii, b'9' + 1);
    let is_letter = at_least(lower, b'a') & !at_least(lower, b'f' + 1) & (ONES * 0x80);
    let are_all = (is_digit | is_letter) & !text & (ONES * 0x80) == ONES * 0x80;
    // The letters a to f have the low halves 1 to 6.
    let halves = (ascii & (ONES * 0x0f)) + (is_letter >> 7) * 9;
    let pairs = (halves << 4 | halves >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) as u32, are_all)
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

    #[test]
    fn every_byte_in_every_place_of_eight_is_told() {
        for place in 0..8 {
            for byte in 0..=255u8 {
                let mut text = *b"01289aFf";
                text[place] = byte;
                let (number, are_digits) = eight_digits(u64::from_le_bytes(text));
                let expect = str::from_utf8(&text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
                let expect = expect.map(|text| u32::from_str_radix(text, 16).unwrap().swap_bytes());
                assert_eq!(are_digits.then_some(number), expect, "{text:?}");
            }
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
