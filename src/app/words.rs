//! Numbers in a person's words.

use crate::request::RequestType;

/// Returns a number with commas between the thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns "1 row", "2 rows", "4,310 rows".
pub(crate) fn rows(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{} rows", grouped(number)) }
}

/// Returns `4,310 Revoke, 12 Retire`.
pub(crate) fn by_type(counts: &[(RequestType, u64)]) -> String {
    let texts: Vec<String> =
        counts.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{} {kind}", grouped(*n))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let texts: Vec<String> = [0, 7, 999, 1_000, 4_310, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(texts, ["0", "7", "999", "1,000", "4,310", "1,234,567"]);
        assert_eq!([rows(1), rows(0), rows(1_000)], ["1 row", "0 rows", "1,000 rows"]);
    }
}
