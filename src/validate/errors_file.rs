//! All diagnostics as CSV, for spreadsheets and scripts.

use std::io::Write;

use super::diagnostic::Diagnostic;
use crate::request::printable;

/// Writes diagnostics as CSV: file, line, column, row, id, field, rule, message, help.
///
/// Those of header lines stand in [`Survey::header`](super::Survey::header), those of rows come with
/// [`deliver`](super::deliver()).
///
/// A cell that a spreadsheet would run as a formula gets a `'` before it. The text is UTF-8 without byte order mark; who
/// writes for a spreadsheet puts U+FEFF before it.
pub struct ErrorsWriter<W: Write> {
    csv: csv::Writer<W>,
}

impl<W: Write> ErrorsWriter<W> {
    /// The columns.
    pub const COLUMNS: [&'static str; 9] = ["file", "line", "column", "row", "id", "field", "rule", "message", "help"];

    /// Writes the header line.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn new(writer: W) -> Result<Self, csv::Error> {
        let mut csv = csv::Writer::from_writer(writer);
        csv.write_record(Self::COLUMNS)?;
        Ok(Self { csv })
    }

    /// Writes one diagnostic.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn write(&mut self, diagnostic: &Diagnostic) -> Result<(), csv::Error> {
        let Diagnostic { file, line, column, field, rule, message, help, row, id } = diagnostic;
        let text = |text: &Option<String>| text.as_deref().map(|text| defused(&printable(text))).unwrap_or_default();
        self.csv.write_record([
            &defused(&printable(file)),
            &line.to_string(),
            &column.to_string(),
            &row.map(|row| row.to_string()).unwrap_or_default(),
            &text(id),
            &text(field),
            rule.name(),
            &defused(message),
            &defused(help),
        ])
    }

    /// Writes what is buffered and gives the writer back.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn finish(self) -> Result<W, std::io::Error> {
        self.csv.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Returns the text with a `'` before it where a spreadsheet would take it for a formula.
fn defused(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RowId;
    use crate::validate::Rule;

    #[test]
    fn every_part_of_a_diagnostic_has_its_column_and_formulas_are_defused() {
        let mut errors = ErrorsWriter::new(Vec::new()).unwrap();
        errors
            .write(&Diagnostic {
                file: "wave.csv".to_owned(),
                line: 14,
                column: 5,
                field: Some("priority".to_owned()),
                rule: Rule::InvalidPriority,
                message: "priority \"high\" is not, a number".to_owned(),
                help: "write 0".to_owned(),
                row: RowId::new(13),
                id: Some("=cmd|' /C calc'!A0".to_owned()),
            })
            .unwrap();
        assert_eq!(
            String::from_utf8(errors.finish().unwrap()).unwrap(),
            "file,line,column,row,id,field,rule,message,help\n\
             wave.csv,14,5,13,'=cmd|' /C calc'!A0,priority,invalid-priority,\"priority \"\"high\"\" is not, a number\",write 0\n"
        );
    }
}
