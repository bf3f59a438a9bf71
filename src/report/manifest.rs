//! Rows of a ledger as a manifest that `submit` takes as it is.

use std::io::Write;

use super::columns::Names;
use super::export::{ExportError, for_each_row};
use super::status::Counts;
use crate::ledger::{Reader, ResultRow, RowState};
use crate::request::{CreateRequest, NamedValue, RequestType, RunMark};

/// The columns before `data.`, `body.` and `note.` ones.
const FIXED: [&str; 10] =
    ["_row", "_run", "id", "type", "profiletemplateuuid", "target", "smartcard", "profile", "comment", "priority"];

/// Which columns the rows need.
struct Shape {
    run: RunMark,
    data: Names,
    body: Names,
    notes: Names,
    /// Whether a row's data collection cannot stand in `data.` columns as it is: an empty value, or another order.
    data_as_json: bool,
}

impl Shape {
    fn of(run: RunMark) -> Self {
        let (data, body, notes) = (Names::default(), Names::default(), Names::default());
        Self { run, data, body, notes, data_as_json: false }
    }

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
            self.run.to_string(),
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

/// Which rows become a manifest: none that may exist on the server, unless as a request of another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    states: Vec<RowState>,
    as_type: Option<RequestType>,
}

/// Why rows cannot become a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Created rows were asked for, and no other type was given.
    #[error("created rows cannot be written as a manifest: they exist on the server, and it would create them twice")]
    Created,
    /// Rows that are being sent were asked for.
    #[error("rows that are being sent cannot be written as a manifest: it could create them twice")]
    Sending,
    /// Rows in doubt were asked for.
    #[error(
        "rows in doubt cannot be written as a manifest: they may exist on the server, and it could create them twice"
    )]
    InDoubt,
    /// Another type is for created rows alone.
    #[error(
        "--as writes created rows as requests of another type: it goes with --format manifest --state created alone"
    )]
    OtherType,
}

/// How many rows a manifest has, and how many were left out of it, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that were written.
    pub n_rows: u64,
    /// Rows that were not.
    pub left_out: Counts,
}

impl Choice {
    /// Takes the rows in these states. Where none is named, those for which nothing exists or stands: pending and failed
    /// ones. Created rows are taken only as requests of another type, such as Revoke.
    ///
    /// # Errors
    /// Rows in a named state exist on the server or may; or another type is given for rows that are not created.
    pub fn new(states: &[RowState], as_type: Option<RequestType>) -> Result<Self, ChoiceError> {
        let refused = match as_type {
            Some(_) => (states.is_empty() || states.iter().any(|state| *state != RowState::Created))
                .then_some(ChoiceError::OtherType),
            None => states.iter().find_map(|state| match state {
                RowState::Created => Some(ChoiceError::Created),
                RowState::Sending => Some(ChoiceError::Sending),
                RowState::InDoubt => Some(ChoiceError::InDoubt),
                RowState::Pending | RowState::Failed | RowState::Invalid | RowState::Skipped | RowState::Replaced => {
                    None
                }
            }),
        };
        if let Some(error) = refused {
            return Err(error);
        }
        Ok(Self { states: states.to_vec(), as_type })
    }

    /// Returns the request that a row is written as; none where it is left out.
    fn request(&self, row: &ResultRow, profile_property: Option<&str>) -> Option<CreateRequest> {
        let mut request = row.request.clone()?;
        match self.as_type {
            // What was said with the old request is not said with the new one.
            Some(kind) => {
                let CreateRequest { template, target, smartcard, profile, .. } = request;
                let is_another = row.state == RowState::Created && request.kind != kind;
                is_another.then(|| CreateRequest { template, target, smartcard, profile, ..CreateRequest::new(kind) })
            }
            None => {
                let stands = match row.state {
                    RowState::Created | RowState::Sending | RowState::InDoubt => true,
                    RowState::Skipped | RowState::Replaced => self.states.is_empty(),
                    RowState::Pending | RowState::Failed | RowState::Invalid => false,
                };
                // The property that a profile was sent under is made from the profile again.
                if request.profile.is_some() {
                    request.body.retain(|item: &NamedValue| Some(item.name.as_str()) != profile_property);
                }
                (!stands).then_some(request)
            }
        }
    }
}

/// Writes the valid rows of a choice as a CSV manifest, each with its number in a `_row` column and the mark
/// of its run in a `_run` column. Nothing is defused: the
/// values are those that were read.
///
/// # Errors
/// Where the ledger cannot be read or the output not be written.
pub fn manifest_csv(reader: &Reader, choice: &Choice, out: impl Write) -> Result<Written, ExportError> {
    let options = &reader.run().identity.options;
    let profile_property = options.iter().find(|(name, _)| name == "profile-property").map(|(_, value)| value.as_str());
    let mut shape = Shape::of(RunMark::of(reader.run().id));
    for_each_row(reader, &choice.states, |row| {
        if let Some(request) = choice.request(&row, profile_property) {
            shape.see(&row, &request);
        }
        Ok(())
    })?;
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(shape.header())?;
    let mut written = Written::default();
    for_each_row(reader, &choice.states, |row| {
        match choice.request(&row, profile_property) {
            Some(request) => {
                csv.write_record(shape.record(&row, &request))?;
                written.n_rows += 1;
            }
            None => written.left_out.add(row.state, 1),
        }
        Ok(())
    })?;
    csv.flush()?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_exist_is_refused_by_name_and_created_rows_need_another_type() {
        let choose = |states: &[RowState], as_type| Choice::new(states, as_type).map(|_| ());
        let refused = [
            (RowState::Created, ChoiceError::Created),
            (RowState::Sending, ChoiceError::Sending),
            (RowState::InDoubt, ChoiceError::InDoubt),
        ];
        for state in RowState::ALL {
            let expected = refused.iter().find(|(one, _)| *one == state).map_or(Ok(()), |(_, error)| Err(*error));
            assert_eq!(choose(&[RowState::Failed, state], None), expected, "{state}");
            let as_revoke = if state == RowState::Created { Ok(()) } else { Err(ChoiceError::OtherType) };
            assert_eq!(choose(&[state], Some(RequestType::Revoke)), as_revoke, "{state}");
        }
        assert_eq!(choose(&[], None), Ok(()));
        assert_eq!(choose(&[], Some(RequestType::Revoke)), Err(ChoiceError::OtherType));
    }
}
