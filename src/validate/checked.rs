//! What the second pass hands out: each row, as one of three.

use super::diagnostic::Diagnostic;
use super::original::Original;
use crate::request::{CreateRequest, NamedValues, RowId};

/// A row that passed every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidRow {
    /// The row's number in the run, from 1, over all its manifests; invalid rows count too.
    pub row: RowId,
    /// The manifest's number in the run, from 1.
    pub part: u32,
    /// The row's number in its manifest, from 1.
    pub part_row: u32,
    /// The physical line where it starts, from 1.
    pub line: u64,
    /// The user's own key of the row, without blanks around it.
    pub id: Option<String>,
    /// What to send, with the defaults put in and without tag.
    pub request: CreateRequest,
    /// The notes, empty ones left out.
    pub notes: NamedValues,
    /// The row of an earlier run that it was rejected or exported from: its `_row` cell, where that is a number.
    pub from_row: Option<RowId>,
    /// The mark of that run, in lower case: its `_run` cell, where there is one.
    pub from_run: Option<String>,
}

/// A row that did not.
#[derive(Clone, Debug)]
pub struct InvalidRow<'a> {
    /// The row's number in the run, from 1.
    pub row: RowId,
    /// The manifest's number in the run, from 1.
    pub part: u32,
    /// The row's number in its manifest, from 1.
    pub part_row: u32,
    /// The physical line where it starts, from 1; of a row that could not be taken apart, that of the fault.
    pub line: u64,
    /// The row as its manifest has it.
    pub original: Original<'a>,
    /// All that is wrong with it, by column. Empty where only the header line is at fault
    /// ([`Survey::header`](super::Survey::header) says how).
    pub diagnostics: Vec<Diagnostic>,
}

impl InvalidRow<'_> {
    /// Returns the row as the text of a JSON object of its columns and their text, for the ledger.
    pub fn original_json(&self) -> String {
        self.original.to_json()
    }

    /// Returns all that is wrong with it, one diagnostic a line.
    pub fn errors(&self) -> String {
        let lines: Vec<String> = self.diagnostics.iter().map(Diagnostic::to_string).collect();
        lines.join("\n")
    }
}

/// A row of the run, judged.
#[derive(Clone, Debug)]
pub enum CheckedRow<'a> {
    /// It is to be sent.
    Valid(ValidRow),
    /// It is sound and left out all the same; the text says why: `duplicate of wave.csv:14`.
    Skipped(ValidRow, String),
    /// It breaks a rule.
    Invalid(InvalidRow<'a>),
}
