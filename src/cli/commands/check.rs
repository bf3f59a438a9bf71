//! Reading and checking manifests, and telling what was found: shared by `validate` and `submit`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::app::{self, Checked, Failure};
use crate::cli::config::{Findings, ValidateConfig};
use crate::cli::output::{Shell, grouped, rows, shown};
use crate::cli::progress::CheckProgress;
use crate::platform::PrivateOutput;
use crate::request::{RowId, RunMark};
use crate::validate::{self, CheckedRow, ErrorsWriter, Progress, RejectsWriter, Rule};

/// Reads and checks all manifests, and shows the first errors.
pub(crate) fn check(config: &ValidateConfig, shell: &Shell) -> Result<Checked, Failure> {
    let progress = CheckProgress::start(shell);
    let at = |now: Progress| progress.at(now.n_rows, now.n_invalid);
    let checked = app::check::check(&config.sources, &config.reading, &config.rules, &at)?;
    drop(progress);
    tell(&checked, &config.findings, shell);
    Ok(checked)
}

/// Shows the first errors, and how many there are by rule.
fn tell(checked: &Checked, findings: &Findings, shell: &Shell) {
    let survey = &checked.survey;
    for diagnostic in &survey.first {
        shell.always(&diagnostic.to_string());
    }
    let total = survey.n_diagnostics();
    let shown = survey.first.len() as u64;
    if total > shown {
        let mut text = format!("... and {} more; by rule:", grouped(total - shown));
        for (rule, n) in &survey.by_rule {
            let _ = write!(text, "\n  {:>9}  {}", grouped(*n), rule.name());
        }
        if findings.errors.is_none() {
            text.push_str("\n(--errors FILE writes all of them)");
        }
        shell.always(&text);
    }
}

/// Where lists stand in a ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InLedger {
    pub(crate) run: RunMark,
    /// How many rows the ledger has before theirs.
    pub(crate) n_before: u32,
}

/// Writes the files of errors and rejects that were asked for, where there is anything to write.
///
/// Rejects are numbered as in the ledger, where there is one.
pub(crate) fn write_findings(
    checked: &Checked,
    place: Option<InLedger>,
    config: &ValidateConfig,
) -> Result<(), Failure> {
    write_to(checked, place, config, &config.findings)
}

/// The same for a ledger that has the rows already: files that are there were written by an earlier run, and may have been corrected
/// since.
pub(crate) fn write_missing(
    checked: &Checked,
    place: Option<InLedger>,
    config: &ValidateConfig,
    shell: &Shell,
) -> Result<(), Failure> {
    if checked.survey.is_valid() {
        return Ok(());
    }
    let missing = |path: &Option<PathBuf>| {
        path.clone().filter(|path| {
            let is_there = path.symlink_metadata().is_ok();
            if is_there {
                shell.say(&format!("{} is there and stays as it is", shown(path)));
            }
            !is_there
        })
    };
    let Findings { errors, rejects, overwrite } = &config.findings;
    let findings = Findings { errors: missing(errors), rejects: missing(rejects), overwrite: *overwrite };
    write_to(checked, place, config, &findings)
}

fn write_to(
    checked: &Checked,
    place: Option<InLedger>,
    config: &ValidateConfig,
    findings: &Findings,
) -> Result<(), Failure> {
    if checked.survey.is_valid() || (findings.errors.is_none() && findings.rejects.is_none()) {
        return Ok(());
    }
    let open = |path: &Option<PathBuf>| {
        path.as_deref().map(|path| PrivateOutput::create(path, findings.overwrite)).transpose()
    };
    let errors = open(&findings.errors)?.map(ErrorsWriter::new);
    let rejects =
        open(&findings.rejects)?.map(|file| RejectsWriter::new(&checked.manifests, place.map(|place| place.run), file));
    let (mut errors, mut rejects) = (errors.transpose()?, rejects.transpose()?);
    if let Some(errors) = &mut errors {
        for diagnostic in &checked.survey.header {
            errors.write(diagnostic)?;
        }
    }
    validate::deliver(&checked.manifests, &config.rules, &checked.survey, |row| -> Result<(), Failure> {
        let CheckedRow::Invalid(mut row) = row else { return Ok(()) };
        row.row = RowId::new(row.row.get().saturating_add(place.map_or(0, |place| place.n_before))).unwrap_or(row.row);
        if let Some(errors) = &mut errors {
            for diagnostic in &row.diagnostics {
                errors.write(diagnostic)?;
            }
        }
        if let Some(rejects) = &mut rejects {
            rejects.write(&row)?;
        }
        Ok(())
    })?;
    if let Some(errors) = errors {
        errors.finish()?.commit()?;
    }
    if let Some(rejects) = rejects {
        rejects.finish()?.commit()?;
    }
    Ok(())
}

/// Returns the way out of an invalid manifest, for the last line. `good` says what can be done with so many rows that
/// are valid.
pub(crate) fn way_out(checked: &Checked, allowing_empty: &str, good: impl Fn(&str) -> String) -> String {
    let survey = &checked.survey;
    if survey.by_rule.iter().any(|(rule, _)| *rule == Rule::NoRows) {
        return format!("export the list again; or, where an empty one is normal: {allowing_empty}");
    }
    if survey.header_invalid {
        return "correct the columns, then run the same command again".to_owned();
    }
    let valid = survey.n_rows.saturating_sub(survey.n_invalid);
    if valid == 0 {
        return "correct the rows, then run the same command again".to_owned();
    }
    format!(
        "{} of {} {} invalid; correct them and run the same command again, or {}",
        grouped(survey.n_invalid),
        rows(survey.n_rows),
        if survey.n_invalid == 1 { "is" } else { "are" },
        good(&grouped(valid)),
    )
}

/// Returns the words that confirm the rows of a list which take certificates away; none where it has no such rows.
pub(crate) fn confirming(checked: &Checked) -> Vec<String> {
    let destructive = checked.survey.by_type.iter().filter(|(kind, _)| kind.is_destructive());
    match destructive.map(|(_, n)| n).sum::<u64>() {
        0 => Vec::new(),
        n => vec!["--confirm".to_owned(), n.to_string()],
    }
}

/// Returns a name for the rejects beside the manifest: `wave.csv.gz` -> `wave.rejects.csv`.
pub(crate) fn rejects_name(manifest: &Path) -> String {
    let name = manifest.to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let plain = [".gz", ".zst"].iter().find_map(|end| lower.ends_with(end).then(|| &name[..name.len() - end.len()]));
    let plain = plain.unwrap_or(&name);
    match plain.rsplit_once('.') {
        Some((stem, "jsonl" | "ndjson" | "json")) => format!("{stem}.rejects.jsonl"),
        Some((stem, _)) if !stem.is_empty() => format!("{stem}.rejects.csv"),
        _ => "rejects.csv".to_owned(),
    }
}

/// Returns whether a file of rejects has this row of this run: its number stands before the run's mark.
pub(crate) fn has_row(path: &Path, run: RunMark, row: RowId) -> bool {
    let Ok(bytes) = std::fs::read(path) else { return false };
    let (text, mark) = (String::from_utf8_lossy(&bytes), run.to_string());
    text.match_indices(&mark).any(|(at, _)| {
        let before = text[..at].trim_end_matches(|c: char| !c.is_ascii_digit());
        before.rsplit(|c: char| !c.is_ascii_digit()).next() == Some(row.to_string().as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RunId;

    #[test]
    fn a_row_of_a_rejects_file_is_told_by_its_number_and_the_mark_of_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let (path, run) = (folder.path().join("r"), RunMark::of(RunId::from_bytes([7; 16])));
        let has = |text: &str, row| {
            std::fs::write(&path, text).unwrap();
            has_row(&path, run, RowId::new(row).unwrap())
        };
        for text in [
            "id,_row,_run,_error\nA,12,07070707-07,x\n",
            "A;\"12\";\"07070707-07\";x",
            "{\"_row\":12,\"_run\":\"07070707-07\"}",
        ] {
            assert!(has(text, 12) && !has(text, 2) && !has(text, 1), "{text}");
        }
        assert!(!has("A,12,08080808-08,x", 12) && !has("07070707-07", 12));
    }

    #[test]
    fn rejects_are_named_after_their_manifest() {
        for (manifest, rejects) in [
            ("wave.csv", "wave.rejects.csv"),
            ("in/wave.csv.gz", "in/wave.rejects.csv"),
            ("a.jsonl.zst", "a.rejects.jsonl"),
            ("-", "rejects.csv"),
            ("list", "rejects.csv"),
        ] {
            assert_eq!(rejects_name(Path::new(manifest)), rejects);
        }
    }
}
