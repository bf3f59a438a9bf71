//! Records that could not be taken apart.

use super::finding::Advice;
use super::quote::{quoted, quoted_char};
use super::rule::Rule;
use crate::manifest::RowFault;
use crate::request::printable;

/// Returns the rule that a fault breaks.
pub(super) const fn rule(fault: &RowFault) -> Rule {
    match fault {
        RowFault::StrayQuote => Rule::StrayQuote,
        RowFault::UnclosedQuote => Rule::UnclosedQuote,
        RowFault::TooLong => Rule::TooLong,
        RowFault::Undecodable { .. } => Rule::UndecodableByte,
        RowFault::Json(_) => Rule::InvalidJson,
        RowFault::NotAnObject => Rule::NotAnObject,
        RowFault::RepeatedProperty(_) => Rule::RepeatedColumn,
    }
}

/// Says what is wrong and what to do.
pub(super) fn advice(fault: &RowFault) -> Advice {
    match fault {
        RowFault::StrayQuote => Advice::new(
            "a double quote stands in the middle of a field",
            "put the whole field in double quotes and write each double quote inside it twice",
        ),
        RowFault::UnclosedQuote => Advice::new(
            "the double quote that opens here does not close",
            "close it at the end of the field, or delete it",
        ),
        RowFault::TooLong => Advice::new(
            "the line or one of its fields is longer than 1 MiB",
            "look for a double quote that does not close, or shorten the value",
        ),
        RowFault::Undecodable { unit, in_windows_1252 } => undecodable(*unit, *in_windows_1252),
        RowFault::Json(reason) => Advice::new(
            format!("the line is not JSON ({})", printable(reason)),
            "write one whole object on each line, with names and texts in double quotes and no comma behind it",
        ),
        RowFault::NotAnObject => Advice::new(
            "the line is JSON and not an object",
            "write one object on each line, like {\"type\":\"Unblock\",\"smartcard\":\"…\"}",
        ),
        RowFault::RepeatedProperty(name) => {
            Advice::new(format!("property {} stands twice", quoted(name)), "delete or rename one of the two")
        }
    }
}

fn undecodable(unit: u16, in_windows_1252: Option<char>) -> Advice {
    let Ok(byte) = u8::try_from(unit) else {
        return Advice::new(
            format!("the 16-bit unit 0x{unit:04X} is not text in UTF-16"),
            "export the list again as \"CSV UTF-8\"; half of a character was lost",
        );
    };
    match in_windows_1252 {
        Some(c) => Advice::new(
            format!(
                "the byte 0x{byte:02X} is not text in the encoding in use; it is {} in windows-1252",
                quoted_char(c)
            ),
            "save the list as \"CSV UTF-8\", or give --encoding windows-1252",
        ),
        None => Advice::new(
            format!("the byte 0x{byte:02X} is not text in the encoding in use"),
            "save the list as \"CSV UTF-8\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undecodable_byte_is_named_with_the_letter_that_it_was() {
        let of = |unit, c| advice(&RowFault::Undecodable { unit, in_windows_1252: c });
        assert_eq!(
            of(0xE9, Some('é')).what,
            "the byte 0xE9 is not text in the encoding in use; it is \"é\" in windows-1252"
        );
        assert!(of(0xE9, Some('é')).help.contains("--encoding windows-1252"));
        assert_eq!(of(0x81, None).what, "the byte 0x81 is not text in the encoding in use");
        assert!(!of(0x81, None).help.contains("windows-1252"));
        assert_eq!(of(0xD83D, None).what, "the 16-bit unit 0xD83D is not text in UTF-16");
    }
}
