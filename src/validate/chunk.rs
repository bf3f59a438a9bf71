//! The rows of one chunk, checked one after another.

use super::cells;
use super::columns::{Form, Layout, Role};
use super::diagnostic::Diagnostic;
use super::duplicates::{self, Repeat, Same};
use super::fault;
use super::finding::{Advice, Finding, Findings, Wording};
use super::original::Kept;
use super::pass::Part;
use super::quote::quoted;
use super::row::{self, Judged};
use super::rule::{Rule, RuleCounts};
use super::rules::Rules;
use crate::manifest::{BadRow, Cells, Chunk, JsonCell, Place, RawRow};
use crate::request::RowId;
use crate::request::printable;

/// How many shapes of JSON rows are remembered: rows of one program have one or a few.
const KNOWN_SHAPES: usize = 8;

/// A row as the rules see it.
pub(super) enum Seen<'r> {
    /// Nothing was found.
    Good { raw: &'r RawRow<'r>, layout: &'r Layout, judged: Judged<'r> },
    /// It could be taken apart, and something was found (or its header is at fault).
    Wrong { raw: &'r RawRow<'r> },
    /// It could not be taken apart.
    Bad { bad: &'r BadRow<'r> },
}

impl Seen<'_> {
    /// Returns the row's number in its manifest, from 1.
    pub(super) const fn part_row(&self) -> u32 {
        match self {
            Self::Good { raw, .. } | Self::Wrong { raw } => raw.number,
            Self::Bad { bad } => bad.number,
        }
    }

    /// Returns the line where it starts.
    pub(super) const fn line(&self) -> u64 {
        match self {
            Self::Good { raw, .. } | Self::Wrong { raw } => raw.line,
            Self::Bad { bad } => bad.line,
        }
    }

    /// Returns what a rejects file needs of it.
    pub(super) fn kept(&self) -> Kept {
        match self {
            Self::Good { raw, .. } | Self::Wrong { raw } => Kept::of_cells(raw.cells),
            Self::Bad { bad } => Kept::of_bad(bad),
        }
    }
}

/// Who gets the rows of a chunk.
pub(super) trait RowTaker {
    /// Says of a row, before it is checked, how its findings are worded; none leaves it out.
    fn wants(&self, row: u32) -> Option<Wording>;

    /// Takes a row and its diagnostics, as far as they were worded.
    fn take(&mut self, seen: Seen<'_>, diagnostics: Vec<Diagnostic>);
}

/// Checks rows of one part, and keeps what the next row can use again.
pub(super) struct RowChecker<'c> {
    rules: &'c Rules,
    part: &'c Part,
    shapes: Shapes,
    findings: Findings,
}

impl<'c> RowChecker<'c> {
    pub(super) fn new(rules: &'c Rules, part: &'c Part) -> Self {
        Self { rules, part, shapes: Shapes::default(), findings: Findings::default() }
    }

    /// Checks each row of the chunk that the taker wants.
    pub(super) fn for_each(&mut self, chunk: &Chunk, taker: &mut impl RowTaker) {
        let Self { rules, part, shapes, findings } = self;
        chunk.for_each(|record| match &record {
            Ok(raw) => {
                let Some(wording) = taker.wants(part.run_row(raw.number)) else { return };
                findings.start_row(wording);
                let layout = match (&part.layout, raw.cells) {
                    (Some(layout), _) => layout,
                    (None, Cells::Json(properties)) => shapes.resolve(properties, rules),
                    // Not met: a CSV manifest has a header line.
                    (None, Cells::Csv(_)) => shapes.resolve(&[], rules),
                };
                let judged = row::check(rules, layout, raw.cells, findings);
                let diagnostics = placed(part, layout, raw, findings.take_row());
                let seen = match judged {
                    Some(judged) => Seen::Good { raw, layout, judged },
                    None => Seen::Wrong { raw },
                };
                taker.take(seen, diagnostics);
            }
            Err(bad) => {
                let Some(wording) = taker.wants(part.run_row(bad.number)) else { return };
                findings.start_row(wording);
                findings.report(fault::rule(&bad.fault), bad.field, || fault::advice(&bad.fault));
                let diagnostics = placed_bad(part, bad, findings.take_row());
                taker.take(Seen::Bad { bad }, diagnostics);
            }
        });
    }

    /// Returns how often each rule was broken so far.
    pub(super) const fn counts(&self) -> &RuleCounts {
        self.findings.counts()
    }
}

/// The columns of JSON rows, most recent first.
#[derive(Debug, Default)]
struct Shapes(Vec<Layout>);

impl Shapes {
    fn resolve(&mut self, properties: &[JsonCell<'_>], rules: &Rules) -> &Layout {
        let is_shape = |layout: &Layout| {
            layout.names.len() == properties.len()
                && layout.names.iter().zip(cells::names(properties)).all(|(known, name)| known == name.trim())
        };
        match self.0.iter().position(is_shape) {
            Some(index) => self.0[..=index].rotate_right(1),
            None => {
                self.0.truncate(KNOWN_SHAPES - 1);
                self.0.insert(0, Layout::resolve(Form::Jsonl, cells::names(properties), rules));
            }
        }
        &self.0[0]
    }
}

/// Gives the findings of a row their places.
fn placed(part: &Part, layout: &Layout, raw: &RawRow<'_>, findings: Vec<Finding>) -> Vec<Diagnostic> {
    if findings.is_empty() {
        return Vec::new();
    }
    let id = row_id(layout, raw.cells);
    let place = |finding: Finding| {
        let place = match finding.field {
            None => Place { line: raw.line, column: 1 },
            Some(field) if finding.rule.is_about_names() => raw.place_of_name(field, part.delimiter),
            Some(field) => raw.place_of(field, part.delimiter),
        };
        Diagnostic {
            file: part.name.clone(),
            line: place.line,
            column: place.column,
            field: finding.field.and_then(|field| layout.names.get(field).cloned()),
            rule: finding.rule,
            message: finding.advice.what,
            help: finding.advice.help,
            row: RowId::new(part.run_row(raw.number)),
            id: id.clone(),
        }
    };
    findings.into_iter().map(place).collect()
}

fn placed_bad(part: &Part, bad: &BadRow<'_>, findings: Vec<Finding>) -> Vec<Diagnostic> {
    let place = |finding: Finding| Diagnostic {
        file: part.name.clone(),
        line: bad.line,
        column: bad.column,
        field: bad.field.zip(part.layout.as_ref()).and_then(|(field, layout)| layout.names.get(field).cloned()),
        rule: finding.rule,
        message: finding.advice.what,
        help: finding.advice.help,
        row: RowId::new(part.run_row(bad.number)),
        id: None,
    };
    findings.into_iter().map(place).collect()
}

/// The row's own key for messages; none for a row whose fields are not where the header has them.
fn row_id(layout: &Layout, row: Cells<'_>) -> Option<String> {
    if let Cells::Csv(record) = row
        && record.len() != layout.names.len()
    {
        return None;
    }
    let column = layout.position(&Role::Id)?;
    match cells::value(row, column) {
        cells::Value::Text(bytes) => Some(cells::text(bytes.trim_ascii()).into_owned()).filter(|id| !id.is_empty()),
        cells::Value::Absent | cells::Value::Nested(_) => None,
    }
}

/// Says of a row that it repeats an earlier one.
pub(super) fn repeated(
    part: &Part,
    parts: &[Part],
    layout: &Layout,
    raw: &RawRow<'_>,
    judged: &Judged<'_>,
    repeat: &Repeat,
) -> Diagnostic {
    let first = first_place(parts, repeat);
    let (rule, field, advice) = match repeat.same {
        Same::Request => (Rule::DuplicateRow, None, same_request(judged, layout, raw.cells, &first)),
        Same::Id => {
            let id = judged.id.map(cells::text).unwrap_or_default();
            let what = format!("id {} is already that of {first}", quoted(&id));
            let help = "give each row an id of its own, or leave the cell empty";
            (Rule::DuplicateId, layout.position(&Role::Id), Advice::new(what, help))
        }
    };
    let finding = Finding { rule, field, advice };
    placed(part, layout, raw, vec![finding]).remove(0)
}

/// Returns why a row is skipped that asks for the same as an earlier one.
pub(super) fn skip_reason(parts: &[Part], repeat: &Repeat) -> String {
    format!("duplicate of {}", first_place(parts, repeat))
}

/// File and line of the first of equal rows.
fn first_place(parts: &[Part], repeat: &Repeat) -> String {
    let index = parts.partition_point(|part| part.first_row <= repeat.first);
    let name = index.checked_sub(1).and_then(|index| parts.get(index)).map_or("?", |part| part.name.as_str());
    format!("{}:{}", printable(name), repeat.first_line)
}

fn same_request(judged: &Judged<'_>, layout: &Layout, row: Cells<'_>, first: &str) -> Advice {
    let sends_profile = layout.profile_property.is_some();
    let mut n_further = 0;
    duplicates::for_each_body_value(judged, layout, row, |_, _| n_further += 1);
    let has_profile = sends_profile && judged.profile.is_some();
    let has_body = n_further > usize::from(has_profile);
    let same: Vec<&str> = [
        (true, "type"),
        (judged.target.is_some(), "target"),
        (judged.template.is_some(), "template"),
        (judged.smartcard.is_some(), "smartcard"),
        (has_profile, "profile"),
        (has_body, "body. values"),
    ]
    .into_iter()
    .filter_map(|(is_there, name)| is_there.then_some(name))
    .collect();
    let (unsent, further) = if !sends_profile && layout.position(&Role::Profile).is_some() {
        ("; the profile is not sent", "; --profile-property NAME sends the profile, where the server has a name for it")
    } else {
        ("", "")
    };
    Advice::new(
        format!("the row asks for the same as {first} (same {}{unsent})", same.join(", ")),
        format!(
            "delete one of the two, or give --on-duplicate first to skip it or --on-duplicate send to send both{further}"
        ),
    )
}
