//! What a ledger says about how its run is sent: for commands that have no manifest to ask.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::args::{DoubtArgs, PaceArgs, RehearsalArgs, ServerArgs};
use crate::cli::config::World;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::layers::Origins;
use crate::cli::output::Shell;
use crate::cli::reach::{Destination, Reach, ReachArgs};
use crate::ledger::{LedgerError, Reader, RunInfo};
use crate::platform::{FileTrust, trust};
use crate::request::{DataEncoding, Guid, TagPosition, printable};
use crate::submit::Wire;
use crate::validate::{Defaults, ExtraColumns, OnDuplicate, Rules};

/// Returns the value of an option that shaped the rows of the run.
fn option<'r>(run: &'r RunInfo, name: &str) -> Option<&'r str> {
    run.identity.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Returns what turns the run's rows into wire bodies.
pub(crate) fn wire(run: &RunInfo) -> Wire {
    let tag_position = match (option(run, "tag"), option(run, "tag-position")) {
        (Some("no"), _) => TagPosition::None,
        (_, Some("end")) => TagPosition::End,
        _ => TagPosition::Start,
    };
    let data = match option(run, "datacollection") {
        Some("string") => DataEncoding::String,
        _ => DataEncoding::Array,
    };
    Wire { run: run.id, key: run.key.clone(), tag_position, data }
}

/// Returns the rules that the run's rows were checked by.
pub(crate) fn rules(run: &RunInfo, templates: BTreeMap<String, Guid>) -> Rules {
    Rules {
        defaults: Defaults {
            kind: option(run, "type").and_then(|text| text.parse().ok()),
            template: option(run, "template").and_then(|text| text.parse().ok()),
            comment: option(run, "comment").map(str::to_owned),
            priority: option(run, "priority").and_then(|text| text.parse().ok()),
        },
        templates,
        target_self: option(run, "target-self") == Some("yes"),
        on_duplicate: match option(run, "on-duplicate") {
            Some("first") => OnDuplicate::First,
            Some("send") => OnDuplicate::Send,
            _ => OnDuplicate::Error,
        },
        // The columns that the run's own manifests had stand in its rejects.
        extra_columns: ExtraColumns::Keep,
        allow_empty: false,
        profile_property: option(run, "profile-property").map(str::to_owned),
        tagged: option(run, "tag") != Some("no"),
    }
}

/// What a command on a ledger was given to reach the server.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) server: &'a ServerArgs,
    pub(crate) rehearsal: &'a RehearsalArgs,
    /// None where nothing is sent.
    pub(crate) pace: Option<&'a PaceArgs>,
    pub(crate) doubt: Option<&'a DoubtArgs>,
}

/// Returns how the server of a run is reached: the one that its ledger names, where none was given, and no other.
pub(crate) fn reach(
    reader: &Reader,
    path: &Path,
    given: &Given<'_>,
    origins: &Origins,
    world: World,
    shell: &Shell,
) -> Result<Reach, Failure> {
    let Given { server: given_server, rehearsal: given_rehearsal, pace, doubt } = *given;
    let rehearsal = rehearsal(reader, given_rehearsal);
    let in_ledger = server(reader, path, given_server, shell)?;
    let args = ReachArgs { server: given_server, rehearsal: &rehearsal, pace, doubt, in_ledger: in_ledger.as_deref() };
    let reach = Reach::resolve(&args, origins, world)?;
    check_destination(reader, &reach.destination, path)?;
    Ok(reach)
}

/// Refuses a ledger that another process holds.
pub(crate) fn check_free(reader: &Reader, path: &Path) -> Result<(), Failure> {
    match reader.holder()? {
        None => Ok(()),
        Some(holder) => Err(LedgerError::InUse { path: path.to_owned(), holder: Some(Box::new(holder)) }.into()),
    }
}

/// Returns the server that a ledger names, for commands that were given none: only where nobody else can have written it there.
fn server(reader: &Reader, path: &Path, given: &ServerArgs, shell: &Shell) -> Result<Option<String>, Failure> {
    let identity = &reader.run().identity;
    if identity.rehearsal || given.server.is_some() {
        return Ok(None);
    }
    let why = match trust(path).map_err(|source| LedgerError::Unreadable { path: path.to_owned(), source })? {
        FileTrust::Ours => return Ok(Some(identity.server.clone())),
        FileTrust::OthersMayWrite => "others than you may write the ledger or its folder",
        FileTrust::Unknown => "who else may write the ledger is not looked at on this system",
    };
    shell.warn(&format!(
        "the server that the ledger names is not used, because {why}; give --server {}",
        printable(&identity.server)
    ));
    Ok(None)
}

/// Returns the rehearsal options of a command on a ledger: a rehearsal goes on as one.
fn rehearsal(reader: &Reader, args: &RehearsalArgs) -> RehearsalArgs {
    RehearsalArgs { simulate: args.simulate || reader.run().identity.rehearsal, ..args.clone() }
}

/// Refuses to send a run anywhere but where it was sent first.
fn check_destination(reader: &Reader, destination: &Destination, path: &Path) -> Result<(), Failure> {
    let identity = &reader.run().identity;
    let now = match destination {
        Destination::Server(endpoint) => endpoint.base.to_string(),
        Destination::Simulator(_) => "simulator".to_owned(),
    };
    if now == identity.server {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!(
            "the ledger {} belongs to another server; nothing was sent\n  server: {} in the ledger, {now} now",
            path.display(),
            printable(&identity.server)
        ),
    )
    .with_next("leave --server out, or give this run a ledger of its own"))
}

/// Refuses a run that was loaded and never told to run.
pub(crate) fn check_started(run: &RunInfo, path: &Path) -> Result<(), Failure> {
    if run.started_at.is_some() {
        return Ok(());
    }
    let names: Vec<String> = run.parts.iter().map(|part| printable(&part.name)).collect();
    Err(Failure::new(
        Exit::Usage,
        format!("the run in {} was loaded and not told to run; nothing was sent", path.display()),
    )
    .with_next(format!("submit {} again, with the same options", names.join(" "))))
}
