//! Rows of a ledger as a manifest that `submit` takes as it is.

use std::io::Write;

use super::columns::Names;
use super::export::{ExportError, for_each_row};
use crate::ledger::{Reader, ResultRow, RowState};
use crate::request::{CreateRequest, NamedValue};

/// The columns before `data.`, `body.` and `note.` ones.
const FIXED: [&str; 9] =
    ["_row", "id", "type", "profiletemplateuuid", "target", "smartcard", "profile", "comment", "priority"];

/// Which columns the rows need.
#[derive(Default)]
struct Shape {
    data: Names,
    body: Names,
    notes: Names,
    /// Whether a row's data collection cannot stand in `data.` columns as it is: an empty value, or another order.
    data_as_json: bool,
}

impl Shape {
    fn see(&mut self, row: &ResultRow, request: &CreateRequest) {
        self.data.see(&request.data);
        request.body.iter().for_each(|item| self.body.see_name(&item.name));
        self.notes.see(&row.notes);
        let mut last = None;
        request.data.for_each(|name, value| {
            let place = self.data.position(name);
            self.data_as_json |= last.is_some_and(|last| last >= place) || value.is_empty();
            last = Some(place);
        });
    }

    fn header(&self) -> Vec<String> {
        let mut header: Vec<String> = FIXED.iter().map(ToString::to_string).collect();
        let named = |prefix: &str, names: &Names| -> Vec<String> {
            names.all().iter().map(|name| format!("{prefix}{name}")).collect()
        };
        if self.data_as_json {
            header.push("datacollection".to_owned());
        } else {
            header.extend(named("data.", &self.data));
        }
        header.extend(named("body.", &self.body));
        header.extend(named("note.", &self.notes));
        header
    }

    fn record(&self, row: &ResultRow, request: &CreateRequest) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_default();
        let mut record = vec![
            row.row.to_string(),
            text(row.id.clone()),
            request.kind.to_string(),
            text(request.template.map(|guid| guid.to_string())),
            text(request.target.map(|guid| guid.to_string())),
            text(request.smartcard.map(|guid| guid.to_string())),
            text(request.profile.map(|guid| guid.to_string())),
            request.comment.clone(),
            text(request.priority.map(|priority| priority.to_string())),
        ];
        if self.data_as_json {
            record.push(if request.data.is_empty() { String::new() } else { request.data.as_json().to_owned() });
        } else {
            record.extend(self.data.values(&request.data));
        }
        record.extend(self.body.values(&request.body.iter().cloned().collect()));
        record.extend(self.notes.values(&row.notes));
        record
    }
}

/// Writes the valid rows in these states (all, where none is named) as a CSV manifest, each with its number in a `_row`
/// column. Returns how many rows were written. Nothing is defused: the values are those that were read.
///
/// # Errors
/// Where the ledger cannot be read or the output not be written.
pub fn manifest_csv(reader: &Reader, states: &[RowState], out: impl Write) -> Result<u64, ExportError> {
    // The property that a profile was sent under is made from the profile again.
    let options = &reader.run().identity.options;
    let profile_property = options.iter().find(|(name, _)| name == "profile-property").map(|(_, value)| value.clone());
    let valid = |row: &ResultRow| {
        let mut request = row.request.clone()?;
        if request.profile.is_some() {
            request.body.retain(|item: &NamedValue| Some(&item.name) != profile_property.as_ref());
        }
        Some(request)
    };
    let mut shape = Shape::default();
    for_each_row(reader, states, |row| {
        if let Some(request) = valid(&row) {
            shape.see(&row, &request);
        }
        Ok(())
    })?;
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(shape.header())?;
    let mut n_rows = 0;
    for_each_row(reader, states, |row| {
        if let Some(request) = valid(&row) {
            csv.write_record(shape.record(&row, &request))?;
            n_rows += 1;
        }
        Ok(())
    })?;
    csv.flush()?;
    Ok(n_rows)
}
