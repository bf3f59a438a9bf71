//! `cmbatch export`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::app::{Exit, Failure};
use crate::cli::args::{ExportArgs, ExportFormat};
use crate::cli::config::{overwrite, same_file};
use crate::cli::output::rows;
use crate::cli::summary::Summary;
use crate::ledger::Reader;
use crate::platform::PrivateOutput;
use crate::report::{ExportError, manifest_csv, results_csv, results_jsonl};

/// Writes the rows of a ledger; gives nothing to say where they went to standard output.
pub(crate) fn run(args: &ExportArgs) -> Result<Option<Summary>, Failure> {
    let reader = Reader::open(&args.ledger)?;
    let Some(output) = &args.output else {
        return match write(&reader, args, io::stdout().lock()) {
            Ok(_) => Ok(None),
            Err(error) if error.is_closed_pipe() => Ok(None),
            Err(error) => Err(error.into()),
        };
    };
    refuse_ledger(&args.ledger, output)?;
    if let Some(part) = reader.run().parts.iter().find(|part| same_file(Path::new(&part.name), output)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is a manifest of this run: an output may not replace it", part.name),
        ));
    }
    let mut file = PrivateOutput::create(output, overwrite(args.force))?;
    let n_rows = write(&reader, args, &mut file)?;
    file.commit()?;
    Ok(Some(Summary::new(Exit::Done, format!("{} written to {}", rows(n_rows), output.display())).with("rows", n_rows)))
}

fn write(reader: &Reader, args: &ExportArgs, out: impl Write) -> Result<u64, ExportError> {
    match args.format {
        ExportFormat::Csv => results_csv(reader, &args.state, out),
        ExportFormat::Jsonl => results_jsonl(reader, &args.state, BufWriter::new(out)),
        ExportFormat::Manifest => manifest_csv(reader, &args.state, out),
    }
}

fn refuse_ledger(ledger: &Path, output: &Path) -> Result<(), Failure> {
    let beside = |end: &str| {
        let mut name = ledger.as_os_str().to_owned();
        name.push(end);
        std::path::PathBuf::from(name)
    };
    if ["", ".lock", "-wal", "-shm"].iter().any(|end| same_file(&beside(end), output)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is the ledger: an output may not replace it", output.display()),
        ));
    }
    Ok(())
}
