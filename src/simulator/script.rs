//! What a simulator is told to do.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::fault::Fault;
use super::units::{InvalidSpan, parse_span};
use crate::request::Guid;

/// How a simulator behaves.
///
/// ```
/// use cmbatch::simulator::{LatencyRange, Script};
/// let script = Script {
///     seed: 7,
///     latency: "20ms..80ms".parse().unwrap(),
///     faults: vec!["503=5%,retry-after=2".parse().unwrap(), "drop-after-create=at 3".parse().unwrap()],
///     ..Script::default()
/// };
/// assert_ne!(script.latency, LatencyRange::NONE);
/// ```
#[derive(Clone, Debug)]
pub struct Script {
    /// Decides which calls a fault with a share meets: the same seed and the same sequence of calls give the same faults.
    /// The uuids of new requests do not depend on it, so that two simulators never give the same one.
    pub seed: u64,
    /// How long every call takes before the server acts. 1 ms where nothing else is said.
    pub latency: LatencyRange,
    /// What goes wrong. Where two faults would answer the same call, the one that stands first does.
    pub faults: Vec<Fault>,
    /// How a request goes on after it was created.
    pub life: Life,
    /// The profile templates that the server knows; requests with any other are accepted too, as of a software template.
    pub templates: Vec<Template>,
    /// How many of the newest arrivals are kept in memory. All, where nothing else is said.
    pub keep_arrivals: usize,
    /// A file to which each arrival is appended as a line of JSON when the server has acted on it, before it is answered.
    /// It is handed to the system line by line: whatever ends a process, a line is whole; only a power cut may lose lines.
    pub log: Option<PathBuf>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            seed: 0,
            latency: LatencyRange::fixed(Duration::from_millis(1)),
            faults: Vec::new(),
            life: Life::default(),
            templates: Template::examples(),
            keep_arrivals: usize::MAX,
            log: None,
        }
    }
}

/// A span of time, or a range of them: each call takes one of the range, chosen by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyRange {
    min: Duration,
    max: Duration,
}

impl LatencyRange {
    /// No wait at all.
    pub const NONE: Self = Self::fixed(Duration::ZERO);

    /// Returns a range of one span.
    pub const fn fixed(span: Duration) -> Self {
        Self { min: span, max: span }
    }

    /// Returns the span that belongs to a roll of the dice.
    pub(crate) fn pick(self, roll: u64) -> Duration {
        let width = u64::try_from((self.max - self.min).as_micros()).expect("a span is at most a day");
        self.min + Duration::from_micros(roll % (width + 1))
    }
}

/// The text is no span of time and no range of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLatency {
    /// An end of the range is no span.
    #[error(transparent)]
    Span(#[from] InvalidSpan),
    /// The range runs backwards.
    #[error("the range \"{0}\" runs backwards; write the shorter span first, as 5s..40s")]
    Backwards(String),
}

impl FromStr for LatencyRange {
    type Err = InvalidLatency;

    /// Reads `20ms`, or `5s..40s`.
    fn from_str(text: &str) -> Result<Self, InvalidLatency> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let (min, max) = (parse_span(min)?, parse_span(max)?);
        if min > max {
            return Err(InvalidLatency::Backwards(text.to_owned()));
        }
        Ok(Self { min, max })
    }
}

/// How a request goes on by itself after it was created: Pending, Approved, Executing, Completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// How long a request stays Pending. Zero: it is Approved from the start, and policies ask for no approval.
    pub approve_after: Duration,
    /// How long it takes from Approved to Completed, half of it Executing. None: it stays Approved until a client
    /// completes it.
    pub complete_after: Option<Duration>,
}

/// What kind of profile a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// Certificates on the computer.
    Software,
    /// Certificates on a smart card.
    Smartcard,
    /// Certificates on a virtual smart card.
    VirtualSmartcard,
}

/// A profile template of the simulated server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its uuid.
    pub uuid: Guid,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// What it makes.
    pub kind: TemplateKind,
    /// The priority of a request that names none.
    pub default_priority: u8,
}

impl Template {
    /// Returns three made-up templates, one of each kind. The first two have the uuids of the published create examples.
    pub fn examples() -> Vec<Self> {
        let template = |uuid: u128, name: &str, kind| Self {
            uuid: Guid::from_bytes(uuid.to_be_bytes()),
            name: name.to_owned(),
            description: format!("{name} of the simulator"),
            kind,
            default_priority: 0,
        };
        vec![
            template(0xa039_b4d0_5ce8_4eff_8651_181c_6576_fda3, "Example smart card template", TemplateKind::Smartcard),
            template(0x97cd_65fa_af4b_4587_9309_0dd6_bfd8_b4e1, "Example software template", TemplateKind::Software),
            template(
                0x2b6e_91d7_0c3a_4f58_9e14_7ad0_53c8_f602,
                "Example virtual smart card template",
                TemplateKind::VirtualSmartcard,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_a_span_or_a_range_and_stays_inside() {
        let range: LatencyRange = "5s..40s".parse().unwrap();
        for roll in [0, 1, 35_000_000, u64::MAX, 0x1234_5678_9ABC_DEF0] {
            let span = range.pick(roll);
            assert!(span >= Duration::from_secs(5) && span <= Duration::from_secs(40), "{span:?}");
        }
        assert_eq!("20ms".parse(), Ok(LatencyRange::fixed(Duration::from_millis(20))));
        assert_eq!(LatencyRange::NONE.pick(u64::MAX), Duration::ZERO);
        assert_eq!("40s..5s".parse::<LatencyRange>(), Err(InvalidLatency::Backwards("40s..5s".to_owned())));
        for bad in ["", "..", "5s..", "5", "5s...6s"] {
            assert!(matches!(bad.parse::<LatencyRange>(), Err(InvalidLatency::Span(_))), "{bad}");
        }
    }
}
