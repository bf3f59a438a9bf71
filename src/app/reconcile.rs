//! Settling what is in doubt, and sending nothing.

use std::path::Path;

use tokio::sync::watch;

use super::ending::{Ending, Lead};
use super::env::Env;
use super::failure::Failure;
use super::job::{Job, Sending};
use super::stored::{check_free, wire_of};
use crate::ledger::{Ledger, Reader};
use crate::reconcile::Lists;
use crate::submit::{Calls, StopLevel};

/// Settles the rows in doubt of a ledger by the server's list. With `always` the list is read even where none is in doubt, and was
/// read after all that was sent: it may show what no answer told.
///
/// # Errors
/// The ledger is in use, or failed. A list that cannot be read is none: the ending says so.
pub async fn reconcile<S: Calls + Lists>(
    path: &Path,
    sending: &Sending,
    always: bool,
    env: &Env<'_, S>,
    control: watch::Receiver<StopLevel>,
) -> Result<Ending, Failure> {
    let reader = Reader::open(path)?;
    check_free(&reader, path)?;
    if reader.n_in_doubt()? == 0 && !always && reader.is_looked_through()? {
        return Ok(Ending { lead: Lead::NothingInDoubt, ..Ending::of(&reader, path)? });
    }
    let wire = wire_of(reader.run());
    let before = reader.extent()?;
    drop(reader);
    let ledger = Ledger::open(env.machine, path, env.session)?;
    let mut job = Job::begin(env, path, ledger, wire, sending, Some(before)).await?;
    if always {
        job.audit_all();
    }
    job.settle(env, control).await
}
