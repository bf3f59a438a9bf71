//! Values of options, as types.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::client::Pin;
use crate::ledger::RowState;
use crate::manifest::{Delimiter, Format, TextEncoding};
use crate::request::{Guid, RequestType};
use crate::simulator::{Fault, LatencyRange};

/// More calls in flight than this need more sockets than a process has by default (1,024).
const MAX_CONCURRENCY: usize = 512;

pub(super) fn format(text: &str) -> Result<Format, String> {
    text.parse().map_err(|_| "write csv or jsonl".to_owned())
}

pub(super) fn encoding(text: &str) -> Result<TextEncoding, String> {
    text.parse()
        .map_err(|_| "not a known encoding: write utf-8, utf-16le, windows-1252 or another WHATWG name".to_owned())
}

pub(super) fn delimiter(text: &str) -> Result<Delimiter, String> {
    text.parse()
        .map_err(|_| "write one ASCII character that is no quote, such as , or ; or |, or the word tab".to_owned())
}

pub(super) fn request_type(text: &str) -> Result<RequestType, String> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = RequestType::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("not a request type: write one of {}", names.join(", "))
    })
}

pub(super) fn row_state(text: &str) -> Result<RowState, String> {
    // A state in an option may be written with a hyphen.
    let name = text.trim().to_ascii_lowercase().replace('-', "_");
    RowState::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = RowState::ALL.iter().map(|state| state.as_str()).collect();
        format!("not a state: write one or several of {}", names.join(","))
    })
}

pub(super) fn replay_state(text: &str) -> Result<RowState, String> {
    match row_state(text) {
        Ok(state @ (RowState::Failed | RowState::Pending)) => Ok(state),
        Ok(_) | Err(_) => Err("only failed and pending rows are sent again: write failed or pending".to_owned()),
    }
}

pub(super) fn uuid(text: &str) -> Result<Guid, String> {
    let guid: Option<Guid> = text.trim().parse().ok();
    guid.filter(|guid| !guid.is_zero())
        .ok_or_else(|| "write the uuid of a request: 8-4-4-4-12 hexadecimal digits".to_owned())
}

pub(super) fn guid(text: &str) -> Result<Guid, String> {
    let guid: Option<Guid> = text.trim().parse().ok();
    guid.filter(|guid| !guid.is_zero()).ok_or_else(|| "write a GUID: 8-4-4-4-12 hexadecimal digits".to_owned())
}

pub(super) fn pin(text: &str) -> Result<Pin, String> {
    text.parse::<Pin>().map_err(|error| error.to_string())
}

pub(super) fn fault(text: &str) -> Result<Fault, String> {
    text.parse::<Fault>().map_err(|error| error.to_string())
}

pub(super) fn latency(text: &str) -> Result<LatencyRange, String> {
    text.parse::<LatencyRange>().map_err(|error| error.to_string())
}

pub(super) fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let number: Option<NonZeroUsize> = text.parse().ok();
    number
        .filter(|number| number.get() <= MAX_CONCURRENCY)
        .ok_or_else(|| format!("write a whole number from 1 to {MAX_CONCURRENCY}"))
}

/// Reads a time such as `130s`, `10m`, `1h30m` or `250ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time with its unit, such as 250ms, 130s, 10m or 1h30m".to_owned();
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            _ => return Err(wrong()),
        };
        total = unit.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = next.trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        let cases = [("130s", 130_000), ("10m", 600_000), ("250ms", 250), ("1h30m", 5_400_000), ("1d", 86_400_000)];
        for (text, ms) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "130", "s", "1.5s", "-1s", "1 parsec", "99999999999s", "10s5"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_may_be_written_with_a_hyphen() {
        assert_eq!(row_state("in-doubt"), Ok(RowState::InDoubt));
        assert_eq!(row_state("Failed"), Ok(RowState::Failed));
        assert!(row_state("lost").unwrap_err().contains("in_doubt"));
    }
}
