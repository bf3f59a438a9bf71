use std::io::Write as _;

use super::*;
use crate::cli::args::{Command, SubmitArgs};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, OsString> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
}

fn layered(words: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Layered, LayerError> {
    let mut config = tempfile::NamedTempFile::new().unwrap();
    config.write_all(file.as_bytes()).unwrap();
    let mut argv: Vec<OsString> = std::iter::once("cmbatch").chain(words.iter().copied()).map(Into::into).collect();
    argv.push("--config".into());
    argv.push(config.path().into());
    read(&argv, &environment(variables))
}

fn submit(words: &[&str], variables: &[(&str, &str)], file: &str) -> (SubmitArgs, Origins) {
    let layered = layered(words, variables, file).unwrap();
    let Command::Submit(args) = layered.cli.command else { panic!("not submit") };
    (*args, layered.origins)
}

fn error(words: &[&str], variables: &[(&str, &str)], file: &str) -> String {
    layered(words, variables, file).unwrap_err().to_string()
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let file = "rate = \"10/s\"\nconcurrency = 4\nno-tag = true\n";
    let variables = [("CMBATCH_RATE", "20/s"), ("CMBATCH_CONCURRENCY", "8")];
    let (args, origins) = submit(&["submit", "a.csv", "--rate", "30/s"], &variables, file);
    assert_eq!(args.pace.rate.to_string(), "30/s");
    assert_eq!(args.pace.concurrency.get(), 8);
    assert!(args.wire.no_tag);
    assert_eq!(origins.name("rate"), "--rate");
    assert_eq!(origins.name("concurrency"), "CMBATCH_CONCURRENCY");
    assert!(origins.name("no-tag").ends_with(": no-tag"), "{}", origins.name("no-tag"));
    let (args, _) = submit(&["submit", "a.csv"], &[], file);
    assert_eq!(args.pace.rate.to_string(), "10/s");
}

#[test]
fn a_profile_wins_over_the_rest_of_the_file() {
    let file =
        "rate = \"10/s\"\n[profile.production]\nrate = \"5/s\"\nlabel = \"PRODUCTION\"\nserver = \"cm.contoso.test\"\n";
    let (args, _) = submit(&["submit", "a.csv", "--profile", "production"], &[], file);
    assert_eq!(args.pace.rate.to_string(), "5/s");
    assert_eq!(args.server.label.as_deref(), Some("PRODUCTION"));
    let (args, _) = submit(&["submit", "a.csv"], &[], file);
    assert_eq!((args.pace.rate.to_string().as_str(), args.server.label), ("10/s", None));
    let (args, _) = submit(&["submit", "a.csv"], &[("CMBATCH_PROFILE", "production")], file);
    assert_eq!(args.pace.rate.to_string(), "5/s");
    assert!(error(&["submit", "a.csv", "--profile", "test"], &[], file).contains("it has production"));
}

#[test]
fn an_option_of_the_command_line_silences_what_it_excludes() {
    let file = "server = \"cm.contoso.test\"\nledger-dir = \"ledgers\"\n";
    let (args, _) = submit(&["submit", "a.csv", "--simulate", "--ledger", "a.ledger"], &[], file);
    assert!(args.rehearsal.simulate && args.server.server.is_none());
    assert!(args.guards.ledger_dir.is_none());
}

#[test]
fn wrong_values_name_their_layer() {
    let text = error(&["submit", "a.csv"], &[("CMBATCH_RATE", "fast")], "");
    assert!(text.starts_with("CMBATCH_RATE: invalid value 'fast'"), "{text}");
    let text = error(&["submit", "a.csv"], &[], "concurrency = 0\n");
    assert!(text.contains(": concurrency: invalid value '0'"), "{text}");
    let text = error(&["submit", "a.csv"], &[("CMBATCH_NO_TAG", "perhaps")], "");
    assert_eq!(text, "CMBATCH_NO_TAG: write true or false");
    let text = error(&["submit", "a.csv"], &[], "concurency = 4\n");
    assert!(text.contains("concurency is not an option; did you mean concurrency?"), "{text}");
    let text = error(&["submit", "a.csv"], &[], "[templates]\ncard = \"42\"\n");
    assert!(text.contains("[templates] card") && text.contains("is not a GUID"), "{text}");
    let text = error(&["submit", "a.csv"], &[], "rate = [[1]]\n");
    assert!(text.contains("rate: write a text"), "{text}");
    let text = error(&["submit", "a.csv"], &[], "confirm = 12\n");
    assert!(text.contains("confirm is not an option"), "{text}");
    assert!(error(&["submit", "a.csv"], &[], "rate = \n").contains("line 1"));
}

#[test]
fn options_of_other_commands_may_stand_in_the_file() {
    let layered = layered(&["validate", "a.csv"], &[], "rate = \"10/s\"\nallow-empty = true\n").unwrap();
    let Command::Validate(args) = layered.cli.command else { panic!("not validate") };
    assert!(args.rows.allow_empty);
}

#[test]
fn templates_are_read_and_unknown_variables_are_told() {
    let file = "[templates]\ncard = \"a039b4d0-5ce8-4eff-8651-181c6576fda3\"\n";
    let layered = layered(&["submit", "a.csv"], &[("CMBATCH_RAET", "5/s"), ("CMBATCH_TOKEN", "x")], file).unwrap();
    assert_eq!(layered.templates["card"].to_string(), "a039b4d0-5ce8-4eff-8651-181c6576fda3");
    assert_eq!(layered.warnings.len(), 1);
    assert!(layered.warnings[0].contains("did you mean CMBATCH_RATE?"), "{}", layered.warnings[0]);
}

#[test]
fn a_patience_of_nothing_is_warned_of_where_rows_are_at_stake() {
    let risks = |words: &[&str], environment: &[(&str, &str)]| {
        let layered = layered(words, environment, "").unwrap();
        crate::cli::reach::risks(&layered.cli.command, &layered.origins)
    };
    let words = ["submit", "a.csv", "--server", "cm.test", "--settle", "0s", "--server-limit", "999ms"];
    let found = risks(&words, &[]);
    assert!(found.len() == 2 && found[0].starts_with("--settle is") && found[1].contains("sent twice"), "{found:?}");
    assert_eq!(risks(&words[..4], &[]), [""; 0]);
    assert_eq!(risks(&["submit", "a.csv", "--simulate", "--settle", "0s"], &[]), [""; 0]);
    let found = risks(&["reconcile", "a.ledger"], &[("CMBATCH_SERVER_LIMIT", "0s")]);
    assert!(found.len() == 1 && found[0].starts_with("CMBATCH_SERVER_LIMIT is"), "{found:?}");
    assert_eq!(risks(&["replay", "a.ledger", "--settle", "1s"], &[]), [""; 0]);
}

#[test]
fn of_an_option_given_twice_the_last_one_counts_where_it_takes_one_value() {
    let read = |first: &[&str], second: &[&str]| {
        let words = [&["submit", "a.csv"], first, second].concat();
        submit(&words, &[("CMBATCH_SETTLE", "9s")], "rate = \"9/s\"\n").0
    };
    assert_eq!(read(&["--rate", "5/s"], &["--rate=6/s"]).pace.rate.to_string(), "6/s");
    assert_eq!(read(&["--settle", "5s"], &["--settle", "6s"]).doubt.settle, Some(std::time::Duration::from_secs(6)));
    assert_eq!(read(&["--confirm", "5"], &["--confirm", "6"]).guards.confirm, Some(6));
    assert!(read(&["--no-tag"], &["--no-tag"]).wire.no_tag);
    let faults = read(&["--simulate", "--fault", "503=5%"], &["--fault", "html=1%"]).rehearsal.fault;
    assert_eq!(faults.len(), 2, "an option that can be given again keeps all");
    assert!(layered(&["submit", "a.csv", "--rate", "fast", "--rate", "5/s"], &[], "").is_err());
    assert!(layered(&["status", "a.ledger", "b.ledger"], &[], "").is_err());
}

#[test]
fn every_option_may_be_given_twice() {
    use clap::CommandFactory;
    let command = super::Cli::command();
    for sub in command.get_subcommands() {
        for arg in sub.get_arguments().chain(command.get_arguments()) {
            let Some(option) = arg.get_long() else { continue };
            let value = match arg.get_action() {
                ArgAction::Set | ArgAction::Append => Some("1"),
                _ => None,
            };
            let word = value.map_or_else(|| format!("--{option}"), |value| format!("--{option}={value}"));
            let read = super::Cli::command().try_get_matches_from(["cmbatch", sub.get_name(), &word, &word]);
            let text = read.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!text.contains("multiple times"), "{} --{option}: {text}", sub.get_name());
        }
    }
}
