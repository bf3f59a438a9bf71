//! Command line over environment over file, each value with the place it came from.
//!
//! What environment and file say is added to the command line as the options it stands for, and the whole is read by
//! clap once more: so every layer is checked by the same parsers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::args::Cli;
use super::output::shown;
use crate::platform::{self, FileTrust};
use crate::request::Guid;

/// The configuration file that is read where none is named.
const DEFAULT_FILE: &str = "cmbatch.toml";
/// What a file that nobody named may not set: credentials, TLS, proxies, and where results go.
const NOT_FROM_FOUND_FILE: [&str; 23] = [
    "auth",
    "token-file",
    "cookie-file",
    "keytab",
    "principal",
    "password-file",
    "spn",
    "token-url",
    "client-id",
    "client-secret-file",
    "client-assertion-cert",
    "client-assertion-key",
    "client-assertion-password",
    "resource",
    "scope",
    "ca-file",
    "client-cert",
    "client-key",
    "client-cert-password",
    "pin",
    "proxy",
    "proxy-credentials",
    "allow-http",
];
/// What only the command line may say: options about configuration itself, confirmations, one-off outputs.
const COMMAND_LINE_ONLY: [&str; 23] = [
    "config",
    "profile",
    "confirm",
    "rules",
    "help",
    "version",
    "append",
    "limit",
    "ids",
    "row",
    "id",
    "cause",
    "from",
    "list",
    "created",
    "not-created",
    "reason",
    "trust-list",
    "without-list",
    "all",
    "looked-at",
    "undo",
    "as",
];
/// Returns whether an option holds for one command alone.
pub(crate) fn holds_once(option: &str) -> bool {
    COMMAND_LINE_ONLY.contains(&option)
}

/// Variables that are no options.
const OTHER_VARIABLES: [&str; 5] =
    ["CMBATCH_TOKEN", "CMBATCH_CLIENT_SECRET", "CMBATCH_PASSWORD", "CMBATCH_CONFIG", "CMBATCH_PROFILE"];
/// Variables of the tests, which only debug builds look at.
const TEST_VARIABLES: [&str; 2] = ["CMBATCH_CRASH_AT", "CMBATCH_TEST_SYNCHRONOUS"];

/// Where the value of an option came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    CommandLine,
    Environment(String),
    File(PathBuf),
}

/// The origins of all values that are not defaults, by option name without dashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Returns whether an option was set by any layer.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.0.contains_key(option)
    }

    /// Returns how an option is called where it was set: `--server`, `CMBATCH_SERVER`, `cmbatch.toml: server`.
    pub(crate) fn name(&self, option: &str) -> String {
        match self.0.get(option) {
            None | Some(Origin::CommandLine) => format!("--{option}"),
            Some(Origin::Environment(name)) => name.clone(),
            Some(Origin::File(path)) => format!("{}: {option}", shown(path)),
        }
    }
}

/// What all layers together say.
#[derive(Debug)]
pub(crate) struct Layered {
    pub(crate) cli: Cli,
    pub(crate) origins: Origins,
    /// `[templates]` of the file.
    pub(crate) templates: BTreeMap<String, Guid>,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// What was noticed and does no harm.
    pub(crate) warnings: Vec<String>,
}

/// Why the layers cannot be read.
#[derive(Debug)]
pub(crate) enum LayerError {
    /// clap's own error on the command line: help and version among them.
    Clap(clap::Error),
    /// Anything else, in a person's words.
    Config(String),
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clap(error) => error.fmt(f),
            Self::Config(text) => f.write_str(text),
        }
    }
}

/// Reads all layers.
pub(crate) fn read(argv: &[OsString], environment: &BTreeMap<String, OsString>) -> Result<Layered, LayerError> {
    let matches = Cli::command().try_get_matches_from(argv).map_err(LayerError::Clap)?;
    let (name, sub) = matches.subcommand().ok_or_else(|| config("a command is missing"))?;
    let mut origins = Origins::default();
    let file = ConfigFile::find(sub, environment)?;
    let mut warnings = Vec::new();
    refuse_what_is_typed_only(environment)?;
    warn_of_unknown_variables(environment, &mut warnings);

    let mut added: Vec<OsString> = Vec::new();
    let command = Cli::command();
    let subcommand = command.find_subcommand(name).ok_or_else(|| config("a command is missing"))?;
    for arg in subcommand.get_arguments().chain(command.get_arguments()) {
        let Some(option) = arg.get_long() else { continue };
        if COMMAND_LINE_ONLY.contains(&option) {
            continue;
        }
        if sub.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            origins.0.insert(option.to_owned(), Origin::CommandLine);
            continue;
        }
        let Some((values, origin)) = lower_layer(option, environment, file.as_ref())? else { continue };
        let excluded_by = conflicting(sub, subcommand, arg);
        if excluded_by {
            continue;
        }
        add_option(&mut added, arg, option, &values, &origin)?;
        origins.0.insert(option.to_owned(), origin);
    }
    let matches = with_added(argv, added, &origins)?;
    let cli = Cli::from_arg_matches(&matches).map_err(LayerError::Clap)?;
    let (templates, files) = match file {
        Some(file) => (file.templates, vec![file.path]),
        None => (BTreeMap::new(), Vec::new()),
    };
    Ok(Layered { cli, origins, templates, files, warnings })
}

/// Returns whether the command line has an option that excludes this one: the nearer layer wins then.
fn conflicting(sub: &ArgMatches, command: &clap::Command, arg: &clap::Arg) -> bool {
    let given = |other: &clap::Arg| sub.value_source(other.get_id().as_str()) == Some(ValueSource::CommandLine);
    let excludes = |a: &clap::Arg, b: &clap::Arg| {
        command.get_arg_conflicts_with(a).iter().any(|conflict| conflict.get_id() == b.get_id())
    };
    command.get_arguments().any(|other| given(other) && (excludes(arg, other) || excludes(other, arg)))
}

fn config(text: impl Into<String>) -> LayerError {
    LayerError::Config(text.into())
}

fn variable_of(option: &str) -> String {
    format!("CMBATCH_{}", option.to_ascii_uppercase().replace('-', "_"))
}

fn all_options() -> Vec<String> {
    let command = Cli::command();
    let of = |command: &clap::Command| -> Vec<String> {
        command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    };
    let mut names = of(&command);
    names.extend(command.get_subcommands().flat_map(of));
    names.retain(|name| !COMMAND_LINE_ONLY.contains(&name.as_str()));
    names.sort();
    names.dedup();
    names
}

/// An option that only the command line may say is not ignored elsewhere: without its `--limit` a run would send everything.
fn refuse_what_is_typed_only(environment: &BTreeMap<String, OsString>) -> Result<(), LayerError> {
    let harmless = ["rules", "help", "version"];
    for option in COMMAND_LINE_ONLY.into_iter().filter(|option| !harmless.contains(option)) {
        let variable = variable_of(option);
        if environment.contains_key(&variable) && !OTHER_VARIABLES.contains(&variable.as_str()) {
            return Err(config(format!(
                "{variable}: --{option} is taken from the command line alone; unset the variable"
            )));
        }
    }
    Ok(())
}

fn warn_of_unknown_variables(environment: &BTreeMap<String, OsString>, warnings: &mut Vec<String>) {
    let known: Vec<String> = all_options().iter().map(|option| variable_of(option)).collect();
    for name in environment.keys().filter(|name| name.starts_with("CMBATCH_")) {
        let is_tests = cfg!(debug_assertions) && TEST_VARIABLES.contains(&name.as_str());
        if !known.contains(name) && !OTHER_VARIABLES.contains(&name.as_str()) && !is_tests {
            warnings
                .push(format!("the environment variable {name} is not known and is ignored{}", nearest(name, &known)));
        }
    }
}

fn nearest(name: &str, known: &[String]) -> String {
    known
        .iter()
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map_or_else(String::new, |(_, other)| format!("; did you mean {other}?"))
}

/// Values of an option from the environment, else from the file.
fn lower_layer(
    option: &str,
    environment: &BTreeMap<String, OsString>,
    file: Option<&ConfigFile>,
) -> Result<Option<(Vec<String>, Origin)>, LayerError> {
    let variable = variable_of(option);
    if let Some(value) = environment.get(&variable).filter(|value| !value.is_empty()) {
        let text = value.to_str().ok_or_else(|| config(format!("{variable} is not UTF-8")))?;
        return Ok(Some((vec![text.to_owned()], Origin::Environment(variable))));
    }
    let Some(file) = file else { return Ok(None) };
    Ok(file.options.get(option).map(|values| (values.clone(), Origin::File(file.path.clone()))))
}

fn add_option(
    added: &mut Vec<OsString>,
    arg: &clap::Arg,
    option: &str,
    values: &[String],
    origin: &Origin,
) -> Result<(), LayerError> {
    let place = match origin {
        Origin::CommandLine => format!("--{option}"),
        Origin::Environment(name) => name.clone(),
        Origin::File(path) => format!("{}: {option}", shown(path)),
    };
    match arg.get_action() {
        ArgAction::SetTrue => match values {
            [value] if value.eq_ignore_ascii_case("true") || value == "1" => added.push(format!("--{option}").into()),
            [value] if value.eq_ignore_ascii_case("false") || value == "0" => {}
            _ => return Err(config(format!("{place}: write true or false"))),
        },
        ArgAction::Count => {
            let times: u8 = values
                .first()
                .and_then(|value| value.parse().ok())
                .filter(|n| *n <= 3)
                .ok_or_else(|| config(format!("{place}: write a number from 0 to 3")))?;
            added.extend((0..times).map(|_| OsString::from(format!("--{option}"))));
        }
        _ => added.extend(values.iter().map(|value| OsString::from(format!("--{option}={value}")))),
    }
    Ok(())
}

/// Reads the command line with the options of the lower layers; an error names the layer.
fn with_added(argv: &[OsString], added: Vec<OsString>, origins: &Origins) -> Result<ArgMatches, LayerError> {
    let end = argv.iter().position(|arg| arg == "--").unwrap_or(argv.len());
    let mut whole = argv[..end].to_vec();
    whole.extend(added);
    whole.extend_from_slice(&argv[end..]);
    Cli::command().try_get_matches_from(whole).map_err(|error| {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        // The command line alone was fine, so what is wrong comes from a lower layer.
        let option = text(ContextKind::InvalidArg).unwrap_or_default();
        let bare = option.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default().to_owned();
        let place = origins.name(&bare);
        let reason = std::error::Error::source(&error).map_or_else(
            || error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            ToString::to_string,
        );
        match text(ContextKind::InvalidValue) {
            Some(value) => config(format!("{place}: invalid value '{value}': {reason}")),
            None => config(format!("{place}: {reason}")),
        }
    })
}

/// A configuration file.
#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
    options: BTreeMap<String, Vec<String>>,
    templates: BTreeMap<String, Guid>,
}

impl ConfigFile {
    fn find(sub: &ArgMatches, environment: &BTreeMap<String, OsString>) -> Result<Option<Self>, LayerError> {
        let named: Option<PathBuf> = sub.get_one::<PathBuf>("config").cloned();
        let named = named.or_else(|| environment.get("CMBATCH_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from));
        let profile = sub.get_one::<String>("profile").cloned();
        let profile = match profile {
            Some(profile) => Some(profile),
            None => environment.get("CMBATCH_PROFILE").and_then(|v| v.to_str()).map(str::to_owned),
        };
        match named {
            Some(path) => Self::read(path, profile.as_deref(), Found::Named).map(Some),
            None if Path::new(DEFAULT_FILE).exists() => {
                let path = PathBuf::from(DEFAULT_FILE);
                let trust = platform::trust(&path)
                    .map_err(|error| config(format!("{DEFAULT_FILE}: cannot be examined: {error}")))?;
                match trust {
                    FileTrust::Ours => Self::read(path, profile.as_deref(), Found::InFolder).map(Some),
                    FileTrust::OthersMayWrite => Err(config(format!(
                        "{DEFAULT_FILE} of this folder is not read: others than you may write it or its folder; \
                         run chmod go-w on both, or name it with --config {DEFAULT_FILE}"
                    ))),
                    FileTrust::Unknown => Err(config(format!(
                        "{DEFAULT_FILE} of this folder is not read: who else may write it is not looked at on this system; \
                         name it with --config {DEFAULT_FILE}"
                    ))),
                }
            }
            None => match profile {
                Some(name) => Err(config(format!(
                    "profile '{name}' needs a configuration file: name it with --config FILE, or write {DEFAULT_FILE}"
                ))),
                None => Ok(None),
            },
        }
    }

    fn read(path: PathBuf, profile: Option<&str>, found: Found) -> Result<Self, LayerError> {
        let shown = shown(&path);
        let text =
            std::fs::read_to_string(&path).map_err(|error| config(format!("{shown}: cannot be read: {error}")))?;
        let mut table: toml::Table =
            toml::from_str(&text).map_err(|error| config(format!("{shown}: {}", error.to_string().trim_end())))?;
        let profiles = take_table(&mut table, "profile", &shown)?;
        let templates = read_templates(take_table(&mut table, "templates", &shown)?, &shown)?;
        let mut options = read_options(&table, &shown, found)?;
        for (name, value) in &profiles {
            let toml::Value::Table(table) = value else {
                return Err(config(format!("{shown}: [profile.{name}] is not a table")));
            };
            let of_profile = read_options(table, &format!("{shown}: [profile.{name}]"), found)?;
            if profile == Some(name) {
                options.extend(of_profile);
            }
        }
        if let Some(name) = profile.filter(|name| !profiles.contains_key(*name)) {
            let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let known =
                if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
            return Err(config(format!("{shown}: there is no [profile.{name}]; {known}")));
        }
        Ok(Self { path, options, templates })
    }
}

/// How a configuration file was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Named,
    InFolder,
}

fn take_table(table: &mut toml::Table, name: &str, shown: &str) -> Result<toml::Table, LayerError> {
    match table.remove(name) {
        None => Ok(toml::Table::new()),
        Some(toml::Value::Table(inner)) => Ok(inner),
        Some(_) => Err(config(format!("{shown}: {name} is not a table: write [{name}]"))),
    }
}

fn read_templates(table: toml::Table, shown: &str) -> Result<BTreeMap<String, Guid>, LayerError> {
    let read = |(name, value): (String, toml::Value)| {
        let guid = value.as_str().and_then(|text| text.trim().parse::<Guid>().ok()).filter(|guid| !guid.is_zero());
        let guid = guid.ok_or_else(|| {
            config(format!(
                "{shown}: [templates] {name}: {value} is not a GUID: write \"8-4-4-4-12 hexadecimal digits\""
            ))
        })?;
        Ok((name.trim().to_owned(), guid))
    };
    let templates: BTreeMap<String, Guid> = table.into_iter().map(read).collect::<Result<_, _>>()?;
    // Rows may write names in any case, so two names that differ in case alone would be one.
    let mut folded = BTreeMap::new();
    for name in templates.keys() {
        if let Some(other) = folded.insert(name.to_lowercase(), name) {
            return Err(config(format!(
                "{shown}: [templates] {other} and {name} differ in case alone; rename one of them"
            )));
        }
    }
    Ok(templates)
}

fn read_options(table: &toml::Table, place: &str, found: Found) -> Result<BTreeMap<String, Vec<String>>, LayerError> {
    let known = all_options();
    let mut options = BTreeMap::new();
    for (key, value) in table {
        let option = key.replace('_', "-");
        if COMMAND_LINE_ONLY.contains(&option.as_str()) {
            return Err(config(format!(
                "{place}: {key} is not an option of a file: it is taken from the command line alone"
            )));
        }
        if !known.contains(&option) {
            return Err(config(format!("{place}: {key} is not an option{}", nearest(&option, &known))));
        }
        if found == Found::InFolder && NOT_FROM_FOUND_FILE.contains(&option.as_str()) {
            return Err(config(format!(
                "{place}: {key} is not taken from a file that was merely found; name it with --config {DEFAULT_FILE}"
            )));
        }
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => Some(text.clone()),
            toml::Value::Integer(number) => Some(number.to_string()),
            toml::Value::Boolean(flag) => Some(flag.to_string()),
            _ => None,
        };
        let values = match value {
            toml::Value::Array(values) => values.iter().map(text).collect::<Option<Vec<String>>>(),
            value => text(value).map(|text| vec![text]),
        };
        let values = values.ok_or_else(|| config(format!("{place}: {key}: write a text, a number, true or false")))?;
        options.insert(option, values);
    }
    Ok(options)
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
