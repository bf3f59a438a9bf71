//! The server of a run, for commands that have a ledger and no manifest.

use std::path::Path;

use crate::app::{Exit, Failure, Next, StoppedBy};
use crate::cli::args::{DoubtArgs, PaceArgs, RehearsalArgs, ServerArgs};
use crate::cli::config::World;
use crate::cli::invocation::Invocation;
use crate::cli::layers::Origins;
use crate::cli::output::Shell;
use crate::cli::reach::{Destination, Reach, ReachArgs};
use crate::ledger::{LedgerError, Reader, SessionInfo};
use crate::platform::{FileTrust, trust};
use crate::request::printable;

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

/// Returns the server that a ledger names, for commands that were given none: only where nobody else can have written it there.
fn server(reader: &Reader, path: &Path, given: &ServerArgs, shell: &Shell) -> Result<Option<String>, Failure> {
    let identity = &reader.run().identity;
    if identity.rehearsal || given.server.is_some() {
        return Ok(None);
    }
    let why = match trust(path).map_err(|source| LedgerError::Unreadable(path.to_owned(), source))? {
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

/// Returns what to do while another process works on a ledger, which refuses all that would change it until then: this command again.
pub(crate) fn while_busy(
    reader: &Reader,
    path: &Path,
    words: &[&str],
    invocation: &Invocation,
) -> Result<Option<String>, LedgerError> {
    let command = invocation.command().unwrap_or("status");
    let told = |SessionInfo { command: work, user, host, pid, .. }: SessionInfo| {
        let again = invocation.shown_next(&Next::on_ledger(command, path, words));
        let (user, host) = (printable(&user), printable(&host));
        format!("{work} of {user} on {host} (pid {pid}) is at work on it; wait until it has ended, then: {again}")
    };
    Ok(reader.holder()?.map(told))
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
    .stopping(StoppedBy::OtherRun)
    .with_next("leave --server out, or give this run a ledger of its own"))
}
