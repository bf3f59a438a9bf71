//! The state of a run: counts, reasons, and what to do next.

use super::wrap::wrapped;
use crate::ledger::{LedgerError, Reader, RowState, SkipCause};
use crate::request::{ErrorCode, RequestUuid, RowId, printable, printable_up_to};

/// How many reasons are shown.
const TOP_REASONS: usize = 10;
/// How many invalid rows are shown.
const MAX_INVALID: usize = 20;
/// How many rows in doubt are looked at a time.
const PAGE: u32 = 1_000;
/// The width of the tables, and how far a reason is indented.
const WIDTH: usize = 80;
const INDENT: usize = 24;
/// The longest message of a server's that is shown, in characters: an export has all of it.
const MAX_MESSAGE: usize = 500;

/// How many rows are in each state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; RowState::ALL.len()]);

impl Counts {
    /// Counts the rows of a ledger from its tallies, without a pass over the rows.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn of(reader: &Reader) -> Result<Self, LedgerError> {
        let mut counts = Self::default();
        for tally in reader.tallies()? {
            counts.add(tally.state, tally.n);
        }
        Ok(counts)
    }

    /// Counts so many rows more in a state.
    pub fn add(&mut self, state: RowState, n: u64) {
        for (place, known) in RowState::ALL.iter().enumerate() {
            if *known == state {
                self.0[place] += n;
            }
        }
    }

    /// Returns how many rows are in a state.
    pub fn get(&self, state: RowState) -> u64 {
        RowState::ALL.iter().zip(self.0).filter(|(known, _)| **known == state).map(|(_, n)| n).sum()
    }

    /// Returns how many rows there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns whether nothing is left to do or to ask: every row is created, skipped or replaced.
    pub fn is_settled(&self) -> bool {
        [RowState::Pending, RowState::Sending, RowState::InDoubt, RowState::Failed, RowState::Invalid]
            .iter()
            .all(|state| self.get(*state) == 0)
    }

    /// Returns whether all rows but those in one state are settled.
    pub fn is_settled_but(&self, state: RowState) -> bool {
        let open = [RowState::Pending, RowState::Sending, RowState::InDoubt, RowState::Failed, RowState::Invalid];
        open.iter().all(|one| *one == state || self.get(*one) == 0)
    }

    /// Returns the counts in words: `240 created, 5 failed, 5 in doubt`.
    pub fn in_words(&self) -> String {
        self.in_words_with(|_| None)
    }

    /// Returns the counts in words, with a note behind that of a state.
    pub fn in_words_with(&self, note: impl Fn(RowState) -> Option<String>) -> String {
        let told = |state| note(state).map_or_else(String::new, |note| format!(" ({note})"));
        let words: Vec<String> = RowState::ALL
            .iter()
            .zip(self.0)
            .filter(|(_, n)| *n > 0)
            .map(|(state, n)| format!("{n} {}{}", in_words(*state), told(*state)))
            .collect();
        if words.is_empty() { "no rows".to_owned() } else { words.join(", ") }
    }
}

/// Returns the state in a person's words.
pub fn in_words(state: RowState) -> &'static str {
    match state {
        RowState::InDoubt => "in doubt",
        RowState::Pending
        | RowState::Sending
        | RowState::Created
        | RowState::Failed
        | RowState::Invalid
        | RowState::Skipped
        | RowState::Replaced => state.as_str(),
    }
}

/// Returns what a state means, in one line.
pub fn meaning(state: RowState) -> &'static str {
    match state {
        RowState::Created => "the request exists; it may await approval or execution",
        RowState::Pending => "not sent yet, or safe to send again",
        RowState::Sending => "being sent now by a process that is at work",
        RowState::InDoubt => "not known whether it exists, so it is not resent",
        RowState::Failed => "not created: refused, out of reach or proven absent",
        RowState::Invalid => "left out, because the row is not valid",
        RowState::Skipped => "left out on purpose",
        RowState::Replaced => "a corrected row stands for it",
    }
}

/// Why rows are where they are, the most frequent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The state of the rows.
    pub state: RowState,
    /// The stable code; none where the ledger knows no cause.
    pub code: Option<ErrorCode>,
    /// Why they are skipped, where they are.
    pub skipped: Option<Skipped>,
    /// How many rows.
    pub n_rows: u64,
    /// One of them.
    pub example: Option<RowId>,
    /// Its id, where it has one.
    pub example_id: Option<String>,
    /// What the server or the library said of it.
    pub message: String,
}

/// Why rows are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The cause.
    pub cause: SkipCause,
    /// The request of another run that stands for the example.
    pub uuid: Option<RequestUuid>,
}

/// What `status` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Rows by state.
    pub counts: Counts,
    /// The top reasons.
    pub reasons: Vec<Reason>,
    /// Invalid rows, the first few: a file of rejects can be lost.
    pub invalid: Vec<Invalid>,
}

/// An invalid row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The row.
    pub row: RowId,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// What is wrong with it, one diagnostic a line.
    pub errors: String,
}

impl Status {
    /// Reads the state of a run.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn of(reader: &Reader) -> Result<Self, LedgerError> {
        let failed = reader.failures(TOP_REASONS)?.into_iter().map(|found| Reason {
            state: found.state,
            code: found.code,
            skipped: None,
            n_rows: found.n,
            example: found.row,
            example_id: None,
            message: found.message.unwrap_or_default(),
        });
        let skipped = reader.skipped()?.into_iter().map(|found| Reason {
            state: RowState::Skipped,
            code: None,
            skipped: Some(Skipped { cause: found.cause, uuid: found.uuid }),
            n_rows: found.n,
            example: found.row,
            example_id: None,
            message: found.message.unwrap_or_default(),
        });
        let mut reasons: Vec<Reason> = failed.chain(skipped).collect();
        for reason in &mut reasons {
            if reason.example.is_none() && reason.state == RowState::InDoubt {
                // What a process left open when it died has no line of its own yet.
                reason.example = first_in_doubt(reader, reason.code)?;
            }
            if let Some(row) = reason.example {
                let example = reader.page(row.get() - 1, 1, &[])?.into_iter().next();
                reason.example_id = example.and_then(|row| row.id);
            }
        }
        let invalid = reader.invalid(MAX_INVALID, &[RowState::Invalid])?.into_iter().filter_map(|row| {
            let text = row.invalid?;
            Some(Invalid { row: row.row, id: text.cell("id"), errors: text.errors })
        });
        Ok(Self { counts: Counts::of(reader)?, reasons, invalid: invalid.collect() })
    }

    /// Returns the tables, in lines of at most 80 columns.
    pub fn table(&self) -> String {
        let mut lines = vec![format!("  {:<9} {:>9}  meaning", "state", "rows")];
        for (state, n) in RowState::ALL.into_iter().zip(self.counts.0).filter(|(_, n)| *n > 0) {
            lines.push(format!("  {:<9} {n:>9}  {}", in_words(state), meaning(state)));
        }
        if !self.reasons.is_empty() {
            lines.push(String::new());
            lines.push(format!("  {:<9} {:>9}  {:<18} example", "state", "rows", "reason"));
            lines.extend(self.reasons.iter().map(Reason::lines));
        }
        if !self.invalid.is_empty() {
            lines.push(String::new());
            lines.extend(self.invalid.iter().map(Invalid::lines));
        }
        let n_more = self.counts.get(RowState::Invalid).saturating_sub(self.invalid.len() as u64);
        if n_more > 0 {
            lines.push(format!("  and {n_more} more invalid rows: export --state invalid has all"));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Returns how a row is named: by its number, and its id where it has one.
fn named(row: RowId, id: Option<&str>) -> String {
    let id = id.map_or_else(String::new, |id| format!(" ({})", short(&printable(id), 20)));
    format!("row {row}{id}")
}

impl Invalid {
    fn lines(&self) -> String {
        let mut lines = vec![format!("  {} is invalid:", named(self.row, self.id.as_deref()))];
        for error in self.errors.lines() {
            let error = printable_up_to(error, MAX_MESSAGE);
            lines.extend(wrapped(&error, WIDTH - 4).iter().map(|line| format!("    {line}")));
        }
        lines.join("\n")
    }
}

/// Returns the first row that is in doubt for this cause.
fn first_in_doubt(reader: &Reader, code: Option<ErrorCode>) -> Result<Option<RowId>, LedgerError> {
    let mut after = 0;
    loop {
        let page = reader.in_doubt(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(None) };
        after = last.row.get();
        if let Some(row) = page.iter().find(|row| row.code == code) {
            return Ok(Some(row.row));
        }
    }
}

impl Reason {
    fn lines(&self) -> String {
        let row = self.example.map_or_else(String::new, |row| named(row, self.example_id.as_deref()));
        let (code, meaning) = match (self.skipped, self.code) {
            (Some(skipped), _) => skipped.in_words(),
            (None, Some(code)) => (code.as_str(), proven(self.state, code.meaning())),
            (None, None) => ("unknown", "no cause is recorded".to_owned()),
        };
        let mut lines = vec![format!("  {:<9} {:>9}  {code:<18} {row}", in_words(self.state), self.n_rows)];
        let mut add =
            |text: &str| lines.extend(wrapped(text, WIDTH - INDENT).iter().map(|line| format!("{:INDENT$}{line}", "")));
        add(&meaning);
        // The request that is named says all that the message does.
        let is_said = self.skipped.is_some_and(|skipped| skipped.uuid.is_some());
        if !self.message.is_empty() && !is_said {
            add(&format!("\"{}\"", printable_up_to(&self.message, MAX_MESSAGE)));
        }
        lines.join("\n")
    }
}

impl Skipped {
    /// Returns a name for the cause, and what it means.
    fn in_words(self) -> (&'static str, String) {
        match (self.cause, self.uuid) {
            (SkipCause::Elsewhere, Some(uuid)) => ("requested-before", format!("as request {uuid}")),
            (SkipCause::Elsewhere, None) => ("requested-before", "from another ledger".to_owned()),
            (SkipCause::Dropped, _) => ("dropped", "by a person".to_owned()),
            (SkipCause::Loaded, _) => ("left-out", "from the start".to_owned()),
        }
    }
}

/// Returns what a cause means for rows that are known not to exist, whatever it left open when it was seen.
fn proven(state: RowState, meaning: &str) -> String {
    const OPEN: &str = "; it may have happened";
    match (state, meaning.find(OPEN)) {
        (RowState::Failed, Some(at)) => format!("{}; proven not to exist", &meaning[..at]),
        (_, _) => meaning.to_owned(),
    }
}

fn short(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Guid;

    fn counts(pairs: &[(RowState, u64)]) -> Counts {
        let mut counts = Counts::default();
        for (state, n) in pairs {
            counts.add(*state, *n);
        }
        counts
    }

    #[test]
    fn a_run_is_settled_when_nothing_is_left_to_do_or_to_ask() {
        assert!(counts(&[(RowState::Created, 3), (RowState::Skipped, 1)]).is_settled());
        assert!(counts(&[]).is_settled());
        for open in [RowState::Pending, RowState::Sending, RowState::InDoubt, RowState::Failed, RowState::Invalid] {
            assert!(!counts(&[(RowState::Created, 3), (open, 1)]).is_settled(), "{open}");
        }
        assert_eq!(counts(&[(RowState::Created, 2), (RowState::InDoubt, 1)]).in_words(), "2 created, 1 in doubt");
    }

    #[test]
    fn the_tables_fit_eighty_columns() {
        let reason = |code: ErrorCode| Reason {
            state: RowState::InDoubt,
            code: Some(code),
            skipped: None,
            n_rows: 500_000,
            example: RowId::new(499_999),
            example_id: Some("x".repeat(300)),
            message: "an error\u{1b}[31m ".repeat(40),
        };
        let all: Vec<(RowState, u64)> = RowState::ALL.iter().map(|state| (*state, 500_000)).collect();
        let uuid = Some(RequestUuid::new(Guid::from_bytes([7; 16])));
        let skipped = [SkipCause::Loaded, SkipCause::Elsewhere, SkipCause::Dropped].map(|cause| Reason {
            state: RowState::Skipped,
            code: None,
            skipped: Some(Skipped { cause, uuid: uuid.filter(|_| cause == SkipCause::Elsewhere) }),
            ..reason(ErrorCode::Timeout)
        });
        let reasons = ErrorCode::ALL.map(reason).into_iter().chain(skipped).collect();
        let errors = "a long name/wave.csv:3:6: error[unknown-type]: type \"Enrol\u{1b}\" is no type\n".repeat(3);
        let invalid = vec![Invalid { row: RowId::new(7).unwrap(), id: Some("x".repeat(300)), errors }];
        let status = Status { counts: counts(&all), reasons, invalid };
        for line in status.table().lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.contains('\u{1b}'));
        }
    }
}
