//! What the tests of the ledger share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::ledger::history::{RowHistory, history_of};
pub(super) use crate::ledger::testing::{part, row};
use crate::ledger::{
    AttemptRecord, AuditEvent, CreateError, InvalidItem, Item, Ledger, LedgerError, LoadRow, Loader, ManifestPart,
    Reader, Requeue, Resolution, ResultRow, RowState, RowVerdict, RunIdentity, SessionInfo, Source, Step, StepAnswer,
    testing,
};
use crate::machine::{Chance, Clock, Machine, Threads};
use crate::request::{
    AttemptNo, CorrelationId, CreateRequest, ErrorCode, Fault, Guid, NamedValue, NamedValues, Outcome, RequestType,
    RequestUri, RequestUuid,
};

/// The machine that the tests run on.
pub(super) fn machine() -> Machine {
    Machine::system()
}

/// The same with its clocks and random bytes, for a writer that works with these threads.
pub(super) fn machine_of(threads: Threads) -> Machine {
    Machine::new(Arc::new(Real), Arc::new(Real), threads)
}

struct Real;

impl Clock for Real {
    fn since_boot(&self) -> Duration {
        machine().since_boot()
    }

    fn now(&self) -> Timestamp {
        machine().now()
    }
}

impl Chance for Real {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        machine().fill(bytes)
    }
}

/// The clocks of a machine, set by hand.
#[derive(Debug)]
pub(super) struct HandClock(Mutex<(Duration, Timestamp)>);

impl HandClock {
    pub(super) fn at(wall: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new((Duration::from_secs(1000), wall))))
    }

    /// Lets time pass by the clock since boot, and sets the other one.
    pub(super) fn pass(&self, passed: Duration, wall: Timestamp) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0 + passed, wall);
    }

    pub(super) fn machine(self: &Arc<Self>) -> Machine {
        Machine::new(Arc::<Self>::clone(self), Arc::new(Real), Threads::One)
    }
}

impl Clock for HandClock {
    fn since_boot(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().1
    }
}

/// A folder with a ledger in it.
pub(super) struct Place {
    _folder: TempDir,
    pub(super) path: PathBuf,
    pub(super) machine: Machine,
}

impl Place {
    pub(super) fn new() -> Self {
        Self::on(machine())
    }

    pub(super) fn on(machine: Machine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wave.ledger");
        Self { _folder: folder, path, machine }
    }

    /// A place for a ledger whose writer has a thread, and one for a ledger whose writer has none.
    pub(super) fn both() -> [Self; 2] {
        [Threads::Many, Threads::One].map(|threads| Self::on(machine_of(threads)))
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap()
    }

    /// Returns the names of the files in the folder, but for those that are nothing but a lock, on systems that need one.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = self.folder().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        if !cfg!(any(target_os = "linux", target_os = "android")) {
            names.retain(|name| !name.ends_with(".lock"));
        }
        names.sort();
        names
    }

    /// Makes a ledger of these rows.
    pub(super) fn created(&self, rows: Vec<LoadRow>) -> Ledger {
        create_on(&self.machine, &self.path, rows).unwrap()
    }

    /// Makes a ledger of these rows, and starts it.
    pub(super) fn started(&self, rows: Vec<LoadRow>) -> Ledger {
        let mut ledger = self.created(rows);
        ledger.start_run().unwrap();
        ledger
    }

    pub(super) fn open(&self) -> Ledger {
        Ledger::open(&self.machine, &self.path, &session("replay")).unwrap()
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::open(&self.path).unwrap()
    }

    /// Returns the states of all rows, in order.
    pub(super) fn states(&self) -> Vec<RowState> {
        self.reader().page(0, u32::MAX, &[]).unwrap().into_iter().map(|row| row.state).collect()
    }

    /// Returns all that was appended about a row.
    pub(super) fn history(&self, number: u32) -> RowHistory {
        self.reader().read(|conn| history_of(conn, row(number))).unwrap()
    }

    /// Returns the audit trail.
    pub(super) fn events(&self) -> Vec<Entry> {
        let conn = rusqlite::Connection::open(&self.path).unwrap();
        let mut statement = conn.prepare("SELECT session, kind, detail, at FROM events ORDER BY event").unwrap();
        let events = statement.query_map([], |line| {
            let at = Timestamp::from_microsecond(line.get(3)?).unwrap();
            Ok(Entry { session: line.get(0)?, kind: line.get(1)?, detail: line.get(2)?, at })
        });
        events.unwrap().map(Result::unwrap).collect()
    }

    pub(super) fn row(&self, number: u32) -> ResultRow {
        let mut page = self.reader().page(number - 1, 1, &[]).unwrap();
        assert_eq!(page[0].row, row(number));
        page.remove(0)
    }
}

/// An entry of the audit trail.
pub(super) struct Entry {
    pub(super) session: u32,
    pub(super) kind: String,
    pub(super) detail: String,
    pub(super) at: Timestamp,
}

/// Writes an event into the audit trail, and nothing else.
pub(super) fn write_event(ledger: &Ledger, kind: &str, detail: &str) -> Result<(), LedgerError> {
    let event = AuditEvent { kind: kind.to_owned(), detail: detail.to_owned() };
    ledger.resolve_blocking(Vec::new(), Some(event))
}

pub(super) fn attempt(number: u32) -> AttemptNo {
    AttemptNo::new(number).unwrap()
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn identity() -> RunIdentity {
    RunIdentity {
        server: "https://cm.example.test/CertificateManagement".to_owned(),
        rehearsal: false,
        options: vec![("comment".to_owned(), "new \"hire\"".to_owned()), ("type".to_owned(), "Enroll".to_owned())],
    }
}

pub(super) fn session(command: &str) -> SessionInfo {
    let options = vec![("rate".to_owned(), "50/s".to_owned())];
    SessionInfo { command: command.to_owned(), options, ..testing::session(time("2026-03-01T08:00:00Z"), None) }
}

pub(super) fn guid(byte: u8) -> Guid {
    Guid::from_bytes([byte; 16])
}

/// A row with every column set.
pub(super) fn full_item(number: u32) -> Item {
    Item {
        id: Some(format!("E-{number}")),
        request: CreateRequest {
            kind: RequestType::Enroll,
            template: Some(guid(1)),
            target: Some(guid(2)),
            smartcard: Some(guid(3)),
            profile: Some(guid(4)),
            comment: "for \"Zoë\"\nline two".to_owned(),
            priority: Some(7),
            data: [NamedValue::new("name", "Zoë"), NamedValue::new("name", "again"), NamedValue::new("city", "")]
                .into_iter()
                .collect(),
            body: vec![NamedValue::new("revocationreason", "1")],
        },
        notes: NamedValues::from_iter([NamedValue::new("office", "B\\2")]),
        ..bare_item(number, RequestType::Enroll)
    }
}

/// A row with no more than it needs.
pub(super) fn bare_item(number: u32, kind: RequestType) -> Item {
    testing::item(number, CreateRequest::new(kind))
}

pub(super) fn load(item: Item) -> LoadRow {
    LoadRow::Item(Box::new(item))
}

pub(super) fn skipped(number: u32) -> LoadRow {
    load(Item { skipped: Some("same as row 1".to_owned()), ..bare_item(number, RequestType::Unblock) })
}

pub(super) fn invalid(number: u32) -> LoadRow {
    LoadRow::Invalid(Box::new(InvalidItem {
        row: row(number),
        place: bare_item(number, RequestType::Enroll).place,
        original_json: r#"{"type":"Enrol"}"#.to_owned(),
        errors: "type \"Enrol\" is not known".to_owned(),
    }))
}

/// So many bare rows that are to be sent.
pub(super) fn bare_rows(n: u32) -> Vec<LoadRow> {
    (1..=n).map(|number| load(bare_item(number, RequestType::Unblock))).collect()
}

pub(super) fn create(path: &Path, rows: Vec<LoadRow>) -> Result<Ledger, CreateError<LedgerError>> {
    create_on(&machine(), path, rows)
}

fn create_on(machine: &Machine, path: &Path, rows: Vec<LoadRow>) -> Result<Ledger, CreateError<LedgerError>> {
    let n_rows = u32::try_from(rows.len()).unwrap();
    Ledger::create(machine, path, &identity(), &session("submit"), |loader| feed(loader, rows, n_rows))
}

pub(super) fn feed(loader: &mut Loader, rows: Vec<LoadRow>, n_rows: u32) -> Result<Vec<ManifestPart>, LedgerError> {
    for row in rows {
        loader.add(row)?;
    }
    Ok(vec![part(n_rows)])
}

pub(super) fn created(number: u32) -> Outcome {
    Outcome::Created(uri(number))
}

/// A request; those of small numbers have that byte all over their uuid.
pub(super) fn uri(number: u32) -> RequestUri {
    let uuid = u8::try_from(number).map_or_else(|_| many(number), guid);
    format!("api/v1.0/requests/{uuid}").parse().unwrap()
}

fn many(number: u32) -> Guid {
    let mut bytes = [0xEE; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Guid::from_bytes(bytes)
}

pub(super) fn uuid(number: u32) -> RequestUuid {
    uri(number).uuid()
}

/// A verdict as those give it who may.
pub(super) fn resolution(number: u32, verdict: RowVerdict) -> Resolution {
    let source = if verdict == RowVerdict::Again { Source::Replay } else { Source::List };
    Resolution { row: row(number), verdict, source, reason: None }
}

pub(super) fn fault(code: ErrorCode, status: u16) -> Fault {
    Fault {
        code,
        http_status: Some(status),
        message: format!("the server said {status}"),
        correlation_id: Some(CorrelationId::new("c-1")),
    }
}

pub(super) fn record(number: u32, attempt_number: u32, outcome: Outcome) -> AttemptRecord {
    AttemptRecord {
        row: row(number),
        attempt: attempt(attempt_number),
        started_at: time("2026-03-01T08:00:01.25Z"),
        latency_us: 12_345,
        outcome,
        then: Requeue::Anyone,
    }
}

/// Numbers steps and does them.
pub(super) struct Steps<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) number: u64,
}

impl<'a> Steps<'a> {
    pub(super) const fn of(ledger: &'a Ledger) -> Self {
        Self { ledger, number: 0 }
    }

    /// Does the step with the next number. A step that fails uses up no number.
    pub(super) fn do_step(&mut self, step: Step) -> Result<StepAnswer, LedgerError> {
        let answer = self.ledger.step_blocking(Step { number: self.number + 1, ..step })?;
        self.number += 1;
        assert_eq!(answer.number, self.number);
        Ok(answer)
    }

    /// Claims so many rows in order, and returns row and attempt numbers.
    pub(super) fn claim(&mut self, n: u32) -> Vec<(u32, u32)> {
        pairs(&self.do_step(Step { claim: n, ..Step::default() }).unwrap())
    }

    /// Records attempts.
    pub(super) fn record(&mut self, record: Vec<AttemptRecord>) -> StepAnswer {
        self.do_step(Step { record, ..Step::default() }).unwrap()
    }
}

/// Returns the rows and attempts of an answer.
pub(super) fn pairs(answer: &StepAnswer) -> Vec<(u32, u32)> {
    answer.rows.iter().map(|claimed| (claimed.row.get(), claimed.attempt.get())).collect()
}

/// Waits for what a task would wait for.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Returns everything that the ledger's tables hold, as text.
pub(super) fn dump(path: &Path) -> String {
    let conn = rusqlite::Connection::open(path).unwrap();
    let mut text = String::new();
    for table in [
        "run",
        "manifests",
        "items",
        "claims",
        "outcomes",
        "pending_again",
        "tallies",
        "sessions",
        "events",
        "kinds",
        "left_out",
        "accepted_hits",
        "findings",
    ] {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let n_columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<String> =
                (0..n_columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
            text.extend([table, ": ", &values.join(" "), "\n"]);
        }
    }
    text
}
