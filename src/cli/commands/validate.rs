//! `cmbatch validate`.

use super::check::{check, confirming, way_out, write_findings};
use crate::app::words::by_type;
use crate::app::{Exit, Failure};
use crate::cli::config::ValidateConfig;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, Shell, grouped};
use crate::cli::summary::{Summary, validated};
use crate::validate::Rule;

/// Checks manifests.
pub(crate) fn run(config: &ValidateConfig, invocation: &Invocation, shell: &Shell) -> Result<Summary, Failure> {
    let checked = check(config, shell)?;
    write_findings(&checked, None, config)?;
    let survey = &checked.survey;
    let rules: serde_json::Map<String, serde_json::Value> =
        survey.by_rule.iter().map(|(rule, n)| (rule.name().to_owned(), (*n).into())).collect();
    let n_errors = survey.n_diagnostics();
    // Which server the rows are for, nothing has said yet.
    let confirming = confirming(&checked);
    let rehearsal = |words: &[&'static str]| {
        let words = words.iter().copied().chain(["--simulate"]).chain(confirming.iter().map(String::as_str));
        invocation.submitting(&words.collect::<Vec<_>>())
    };
    let summary = if survey.is_valid() {
        let mut text = validated(survey.n_valid, &by_type(&survey.by_type));
        if survey.n_skipped > 0 {
            text = format!("{text}, {} duplicates to be skipped", grouped(survey.n_skipped));
        }
        let summary = Summary::new(Exit::Done, text);
        // Standard input cannot be read a second time.
        if survey.n_valid == 0 || checked.manifests.iter().any(|manifest| manifest.path().is_none()) {
            summary
        } else {
            summary.with_next(format!("rehearse it: {}", rehearsal(&[])))
        }
    } else {
        let good = |n: &str| format!("rehearse the {n} good: {}", rehearsal(&["--on-invalid", "skip"]));
        let next = way_out(&checked, &invocation.instead(&[], &["--allow-empty"]), good);
        let noun = if n_errors == 1 { "error" } else { "errors" };
        Summary::new(Exit::InvalidManifest, format!("{} {noun}; the manifest is invalid", grouped(n_errors)))
            .with_next(next)
    };
    Ok(summary
        .with("rows", survey.n_rows)
        .with("valid", survey.n_valid)
        .with("invalid", survey.n_invalid)
        .with("skipped", survey.n_skipped)
        .with("errors", n_errors)
        .with("rules", rules))
}

/// Lists all rules with an example each.
pub(crate) fn list_rules(as_json: bool) -> Result<(), Failure> {
    if as_json {
        let rules: Vec<serde_json::Value> = Rule::ALL
            .iter()
            .map(|rule| {
                serde_json::json!({
                    "rule": rule.name(), "summary": rule.summary(), "explanation": rule.explanation(),
                    "example": rule.example(),
                })
            })
            .collect();
        return Ok(output::result(&format!("{}\n", serde_json::Value::from(rules)))?);
    }
    for rule in Rule::ALL {
        let example: Vec<String> = rule.example().lines().map(|line| format!("        {line}")).collect();
        let text = format!("{}\n    {}: {}\n    broken by:\n", rule.name(), rule.summary(), rule.explanation());
        output::result(&format!("{text}{}\n\n", example.join("\n")))?;
    }
    Ok(())
}
