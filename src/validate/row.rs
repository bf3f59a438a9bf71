//! One row against the rules.

mod advice;

use memchr::memmem;

use self::advice::{field_count, missing_template, unknown_template, unknown_type};
use super::cells::{self, Value};
use super::columns::{Layout, Role};
use super::damage::{self, Breaks, Sort};
use super::data_collection::{self, Item};
use super::finding::{Advice, Findings};
use super::guid_cell;
use super::quote::quoted;
use super::rejects::UNDECIDED;
use super::rule::Rule;
use super::rules::Rules;
use crate::manifest::Cells;
use crate::request::printable;
use crate::request::{Guid, RequestType, Tag};

/// How many damaged items of one data collection are named; a cell can have a hundred thousand.
const NAMED_ITEMS: usize = 20;

/// A row in which nothing was found: what was read of its cells, with the defaults put in. Texts are read again when the
/// request is built, so that judging allocates nothing for a good row.
#[derive(Clone, Debug)]
pub(super) struct Judged<'r> {
    pub(super) kind: RequestType,
    pub(super) template: Option<Guid>,
    pub(super) target: Option<Guid>,
    pub(super) smartcard: Option<Guid>,
    pub(super) profile: Option<Guid>,
    pub(super) priority: Option<u8>,
    /// The id, trimmed.
    pub(super) id: Option<&'r [u8]>,
    /// The items of the `datacollection` column.
    pub(super) collection: Vec<Item<'r>>,
}

/// What a cell gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given<T> {
    /// Nothing.
    Absent,
    /// Something that is wrong; there is a finding about it.
    Wrong,
    /// A value.
    Is(T),
}

impl<T> Given<T> {
    fn or(self, default: Option<T>) -> Self {
        match (self, default) {
            (Self::Absent, Some(value)) => Self::Is(value),
            (given, _) => given,
        }
    }

    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// Checks a row by every rule that needs no other row. Returns none where something was found, or where the columns
/// themselves are at fault.
pub(super) fn check<'r>(
    rules: &Rules,
    layout: &Layout,
    cells: Cells<'r>,
    findings: &mut Findings,
) -> Option<Judged<'r>> {
    if let Cells::Csv(record) = cells
        && record.len() != layout.names.len()
    {
        let n_fields = record.len();
        findings.report(Rule::FieldCount, None, || field_count(n_fields, layout));
        return None;
    }
    let mut checker = Checker { rules, layout, cells, findings, is_harmless: cells::is_row_harmless(cells) };
    if let Cells::Json(_) = cells {
        checker.report_properties();
    }
    let mut row = Parts::default();
    for (column, role) in layout.roles.iter().enumerate() {
        checker.cell(column, role, &mut row);
    }
    if !row.is_filled && checker.findings.n_in_row() == 0 {
        checker.findings.report(Rule::EmptyRow, None, || {
            Advice::new(
                "all cells of this row are empty",
                "delete the row as a whole (in the spreadsheet, or the line)",
            )
        });
        return None;
    }
    checker.whole(row)
}

/// What the cells of a row gave so far.
struct Parts<'r> {
    kind: Given<RequestType>,
    template: Given<Guid>,
    target: Given<Guid>,
    smartcard: Given<Guid>,
    profile: Given<Guid>,
    priority: Given<u8>,
    id: Option<&'r [u8]>,
    collection: Given<Vec<Item<'r>>>,
    has_data: bool,
    has_body: bool,
    is_filled: bool,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        Self {
            kind: Given::Absent,
            template: Given::Absent,
            target: Given::Absent,
            smartcard: Given::Absent,
            profile: Given::Absent,
            priority: Given::Absent,
            id: None,
            collection: Given::Absent,
            has_data: false,
            has_body: false,
            is_filled: false,
        }
    }
}

struct Checker<'c, 'r> {
    rules: &'c Rules,
    layout: &'c Layout,
    cells: Cells<'r>,
    findings: &'c mut Findings,
    /// The row is printable ASCII throughout.
    is_harmless: bool,
}

impl<'r> Checker<'_, 'r> {
    /// What is wrong with the properties' names counts against each JSON row that has them.
    fn report_properties(&mut self) {
        for finding in &self.layout.findings {
            self.findings.report(finding.rule, finding.column, || finding.advice.clone());
        }
    }

    fn cell(&mut self, column: usize, role: &Role, row: &mut Parts<'r>) {
        let value = cells::value(self.cells, column);
        let bytes = match value {
            Value::Absent => return,
            Value::Text(bytes) => bytes,
            Value::Nested(json) => json.as_bytes(),
        };
        if *role == Role::Ignored {
            self.decided(column, bytes);
            return;
        }
        row.is_filled = row.is_filled || !bytes.trim_ascii().is_empty();
        if let (Value::Nested(_), false) = (value, matches!(role, Role::DataCollection | Role::Note(_) | Role::Faulty))
        {
            self.nested(column, role, row);
            return;
        }
        match role {
            Role::Id => row.id = self.id(column, bytes),
            Role::Type => row.kind = self.kind(column, bytes),
            Role::Template => row.template = self.template(column, bytes),
            Role::Target => row.target = self.guid(column, bytes),
            Role::Smartcard => row.smartcard = self.guid(column, bytes),
            Role::Profile => row.profile = self.guid(column, bytes),
            Role::Priority => row.priority = self.priority(column, bytes),
            Role::Comment => self.comment(column, bytes),
            Role::DataCollection => row.collection = self.collection(column, bytes),
            Role::Data(_) => {
                row.has_data = true;
                self.text(column, bytes, Breaks::Refused, Sort::Value);
            }
            Role::Body { .. } => {
                row.has_body = true;
                self.text(column, bytes, Breaks::Refused, Sort::Value);
            }
            Role::Note(_) => self.text(column, bytes, Breaks::Allowed, Sort::Free),
            Role::Ignored | Role::Faulty => {}
        }
    }

    /// A row that was rejected for its neighbors' sake, or whose fields were uncertain, is right again only when a person
    /// says so.
    fn decided(&mut self, column: usize, bytes: &[u8]) {
        if bytes.starts_with(UNDECIDED.as_bytes()) {
            let what = "the row was rejected, and its _error cell says that nobody has decided about it";
            let help =
                "compare it with the original list; then delete the row, or correct it and empty its _error cell";
            self.findings.report(Rule::UndecidedReject, Some(column), || Advice::new(what, help));
        }
    }

    /// A list or object where a text belongs: wrong, but not absent.
    fn nested(&mut self, column: usize, role: &Role, row: &mut Parts<'r>) {
        match role {
            Role::Type => row.kind = Given::Wrong,
            Role::Template => row.template = Given::Wrong,
            Role::Target => row.target = Given::Wrong,
            Role::Smartcard => row.smartcard = Given::Wrong,
            Role::Profile => row.profile = Given::Wrong,
            Role::Data(_) => row.has_data = true,
            Role::Body { .. } => row.has_body = true,
            Role::Id
            | Role::Priority
            | Role::Comment
            | Role::DataCollection
            | Role::Note(_)
            | Role::Ignored
            | Role::Faulty => {}
        }
        let name = self.name(column);
        self.findings.report(Rule::UnexpectedValue, Some(column), || {
            Advice::new(format!("{name} is a list or an object"), "write one text in double quotes")
        });
    }

    fn name(&self, column: usize) -> String {
        printable(&self.layout.names[column])
    }

    fn id(&mut self, column: usize, bytes: &'r [u8]) -> Option<&'r [u8]> {
        let id = bytes.trim_ascii();
        self.text(column, id, Breaks::Refused, Sort::Value);
        (!id.is_empty()).then_some(id)
    }

    fn kind(&mut self, column: usize, bytes: &[u8]) -> Given<RequestType> {
        let cell = bytes.trim_ascii();
        if cell.is_empty() {
            return Given::Absent;
        }
        if let Some(kind) =
            RequestType::ALL.into_iter().find(|kind| kind.as_str().as_bytes().eq_ignore_ascii_case(cell))
        {
            return Given::Is(kind);
        }
        let (name, text) = (self.name(column), cells::text(cell));
        match damage::in_code(&name, &text) {
            Some((rule, advice)) => self.findings.report(rule, Some(column), || advice),
            None => self.findings.report(Rule::UnknownType, Some(column), || unknown_type(&name, &text)),
        }
        Given::Wrong
    }

    fn guid(&mut self, column: usize, bytes: &[u8]) -> Given<Guid> {
        let cell = bytes.trim_ascii();
        if cell.is_empty() {
            return Given::Absent;
        }
        match guid_cell::parse(cell) {
            Some(guid) if guid.is_zero() => {
                let name = self.name(column);
                self.findings.report(Rule::ZeroGuid, Some(column), || guid_cell::zero(&name));
                Given::Wrong
            }
            Some(guid) => Given::Is(guid),
            None => {
                self.not_a_guid(column, cell);
                Given::Wrong
            }
        }
    }

    fn not_a_guid(&mut self, column: usize, cell: &[u8]) {
        let (name, text) = (self.name(column), cells::text(cell));
        match damage::in_code(&name, &text) {
            Some((rule, advice)) => self.findings.report(rule, Some(column), || advice),
            None => self.findings.report(Rule::InvalidGuid, Some(column), || guid_cell::explain(&name, &text)),
        }
    }

    /// A GUID, or a name that the configuration has.
    fn template(&mut self, column: usize, bytes: &[u8]) -> Given<Guid> {
        let cell = bytes.trim_ascii();
        if self.rules.templates.is_empty() || cell.is_empty() || guid_cell::parse(cell).is_some() {
            return self.guid(column, bytes);
        }
        let text = cells::text(cell);
        if let Some(guid) = self.rules.template_named(&text) {
            return Given::Is(guid);
        }
        let (name, rules) = (self.name(column), self.rules);
        match damage::in_code(&name, &text) {
            Some((rule, advice)) => self.findings.report(rule, Some(column), || advice),
            None if guid_cell::is_meant(&text) => self.not_a_guid(column, cell),
            None => self.findings.report(Rule::UnknownTemplate, Some(column), || unknown_template(rules, &name, &text)),
        }
        Given::Wrong
    }

    fn priority(&mut self, column: usize, bytes: &[u8]) -> Given<u8> {
        let cell = bytes.trim_ascii();
        if cell.is_empty() {
            return Given::Absent;
        }
        // `parse` alone would take "+4".
        let text = cells::text(cell);
        if let (true, Ok(priority)) = (cell.iter().all(u8::is_ascii_digit), text.parse()) {
            return Given::Is(priority);
        }
        let name = self.name(column);
        match damage::in_code(&name, &text) {
            Some((rule, advice)) => self.findings.report(rule, Some(column), || advice),
            None => self.findings.report(Rule::InvalidPriority, Some(column), || {
                Advice::new(
                    format!("{name} {} is not a whole number from 0 to 255", quoted(&text)),
                    "write 0 (highest) to 255, or leave the cell empty for the template's own priority",
                )
            }),
        }
        Given::Wrong
    }

    fn comment(&mut self, column: usize, bytes: &[u8]) {
        self.text(column, bytes, Breaks::Allowed, Sort::Free);
        if memmem::find(bytes, Tag::PREFIX.as_bytes()).is_some() {
            let name = self.name(column);
            self.findings.report(Rule::TagInComment, Some(column), || {
                Advice::new(
                    format!(
                        "{name} {} contains \"{}\", by which cmbatch finds its own requests",
                        quoted(&cells::text(bytes)),
                        Tag::PREFIX
                    ),
                    "delete that part; it was probably copied from an earlier request",
                )
            });
        }
    }

    fn collection(&mut self, column: usize, bytes: &'r [u8]) -> Given<Vec<Item<'r>>> {
        if bytes.trim_ascii().is_empty() {
            return Given::Absent;
        }
        let name = self.name(column);
        let parsed = match std::str::from_utf8(bytes) {
            Ok(json) => data_collection::parse(json).map_err(|fault| (fault.rule(), fault.advice(&name, json))),
            Err(_) => Err((
                Rule::TextDamaged,
                Advice::new(format!("{name} is not text"), "export the list again as \"CSV UTF-8\""),
            )),
        };
        let items = match parsed {
            Ok(items) => items,
            Err((rule, advice)) => {
                self.findings.report(rule, Some(column), || advice);
                return Given::Wrong;
            }
        };
        for (rule, advice) in items.iter().flat_map(|item| item_damage(&name, item)).take(NAMED_ITEMS) {
            self.findings.report(rule, Some(column), || advice);
        }
        Given::Is(items)
    }

    fn text(&mut self, column: usize, bytes: &[u8], breaks: Breaks, sort: Sort) {
        let is_harmless = self.is_harmless || damage::is_harmless(bytes);
        if is_harmless && (sort == Sort::Free || !damage::may_be_spoiled(bytes)) {
            return;
        }
        let name = self.name(column);
        for (rule, advice) in damage::in_text(&name, &cells::text(bytes), breaks, sort) {
            self.findings.report(rule, Some(column), || advice);
        }
    }

    /// The rules about more than one cell.
    fn whole(self, row: Parts<'r>) -> Option<Judged<'r>> {
        let kind = row.kind.or(self.rules.defaults.kind);
        let template = row.template.or(self.rules.defaults.template);
        let has_card = !row.smartcard.is_absent();
        // A profile that is sent is what a site uses instead of the template, as a `body.` column is.
        let has_body = row.has_body || (self.rules.profile_property.is_some() && !row.profile.is_absent());
        let missing = self.layout.missing;
        if kind.is_absent() && !missing.kind {
            let advice = || {
                Advice::new("the row has no type", "write one, such as Enroll, or give one for all rows with --type")
            };
            self.findings.report(Rule::MissingType, self.layout.position(&Role::Type), advice);
        }
        let is_enroll = matches!(kind, Given::Is(RequestType::Enroll));
        if template.is_absent() && (is_enroll || !(has_card || has_body)) && !missing.template {
            let advice = || missing_template(is_enroll);
            self.findings.report(Rule::MissingTemplate, self.layout.position(&Role::Template), advice);
        }
        if row.target.is_absent() && !has_card && !self.rules.target_self && !missing.target {
            let help = "write the user's GUID in \"target\" (or the card's in \"smartcard\"), or give --target-self where it is for yourself";
            let what = "the row names no target and no smartcard; the server would take it for a request for yourself";
            let advice = || Advice::new(what, help);
            self.findings.report(Rule::MissingTarget, self.layout.position(&Role::Target), advice);
        }
        let has_items = match &row.collection {
            Given::Absent => false,
            Given::Wrong => true,
            Given::Is(items) => !items.is_empty(),
        };
        if row.has_data && has_items {
            let advice = || Advice::new("the row has both a datacollection and data. cells", "keep one of the two");
            self.findings.report(Rule::ConflictingColumns, self.layout.position(&Role::DataCollection), advice);
        }
        let is_whole = !(missing.kind || missing.template || missing.target) && self.layout.is_sound();
        if self.findings.n_in_row() > 0 || !is_whole {
            return None;
        }
        Some(Judged {
            kind: kind.value()?,
            template: template.value(),
            target: row.target.value(),
            smartcard: row.smartcard.value(),
            profile: row.profile.value(),
            priority: row.priority.or(self.rules.defaults.priority).value(),
            id: row.id,
            collection: row.collection.value().unwrap_or_default(),
        })
    }
}

/// Finds damage in an item of the data collection.
fn item_damage(field: &str, item: &Item<'_>) -> Vec<(Rule, Advice)> {
    let (name, value) = (item.name.as_bytes(), item.value.as_bytes());
    if damage::is_harmless(name) && damage::is_harmless(value) && !damage::may_be_spoiled(value) {
        return Vec::new();
    }
    let subject = format!("item {} of {field}:", quoted(&item.name));
    let of_name = damage::in_text(field, &item.name, Breaks::Refused, Sort::Free);
    of_name.chain(damage::in_text(&subject, &item.value, Breaks::Allowed, Sort::Value)).collect()
}

#[cfg(test)]
mod tests;
