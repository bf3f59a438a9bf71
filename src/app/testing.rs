//! What the tests of use cases share: ledgers in one folder, and a machine whose clock the test turns.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::state::StateFolder;
use crate::ledger::{
    AttemptRecord, Item, Ledger, LedgerError, LoadRow, ManifestPart, Requeue, RowPlace, RunIdentity, SessionInfo, Step,
};
use crate::machine::Clock;
use crate::machine::hand::HandClock;
use crate::request::{CreateRequest, Guid, NamedValues, Outcome, RequestType, RequestUri, RequestUuid, RowId};

pub(super) const SERVER: &str = "https://cm.example.test/CertificateManagement";

pub(super) struct Place {
    pub(super) folder: TempDir,
    pub(super) clock: Arc<HandClock>,
}

pub(super) fn row(number: u32) -> RowId {
    RowId::new(number).unwrap()
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
        SessionInfo {
            version: "0.1.0".to_owned(),
            user: "alice".to_owned(),
            host: "ops1".to_owned(),
            pid: 4711,
            command: "submit".to_owned(),
            options: vec![(SessionInfo::ACCOUNT.to_owned(), account.to_owned())],
            started_at: self.clock.now(),
        }
    }

    /// Makes a ledger with a row for each target.
    pub(super) fn ledger(&self, name: &str, targets: &[u8]) -> Ledger {
        let identity = RunIdentity { server: SERVER.to_owned(), rehearsal: false, options: Vec::new() };
        let n_rows = u32::try_from(targets.len()).unwrap();
        let (machine, path, session) = (self.clock.machine(), self.path(name), self.session("svc"));
        let mut ledger = Ledger::create(&machine, &path, &identity, &session, |loader| {
            for (number, target) in (1..).zip(targets) {
                loader.add(LoadRow::Item(Box::new(Item {
                    row: row(number),
                    place: RowPlace { part: 1, part_row: number, line: u64::from(number) + 1 },
                    id: None,
                    request: request(*target),
                    notes: NamedValues::new(),
                    skipped: None,
                })))?;
            }
            let name = name.to_owned();
            let part = ManifestPart { part: 1, name, size_bytes: 1, sha256: [7; 32], first_row: row(1), n_rows };
            Ok::<_, LedgerError>(vec![part])
        })
        .unwrap();
        ledger.start_run().unwrap();
        ledger
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
