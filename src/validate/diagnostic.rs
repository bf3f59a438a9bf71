//! What was found, where, and what to write instead.

use std::fmt;

use super::rule::Rule;
use crate::request::RowId;
use crate::request::printable;

/// One thing that is wrong with a manifest.
///
/// Its `Display` is one line, `file:line:column: error[rule-name]: message; help`, in which text from the manifest is
/// escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The manifest's name, as the user gave it.
    pub file: String,
    /// The physical line, from 1, on which the field begins; for the whole record, on which that begins.
    pub line: u64,
    /// The column in characters of the decoded line, from 1; 1 where the whole record is meant.
    pub column: u64,
    /// The column or property, as the manifest writes it; none where the whole record is meant.
    pub field: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// What is wrong, with the value quoted; safe to print.
    pub message: String,
    /// What to write or do instead; safe to print.
    pub help: String,
    /// The row's number in the run; none for the header line and for the manifest as a whole.
    pub row: Option<RowId>,
    /// The user's own key of the row, where it could be read.
    pub id: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, rule, message, help, .. } = self;
        write!(f, "{}:{line}:{column}: error[{rule}]: {message}; {help}", printable(&self.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_is_one_line_whatever_the_files_name() {
        let diagnostic = Diagnostic {
            file: "a\nb.csv".to_owned(),
            line: 14,
            column: 5,
            field: Some("priority".to_owned()),
            rule: Rule::InvalidPriority,
            message: "priority \"x\" is no number".to_owned(),
            help: "write 0".to_owned(),
            row: None,
            id: None,
        };
        assert_eq!(
            diagnostic.to_string(),
            r#"a\nb.csv:14:5: error[invalid-priority]: priority "x" is no number; write 0"#
        );
    }
}
