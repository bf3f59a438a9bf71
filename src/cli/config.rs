//! From options to one immutable configuration: the only place that knows all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args::{
    DataCollectionArg, ExtraColumnsArg, FindingArgs, GuardArgs, OnDuplicateArg, OnInvalidArg, PartArgs, ReadingArgs,
    RowArgs, SubmitArgs, TagPositionArg, ValidateArgs, WireArgs,
};
use super::layers::Origins;
use super::output::shown;
use super::reach::{Reach, ReachArgs};
use super::sign_in::Secrets;
use crate::app::{Existing, Exit, Failure, Ids, Part, chain};
use crate::ledger::TEMPLATE_NAME;
use crate::manifest::{ReadOptions, Source};
use crate::platform::{Overwrite, is_of_database, same_file};
use crate::request::{DataEncoding, Guid, TagPosition};
use crate::simulator::SimulatorError;
use crate::validate::{Defaults, ExtraColumns, OnDuplicate, Rules};

/// An option that cannot be used, named with the place where it was set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// What `validate` needs.
#[derive(Debug)]
pub(crate) struct ValidateConfig {
    pub(crate) sources: Vec<Source>,
    pub(crate) reading: ReadOptions,
    pub(crate) rules: Rules,
    pub(crate) findings: Findings,
}

/// Where findings are written.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    pub(crate) errors: Option<PathBuf>,
    pub(crate) rejects: Option<PathBuf>,
    pub(crate) overwrite: Overwrite,
}

/// What invalid rows do to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnInvalid {
    Abort,
    Skip,
}

/// What `submit` needs.
#[derive(Debug)]
pub(crate) struct SubmitConfig {
    pub(crate) checking: ValidateConfig,
    pub(crate) on_invalid: OnInvalid,
    pub(crate) reach: Reach,
    pub(crate) data: DataEncoding,
    pub(crate) tag_position: TagPosition,
    pub(crate) ledger: Option<PathBuf>,
    pub(crate) ledger_dir: Option<PathBuf>,
    pub(crate) existing: Existing,
    pub(crate) dry_run: bool,
    pub(crate) confirm: Option<u64>,
    pub(crate) part: PartArgs,
    /// The options that shape rows, for the run's identity.
    pub(crate) identity: Vec<(String, String)>,
}

/// What the world outside the options says.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) templates: BTreeMap<String, Guid>,
    pub(crate) secrets: Secrets,
    pub(crate) user: String,
    /// Where the environment has state kept.
    pub(crate) state_dir: Option<PathBuf>,
}

impl ValidateConfig {
    pub(crate) fn resolve(args: &ValidateArgs, origins: &Origins, world: &World) -> Result<Self, ConfigError> {
        checking(&args.manifests, &args.reading, &args.rows, &args.findings, true, origins, world)
    }
}

fn checking(
    manifests: &[PathBuf],
    reading: &ReadingArgs,
    rows: &RowArgs,
    findings: &FindingArgs,
    tagged: bool,
    origins: &Origins,
    world: &World,
) -> Result<ValidateConfig, ConfigError> {
    let sources: Vec<Source> = manifests.iter().map(|path| source(path)).collect();
    if sources.iter().filter(|source| matches!(source, Source::Stdin)).count() > 1 {
        return Err(ConfigError("standard input (-) can be given only once".to_owned()));
    }
    refuse_inputs(manifests, findings)?;
    check_findings(findings, origins)?;
    let rules = Rules {
        defaults: Defaults {
            kind: rows.kind,
            template: rows.template.as_deref().map(|text| template(text, origins, world)).transpose()?,
            comment: rows.comment.clone(),
            priority: rows.priority,
        },
        templates: world.templates.clone(),
        target_self: rows.target_self,
        on_duplicate: match rows.on_duplicate {
            OnDuplicateArg::Error => OnDuplicate::Error,
            OnDuplicateArg::First => OnDuplicate::First,
            OnDuplicateArg::Send => OnDuplicate::Send,
        },
        extra_columns: extra_columns(rows.extra_columns),
        allow_empty: rows.allow_empty,
        profile_property: rows.profile_property.clone(),
        tagged,
    };
    rules.check().map_err(|error| ConfigError(error.to_string()))?;
    Ok(ValidateConfig {
        sources,
        reading: ReadOptions { format: reading.input_format, encoding: reading.encoding, delimiter: reading.delimiter },
        rules,
        findings: Findings {
            errors: findings.errors.clone(),
            rejects: findings.rejects.clone(),
            overwrite: overwrite(findings.force),
        },
    })
}

fn check_findings(findings: &FindingArgs, origins: &Origins) -> Result<(), ConfigError> {
    if let (Some(errors), Some(rejects)) = (&findings.errors, &findings.rejects)
        && same_file(errors, rejects)
    {
        let names = (origins.name("errors"), origins.name("rejects"));
        return Err(ConfigError(format!("{} and {} name the same file {}", names.0, names.1, shown(errors))));
    }
    let packed = |path: &Path| path.extension().is_some_and(|end| end == "gz" || end == "zst");
    if let Some(rejects) = findings.rejects.as_ref().filter(|path| packed(path)) {
        let name = origins.name("rejects");
        return Err(ConfigError(format!("{name}: {} is not packed; take a name without .gz or .zst", shown(rejects))));
    }
    Ok(())
}

/// Returns what `--limit` and `--ids` ask for; none where they ask for all rows.
pub(crate) fn part(args: &PartArgs) -> Result<Option<Part>, Failure> {
    if args.limit.is_none() && args.ids.is_none() {
        return Ok(None);
    }
    Ok(Some(Part {
        limit: args.limit.map(|limit| limit.get() as usize),
        ids: args.ids.as_deref().map(Ids::read).transpose()?,
    }))
}

/// Returns what `--extra-columns` means.
pub(crate) const fn extra_columns(arg: ExtraColumnsArg) -> ExtraColumns {
    match arg {
        ExtraColumnsArg::Error => ExtraColumns::Error,
        ExtraColumnsArg::Keep => ExtraColumns::Keep,
    }
}

/// Returns what `--force` means.
pub(crate) const fn overwrite(force: bool) -> Overwrite {
    if force { Overwrite::Allow } else { Overwrite::Refuse }
}

fn source(path: &Path) -> Source {
    if path.as_os_str() == "-" { Source::Stdin } else { Source::File(path.to_owned()) }
}

/// Refuses outputs that would take the place of what is read.
fn refuse_inputs(inputs: &[PathBuf], findings: &FindingArgs) -> Result<(), ConfigError> {
    let is_input = |output: &&PathBuf| inputs.iter().any(|input| same_file(input, output));
    match [&findings.errors, &findings.rejects].into_iter().flatten().find(is_input) {
        Some(output) => Err(ConfigError(format!("{} is an input: an output may not replace it", shown(output)))),
        None => Ok(()),
    }
}

/// Refuses an output that would take the place of a ledger, or of a file beside it, which may be yet to come.
pub(crate) fn refuse_ledger(output: &Path, ledger: &Path) -> Result<(), ConfigError> {
    if !is_of_database(output, ledger) {
        return Ok(());
    }
    let (output, ledger) = (shown(output), shown(ledger));
    Err(ConfigError(if output == ledger {
        format!("{output} is the ledger: an output may not replace it; take another name")
    } else {
        format!("{output} belongs to the ledger {ledger}: an output may not replace it; take another name")
    }))
}

fn template(text: &str, origins: &Origins, world: &World) -> Result<Guid, ConfigError> {
    let named = || world.templates.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, guid)| *guid);
    text.parse::<Guid>().ok().filter(|guid| !guid.is_zero()).or_else(named).ok_or_else(|| {
        let names: Vec<&str> = world.templates.keys().map(String::as_str).collect();
        let known = if names.is_empty() {
            "the configuration has no [templates]".to_owned()
        } else {
            format!("[templates] has {}", names.join(", "))
        };
        ConfigError(format!(
            "{}: '{text}' is neither a GUID nor the name of a template; {known}",
            origins.name("template")
        ))
    })
}

impl SubmitConfig {
    pub(crate) fn resolve(args: &SubmitArgs, origins: &Origins, world: World) -> Result<Self, ConfigError> {
        let tagged = !args.wire.no_tag;
        let SubmitArgs { manifests, server, rehearsal, guards, part, pace, doubt, reading, rows, wire, findings } =
            args;
        let checking = checking(manifests, reading, rows, findings, tagged, origins, &world)?;
        refuse_inputs(part.ids.as_slice(), findings)?;
        check_guards(manifests, guards, origins)?;
        let identity = identity(&checking, rows, wire, guards);
        let reach = ReachArgs { server, rehearsal, pace: Some(pace), doubt: Some(doubt), in_ledger: None };
        Ok(Self {
            checking,
            on_invalid: match guards.on_invalid {
                OnInvalidArg::Abort => OnInvalid::Abort,
                OnInvalidArg::Skip => OnInvalid::Skip,
            },
            reach: Reach::resolve(&reach, origins, world)?,
            data: match wire.datacollection {
                DataCollectionArg::Array => DataEncoding::Array,
                DataCollectionArg::String => DataEncoding::String,
            },
            tag_position: match (wire.no_tag, wire.tag_position) {
                (true, _) => TagPosition::None,
                (false, TagPositionArg::Start) => TagPosition::Start,
                (false, TagPositionArg::End) => TagPosition::End,
            },
            ledger: guards.ledger.clone(),
            ledger_dir: guards.ledger_dir.clone(),
            existing: match (guards.new, guards.append) {
                (true, _) => Existing::Refuse,
                (false, true) => Existing::Append,
                (false, false) => Existing::GoOn,
            },
            dry_run: guards.dry_run,
            confirm: guards.confirm,
            part: part.clone(),
            identity,
        })
    }
}

fn check_guards(manifests: &[PathBuf], guards: &GuardArgs, origins: &Origins) -> Result<(), ConfigError> {
    // Beside a pipe such as <(command) no ledger can stand either.
    let is_pipe = |path: &PathBuf| path.as_os_str() == "-" || path.metadata().is_ok_and(|metadata| !metadata.is_file());
    if guards.append && guards.ledger.is_none() {
        return Err(ConfigError(format!(
            "{} needs the ledger that the manifest is taken into: add --ledger FILE",
            origins.name("append")
        )));
    }
    let nameless = manifests.len() > 1 || manifests.iter().any(is_pipe);
    if nameless && guards.ledger.is_none() {
        return Err(ConfigError(
            "standard input, pipes and several manifests need a ledger of their own: add --ledger FILE, such as --ledger run.ledger"
                .to_owned(),
        ));
    }
    if let Some(ledger) = guards.ledger.as_ref().filter(|ledger| manifests.iter().any(|input| same_file(input, ledger)))
    {
        return Err(ConfigError(format!("{}: {} is the manifest", origins.name("ledger"), shown(ledger))));
    }
    Ok(())
}

/// The options that shape rows, with their values as text.
fn identity(checking: &ValidateConfig, rows: &RowArgs, wire: &WireArgs, guards: &GuardArgs) -> Vec<(String, String)> {
    let rules = &checking.rules;
    let mut options: Vec<(&str, String)> = vec![
        ("tag", if wire.no_tag { "no" } else { "yes" }.to_owned()),
        ("tag-position", format!("{:?}", wire.tag_position).to_lowercase()),
        ("datacollection", format!("{:?}", wire.datacollection).to_lowercase()),
        ("target-self", if rows.target_self { "yes" } else { "no" }.to_owned()),
        ("on-invalid", format!("{:?}", guards.on_invalid).to_lowercase()),
        ("on-duplicate", format!("{:?}", rows.on_duplicate).to_lowercase()),
    ];
    let mut add = |name: &'static str, value: Option<String>| options.extend(value.map(|value| (name, value)));
    add("type", rules.defaults.kind.map(|kind| kind.to_string()));
    add("template", rules.defaults.template.map(|guid| guid.to_string()));
    add("comment", rules.defaults.comment.clone());
    add("priority", rules.defaults.priority.map(|priority| priority.to_string()));
    add("profile-property", rules.profile_property.clone());
    add("encoding", checking.reading.encoding.map(|encoding| encoding.to_string()));
    add("delimiter", checking.reading.delimiter.map(|delimiter| delimiter.to_string()));
    let named = |(name, guid): (&String, &Guid)| (format!("{TEMPLATE_NAME}{name}"), guid.to_string());
    let names = rules.templates.iter().map(named);
    let mut options: Vec<_> = options.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(names).collect();
    options.sort();
    options
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<SimulatorError> for Failure {
    fn from(error: SimulatorError) -> Self {
        Self::new(Exit::Usage, chain(&error))
    }
}
