//! What the tests of the ledger and of those who use it share: sessions, rows and ledgers that nobody wrote by hand.

use std::path::Path;

use jiff::Timestamp;

use super::AuditEvent;
use super::DoubtfulRow;
use super::Item;
use super::Ledger;
use super::LedgerError;
use super::LoadRow;
use super::ManifestPart;
use super::Resolution;
use super::RowPlace;
use super::RunIdentity;
use super::SessionInfo;
use crate::machine::Machine;
use crate::request::{AttemptNo, CreateRequest, ErrorCode, NamedValues, RequestType, RowId};

impl Ledger {
    /// Decides about rows, and blocks the thread until that is durable.
    pub(crate) fn resolve_blocking(
        &self,
        resolutions: Vec<Resolution>,
        event: Option<AuditEvent>,
    ) -> Result<(), LedgerError> {
        self.ask_blocking(|writer| writer.resolve(resolutions, event))
    }
}

pub(crate) fn row(number: u32) -> RowId {
    RowId::new(number).unwrap()
}

/// A session that submits, as this account where there is one.
pub(crate) fn session(started_at: Timestamp, account: Option<&str>) -> SessionInfo {
    SessionInfo {
        version: "0.1.0".to_owned(),
        user: "alice".to_owned(),
        host: "ops1".to_owned(),
        pid: 4711,
        command: "submit".to_owned(),
        options: account.map(|name| (SessionInfo::ACCOUNT.to_owned(), name.to_owned())).into_iter().collect(),
        started_at,
    }
}

/// A row with no more than it needs.
pub(crate) fn item(number: u32, request: CreateRequest) -> Item {
    Item {
        row: row(number),
        place: RowPlace { part: 1, part_row: number, line: u64::from(number) + 1 },
        id: None,
        request,
        notes: NamedValues::new(),
        skipped: None,
    }
}

/// The first manifest of a run.
pub(crate) fn part(n_rows: u32) -> ManifestPart {
    ManifestPart {
        part: 1,
        name: "wave.csv".to_owned(),
        size_bytes: 4096,
        sha256: [0xAB; 32],
        first_row: row(1),
        n_rows,
    }
}

/// Makes a ledger with a row for each of these requests, and starts it.
pub(crate) fn ledger_of(
    machine: &Machine,
    path: &Path,
    server: &str,
    session: &SessionInfo,
    requests: &[CreateRequest],
) -> Ledger {
    let identity = RunIdentity { server: server.to_owned(), rehearsal: false, options: Vec::new() };
    let mut ledger = Ledger::create(machine, path, &identity, session, |loader| {
        for (number, request) in (1..).zip(requests) {
            loader.add(LoadRow::Item(Box::new(item(number, request.clone()))))?;
        }
        Ok::<_, LedgerError>(vec![part(u32::try_from(requests.len()).unwrap())])
    })
    .unwrap();
    ledger.start_run().unwrap();
    ledger
}

/// A row whose first attempt ended in doubt for this reason, after two minutes.
pub(crate) fn doubtful(code: ErrorCode) -> DoubtfulRow {
    let Item { row, place, id, request, .. } = item(1, CreateRequest::new(RequestType::Enroll));
    DoubtfulRow {
        row,
        place,
        id,
        request,
        attempt: AttemptNo::FIRST,
        session: 1,
        recorded_by: 1,
        code: Some(code),
        started_at: "2026-03-01T08:00:00Z".parse().ok(),
        recorded_at: "2026-03-01T08:02:10Z".parse().unwrap(),
        counted_attempts: 1,
    }
}
