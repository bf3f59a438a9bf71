//! Characters that look like the right one, or like nothing, and are others.

use super::finding::Advice;
use super::quote::{quoted, quoted_char};
use crate::request::printable;

/// What to do about a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    /// Type this one.
    Type(char),
    /// Leave it out.
    Nothing,
}

/// Returns the name of a character that is taken for another, and what belongs in its place; none for all others.
fn lookalike(c: char) -> Option<(&'static str, Instead)> {
    use Instead::{Nothing, Type};
    if c.is_ascii() {
        return None;
    }
    Some(match c {
        '\u{2010}' => ("a hyphen", Type('-')),
        '\u{2011}' => ("a non-breaking hyphen", Type('-')),
        '\u{2012}' => ("a figure dash", Type('-')),
        '\u{2013}' => ("an en dash", Type('-')),
        '\u{2014}' => ("an em dash", Type('-')),
        '\u{2015}' => ("a horizontal bar", Type('-')),
        '\u{2212}' => ("a minus sign", Type('-')),
        '\u{fe58}' | '\u{fe63}' => ("a small hyphen", Type('-')),
        '\u{ad}' => ("a soft hyphen, which is invisible", Nothing),
        '\u{a0}' => ("a no-break space", Nothing),
        '\u{202f}' => ("a narrow no-break space", Nothing),
        '\u{2007}' => ("a figure space", Nothing),
        '\u{1680}' | '\u{2000}'..='\u{2006}' | '\u{2008}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => {
            ("a blank of another width", Nothing)
        }
        '\u{200b}' => ("a zero-width space, which is invisible", Nothing),
        '\u{200c}' | '\u{200d}' | '\u{2060}' => ("a joiner, which is invisible", Nothing),
        '\u{feff}' => ("a byte order mark, which is invisible", Nothing),
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            ("a writing direction mark, which is invisible", Nothing)
        }
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201c}' | '\u{201d}' | '\u{201e}' => ("a curly quote", Nothing),
        '\u{ab}' | '\u{bb}' | '\u{2039}' | '\u{203a}' => ("an angle quote", Nothing),
        '\u{ff01}'..='\u{ff5e}' => ("a full-width character", Type(full_width(c))),
        '\u{660}'..='\u{669}' => ("an Arabic digit", Type(digit(c, '\u{660}'))),
        '\u{6f0}'..='\u{6f9}' => ("an Arabic digit", Type(digit(c, '\u{6f0}'))),
        '\u{131}' => ("a dotless i", Type('i')),
        '\u{370}'..='\u{3ff}' => ("a Greek letter", Type(greek(c)?)),
        '\u{400}'..='\u{52f}' => ("a Cyrillic letter", Type(cyrillic(c)?)),
        _ => return None,
    })
}

/// Full-width forms stand in the order of ASCII, from U+FF01 for "!".
fn full_width(c: char) -> char {
    char::from_u32(u32::from(c) - 0xff01 + u32::from('!')).unwrap_or(c)
}

fn digit(c: char, zero: char) -> char {
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

const fn greek(c: char) -> Option<char> {
    Some(match c {
        'Α' => 'A',
        'Β' => 'B',
        'Ε' => 'E',
        'Ζ' => 'Z',
        'Η' => 'H',
        'Ι' => 'I',
        'Κ' => 'K',
        'Μ' => 'M',
        'Ν' => 'N',
        'Ο' => 'O',
        'Ρ' => 'P',
        'Τ' => 'T',
        'Υ' => 'Y',
        'Χ' => 'X',
        'α' => 'a',
        'ι' => 'i',
        'κ' => 'k',
        'ν' => 'v',
        'ο' => 'o',
        'ρ' => 'p',
        'υ' => 'u',
        _ => return None,
    })
}

const fn cyrillic(c: char) -> Option<char> {
    Some(match c {
        'А' => 'A',
        'В' => 'B',
        'Е' => 'E',
        'К' => 'K',
        'М' => 'M',
        'Н' => 'H',
        'О' => 'O',
        'Р' => 'P',
        'С' => 'C',
        'Т' => 'T',
        'У' => 'Y',
        'Х' => 'X',
        'а' => 'a',
        'в' => 'b',
        'б' => '6',
        'с' => 'c',
        'е' => 'e',
        'і' => 'i',
        'к' => 'k',
        'о' => 'o',
        'р' => 'p',
        'т' => 't',
        'у' => 'y',
        'х' => 'x',
        'ԁ' => 'd',
        _ => return None,
    })
}

/// Returns the text with every such character replaced or left out.
pub(super) fn mended(text: &str) -> String {
    text.chars()
        .filter_map(|c| match lookalike(c) {
            Some((_, Instead::Type(right))) => Some(right),
            Some((_, Instead::Nothing)) => None,
            None => Some(c),
        })
        .collect()
}

/// Says which such characters a cell has, and what to type instead; none where it has none.
pub(super) fn find(field: &str, text: &str) -> Option<Advice> {
    let right = mended(text);
    // A word in another alphabet is not a misspelled one: letters count only where they are all that is wrong.
    let counts = |c: char| right.is_ascii() || !c.is_alphabetic();
    let mut found = text
        .chars()
        .enumerate()
        .filter(|(_, c)| counts(*c))
        .filter_map(|(at, c)| lookalike(c).map(|seen| (at + 1, c, seen)));
    let (at, c, (name, instead)) = found.next()?;
    let n_more = found.count();
    let more = match n_more {
        0 => String::new(),
        n => format!(" (and {n} more like it)"),
    };
    let what = format!("character {at} of {field} {} is U+{:04X}, {name}{more}", quoted(text), u32::from(c));
    let whole = if right.is_ascii() { format!(": {}", printable(right.trim_ascii())) } else { String::new() };
    let help = match instead {
        Instead::Type(right) => format!("type {} instead{whole}", quoted_char(right)),
        Instead::Nothing => format!("delete it{whole}"),
    };
    Some(Advice::new(what, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_character_is_named_with_its_place_and_what_to_type() {
        let table = [
            ("17cf063d\u{2013}e337", "character 9", "U+2013, an en dash", "type \"-\" instead: 17cf063d-e337"),
            ("Enroll\u{a0}", "character 7", "U+00A0, a no-break space", "delete it: Enroll"),
            ("\u{feff}Enroll", "character 1", "U+FEFF", "delete it: Enroll"),
            ("Еnroll", "character 1", "U+0415, a Cyrillic letter", "type \"E\" instead: Enroll"),
            ("Renοw", "character 4", "U+03BF, a Greek letter", "type \"o\" instead: Renow"),
            ("１２", "character 1", "U+FF11, a full-width character (and 1 more like it)", "type \"1\" instead: 12"),
            ("\u{201c}Renew\u{201d}", "character 1", "U+201C, a curly quote (and 1 more", "delete it: Renew"),
            ("٣", "character 1", "U+0663, an Arabic digit", "type \"3\" instead: 3"),
        ];
        for (text, place, name, help) in table {
            let advice = find("type", text).unwrap();
            assert!(advice.what.contains(place) && advice.what.contains(name), "{advice:?}");
            assert_eq!(advice.help, help);
        }
    }

    #[test]
    fn plain_text_and_other_letters_are_not_accused() {
        for text in ["", "Enroll", "Zoë", "Ünblock", "列", "{97cc3493}", "Отозвать", "Ανανέωση"] {
            assert_eq!(find("type", text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_mended_whole_is_not_offered_as_the_right_value() {
        assert_eq!(find("type", "Ж\u{2013}Ж").unwrap().help, "type \"-\" instead");
    }
}
