//! What the tests of use cases share: ledgers in one folder, and a machine whose clock the test turns.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::state::StateFolder;
pub(super) use crate::ledger::testing::row;
use crate::ledger::{AttemptRecord, Ledger, Requeue, SessionInfo, Step, testing};
use crate::machine::Clock;
use crate::machine::hand::HandClock;
use crate::request::{CreateRequest, Guid, Outcome, RequestType, RequestUri, RequestUuid};

pub(super) const SERVER: &str = "https://cm.example.test/CertificateManagement";

pub(super) struct Place {
    pub(super) folder: TempDir,
    pub(super) clock: Arc<HandClock>,
}

pub(super) fn guid(byte: u8) -> Guid {
    Guid::from_bytes([byte; 16])
}

pub(super) fn uuid(byte: u8) -> RequestUuid {
    RequestUuid::new(guid(byte))
}

/// What is asked for a target.
pub(super) fn request(target: u8) -> CreateRequest {
    let (target, template) = (Some(guid(target)), Some(guid(0x99)));
    CreateRequest { target, template, ..CreateRequest::new(RequestType::Enroll) }
}

impl Place {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: HandClock::standing() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn state(&self) -> StateFolder {
        StateFolder::open(&self.path("state"), SERVER).unwrap()
    }

    /// A session as this account.
    pub(super) fn session(&self, account: &str) -> SessionInfo {
        testing::session(self.clock.now(), Some(account))
    }

    /// Makes a ledger with a row for each target.
    pub(super) fn ledger(&self, name: &str, targets: &[u8]) -> Ledger {
        let requests: Vec<_> = targets.iter().map(|target| request(*target)).collect();
        testing::ledger_of(&self.clock.machine(), &self.path(name), SERVER, &self.session("svc"), &requests)
    }
}

/// Sends the rows of a new ledger, in their order, with these outcomes.
pub(super) fn send(ledger: &Ledger, outcomes: impl IntoIterator<Item = Outcome>) {
    let outcomes: Vec<_> = outcomes.into_iter().collect();
    let claim = u32::try_from(outcomes.len()).unwrap();
    let claimed = ledger.step_blocking(Step { number: 1, claim, ..Step::default() }).unwrap().rows;
    let record = claimed.into_iter().zip(outcomes).map(|(claimed, outcome)| AttemptRecord {
        row: claimed.row,
        attempt: claimed.attempt,
        started_at: ledger.now(),
        latency_us: 1,
        outcome,
        then: Requeue::Anyone,
    });
    let record = record.collect();
    ledger.step_blocking(Step { number: 2, record, ..Step::default() }).unwrap();
}

pub(super) fn created(byte: u8) -> Outcome {
    Outcome::Created(RequestUri::published(uuid(byte)).unwrap())
}
