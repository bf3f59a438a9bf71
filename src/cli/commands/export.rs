//! `cmbatch export`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::app::{Ending, Exit, Failure, Next, Piece};
use crate::cli::args::{ExportArgs, ExportFormat};
use crate::cli::config::{overwrite, refuse_ledger};
use crate::cli::invocation::{Invocation, quoted};
use crate::cli::output::{Shell, rows, shown};
use crate::cli::summary::Summary;
use crate::ledger::Reader;
use crate::platform::{PrivateOutput, same_file};
use crate::report::{Choice, ChoiceError, Counts, ExportError, Written, manifest_csv, results_csv, results_jsonl};
use crate::request::printable;

/// Writes the rows of a ledger. Where they went to standard output, nothing else is said but how many were left out.
pub(crate) fn run(args: &ExportArgs, invocation: &Invocation, shell: &Shell) -> Result<Option<Summary>, Failure> {
    let reader = Reader::open(&args.ledger)?;
    let form = match form(args) {
        Ok(form) => form,
        Err(error) => return Err(refused(error, &reader, &args.ledger, invocation)?),
    };
    let Some(output) = &args.output else {
        match write(&reader, args, &form, io::stdout().lock()) {
            Ok(written) if written.left_out.total() > 0 => shell.always(&left_out(&written.left_out)),
            Ok(_) => {}
            Err(error) if error.is_closed_pipe() => {}
            Err(error) => return Err(error.into()),
        }
        return Ok(None);
    };
    refuse_ledger(output, &args.ledger)?;
    if let Some(part) = reader.run().parts.iter().find(|part| same_file(Path::new(&part.name), output)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is a manifest of this run: an output may not replace it", printable(&part.name)),
        ));
    }
    let mut file = PrivateOutput::create(output, overwrite(args.force))?;
    let Written { n_rows, left_out: others } = write(&reader, args, &form, &mut file)?;
    file.commit()?;
    let mut message = format!("{} written to {}", rows(n_rows), shown(output));
    if others.total() > 0 {
        message = format!("{message}; {}", left_out(&others));
    }
    Ok(Some(Summary::new(Exit::Done, message).with("rows", n_rows).with("left_out", others.total())))
}

/// What is written, checked.
enum Form {
    Csv,
    Jsonl,
    Manifest(Choice),
}

fn form(args: &ExportArgs) -> Result<Form, ChoiceError> {
    match args.format {
        ExportFormat::Manifest => Choice::new(&args.state, args.as_type).map(Form::Manifest),
        ExportFormat::Csv | ExportFormat::Jsonl if args.as_type.is_some() => Err(ChoiceError::OtherType),
        ExportFormat::Csv => Ok(Form::Csv),
        ExportFormat::Jsonl => Ok(Form::Jsonl),
    }
}

fn write(reader: &Reader, args: &ExportArgs, form: &Form, out: impl Write) -> Result<Written, ExportError> {
    let n_rows = match form {
        Form::Csv => results_csv(reader, &args.state, out)?,
        Form::Jsonl => results_jsonl(reader, &args.state, BufWriter::new(out))?,
        Form::Manifest(choice) => return manifest_csv(reader, choice, out),
    };
    Ok(Written { n_rows, left_out: Counts::default() })
}

/// Returns how many rows are not in a manifest, by state.
fn left_out(counts: &Counts) -> String {
    format!("{} left out ({})", rows(counts.total()), counts.in_words())
}

/// Says what to do instead.
fn refused(error: ChoiceError, reader: &Reader, path: &Path, invocation: &Invocation) -> Result<Failure, Failure> {
    let ledger = quoted(&path.to_string_lossy());
    let next = match error {
        ChoiceError::Created => {
            format!(
                "for a list of what is to be done to them next: cmbatch export {ledger} --format manifest --state created --as Revoke"
            )
        }
        ChoiceError::Sending => {
            format!("wait until the run has ended, then: {}", invocation.instead(&["--state"], &["--state", "failed"]))
        }
        ChoiceError::InDoubt => {
            let recorded = Ending::of(reader, path)?.last_sent_by.as_deref().and_then(Invocation::parse);
            let ask = Next(vec![Piece::asking("reconcile", path, &[])]);
            let ask = invocation.way(recorded.as_ref()).shown_next(&ask);
            format!("{ask}; then: {}", invocation.instead(&["--state"], &["--state", "failed"]))
        }
        ChoiceError::OtherType => format!("cmbatch export {ledger} --format manifest --state created --as TYPE"),
    };
    Ok(Failure::new(Exit::Usage, error.to_string()).with_next(next))
}
