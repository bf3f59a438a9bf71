//! Progress: a bar on a terminal, a plain line every 10 s elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::output::{Shell, grouped, rows as n_rows};
use crate::event::{Bound, Event, EventKind, EventSink};
use crate::request::{RowId, printable};

/// How often the bar is drawn.
const DRAW: Duration = Duration::from_millis(250);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// The counters of a run, made from its events and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunStats {
    pub(crate) total: u64,
    pub(crate) created: u64,
    pub(crate) failed: u64,
    pub(crate) in_doubt: u64,
    pub(crate) retries: u64,
    pub(crate) draining: Option<usize>,
    pub(crate) throttled: u64,
    /// What keeps the run from being faster.
    pub(crate) bound: Option<Bound>,
    /// What is done or waited for while nothing is sent.
    pub(crate) instead: Option<String>,
}

impl RunStats {
    /// Counts one event.
    pub(crate) fn apply(&mut self, event: &Event, zone: &TimeZone) {
        let kind = &event.kind;
        match kind {
            // A later round of the same run begins where the earlier ones came to.
            EventKind::Started { pending } => {
                self.total = self.done() + *pending;
                (self.draining, self.bound, self.instead) = (None, None, None);
            }
            EventKind::Created { .. } => self.created += 1,
            EventKind::Failed { .. } => self.failed += 1,
            EventKind::InDoubt { .. } => self.in_doubt += 1,
            EventKind::Retrying { .. } => self.retries += 1,
            EventKind::Throttled { .. } => self.throttled += 1,
            EventKind::Draining { in_flight } => self.draining = Some(*in_flight),
            EventKind::Bound { by } => self.bound = Some(*by),
            EventKind::WaitingForProof { .. }
            | EventKind::Reconciling
            | EventKind::ListAgain { .. }
            | EventKind::Behind { .. }
            | EventKind::ServerGone { .. } => {
                self.instead = describe(event, zone).map(|(_, text)| text).or(self.instead.take());
            }
            EventKind::ServerBack => self.instead = None,
            EventKind::RateCut { .. }
            | EventKind::WindowCut { .. }
            | EventKind::ReadBack { .. }
            | EventKind::NotReadBack { .. }
            | EventKind::Reconciled { .. } => {}
        }
    }

    /// Rows that are through.
    pub(crate) const fn done(&self) -> u64 {
        self.created + self.failed + self.in_doubt
    }

    /// The counts behind the bar.
    fn message(&self) -> String {
        let mut text = format!("created {}  failed {}", grouped(self.created), grouped(self.failed));
        if self.in_doubt > 0 {
            text = format!("{text}  in doubt {}", grouped(self.in_doubt));
        }
        if self.throttled > 0 {
            text = format!("{text}  throttled");
        }
        match self.bound {
            None => {}
            Some(Bound::Rate) => text = format!("{text}  limited by --rate"),
            Some(Bound::Server) => text = format!("{text}  limited by the server"),
            Some(Bound::Concurrency) => text = format!("{text}  limited by --concurrency"),
        }
        if self.draining.is_some() {
            text = format!("{text}  stopping");
        }
        text
    }

    /// One plain line.
    fn line(&self, elapsed: Duration) -> String {
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let seconds = elapsed.as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.done() as f64 / seconds;
        let left = self.total.saturating_sub(self.done());
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let eta =
            if rate > 0.0 { span(Duration::from_secs_f64((left as f64 / rate).min(1e9))) } else { "?".to_owned() };
        format!(
            "{} of {} rows, {rate:.1} rows/s, ETA {eta}, {}",
            grouped(self.done()),
            grouped(self.total),
            self.message()
        )
    }
}

/// Returns a time for people: `8 s`, `3 min 20 s`, `30 min`, `2 h 5 min`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64().round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating is fine")]
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", grouped(seconds / 3_600), seconds % 3_600 / 60),
    }
}

/// How many lines may wait for a slow terminal (about 100 bytes each); further ones are dropped, and counted.
const LINES: usize = 1_024;

/// Turns events into progress. Its thread ends when it is dropped.
///
/// The sender of events never waits for the terminal: lines go to the thread, or are dropped where it does not keep up.
pub(crate) struct Reporter {
    verbose: u8,
    zone: TimeZone,
    stats: Arc<Mutex<RunStats>>,
    lines: Option<SyncSender<String>>,
    dropped: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    pub(crate) fn start(shell: &Shell, verbose: u8) -> Self {
        let stats = Arc::new(Mutex::new(RunStats::default()));
        let (sender, lines) = sync_channel(LINES);
        let display = Display {
            shell: shell.clone(),
            bar: shell.shows_bar().then(|| shell.bars().add(new_bar())),
            stats: Arc::clone(&stats),
            begin: Instant::now(),
        };
        let thread = std::thread::spawn(move || display.run(&lines));
        Self {
            verbose,
            zone: TimeZone::system(),
            stats,
            lines: Some(sender),
            dropped: AtomicU64::new(0),
            thread: Some(thread),
        }
    }

    fn tell(&self, event: &Event) {
        // Created rows are many, and their lines are hardly ever wanted.
        let is_unwanted = self.verbose < 2 && matches!(event.kind, EventKind::Created { .. });
        let Some((level, text)) = (if is_unwanted { None } else { describe(event, &self.zone) }) else { return };
        if self.verbose < level {
            return;
        }
        let text = if is_timed(&event.kind) { format!("{} {text}", clock(event.at, &self.zone)) } else { text };
        if let Some(lines) = &self.lines
            && lines.try_send(text).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns whether a person wants to know later when it was: what is waited for at night.
const fn is_timed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::WaitingForProof { .. } | EventKind::ServerGone { .. } | EventKind::ServerBack)
}

/// Returns the time of day: `02:00:14`.
fn clock(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%H:%M:%S").to_string()
}

/// Returns the line that tells an event, and from which `-v` on it is shown.
fn describe(event: &Event, zone: &TimeZone) -> Option<(u8, String)> {
    let until = |left: &Duration| clock(event.at.checked_add(*left).unwrap_or(event.at), zone);
    match &event.kind {
        EventKind::Failed { row, code } => Some((1, format!("row {row} failed: {}", code.meaning()))),
        EventKind::InDoubt { row, code } => Some((1, format!("row {row} is in doubt: {}", code.meaning()))),
        EventKind::Retrying { row, attempt, code, delay } => {
            let seconds = delay.as_secs_f64();
            Some((1, format!("row {row}: attempt {}: {}; again in {seconds:.1} s", attempt.get(), code.meaning())))
        }
        EventKind::Created { row, uuid } => Some((2, format!("row {row} created: {uuid}"))),
        EventKind::Throttled { delay } => {
            Some((0, format!("the server asked to slow down: no calls for {}", span(*delay))))
        }
        EventKind::Draining { in_flight } if *in_flight > 0 => {
            let calls = if *in_flight == 1 { "1 call".to_owned() } else { format!("{in_flight} calls") };
            Some((
                0,
                format!(
                    "stopping: waiting for the answer to {calls} (Ctrl-C again does not wait, and leaves the rows in doubt)"
                ),
            ))
        }
        EventKind::RateCut { to_per_second } => Some((
            1,
            format!(
                "the server throttles: going on with {} calls/s, and gradually faster",
                grouped((*to_per_second).into())
            ),
        )),
        EventKind::WindowCut { to } => {
            Some((0, format!("the server does not keep up: going on with {to} calls at a time, and gradually more")))
        }
        EventKind::ReadBack { kind, row, uuid } => {
            Some((1, format!("{kind}: row {row} was read back as request {uuid}, and is what was asked for")))
        }
        EventKind::NotReadBack { kind, why } => {
            Some((0, format!("{kind}: its first request could not be checked ({}); going on", printable(why))))
        }
        EventKind::Reconciling => Some((0, "reading the server's list of requests".to_owned())),
        EventKind::Reconciled { found: 0, absent: 0, left: 0 } => None,
        EventKind::Reconciled { found, absent, left } => Some((0, reconciled(*found, *absent, *left))),
        // A moment is not worth a line.
        EventKind::WaitingForProof { left, .. } if *left < Duration::from_secs(1) => None,
        EventKind::WaitingForProof { left, rows, row, pending } => {
            Some((0, waiting(*rows, *row, *pending, &format!("{}, until {}", span(*left), until(left)))))
        }
        EventKind::ListAgain { wait, why } => Some((
            0,
            format!("the server's list could not be read ({}); asking again in {}", printable(why), span(*wait)),
        )),
        EventKind::Behind { left } => Some((
            0,
            format!(
                "the ledger is behind the server: waiting {}, until {}, when its list shows what else was sent; then one row goes alone",
                span(*left),
                until(left)
            ),
        )),
        EventKind::ServerGone { wait, pending } => {
            let (wait, pending) = (span(*wait), n_rows(*pending));
            Some((0, format!("server does not answer; waiting up to {wait}, {pending} pending")))
        }
        EventKind::ServerBack => Some((0, "server answers again; going on slowly".to_owned())),
        EventKind::Started { .. } | EventKind::Draining { .. } | EventKind::Bound { .. } => None,
    }
}

/// Which rows keep a run from going on, how long, and why.
fn waiting(rows: u64, row: Option<RowId>, pending: u64, time: &str) -> String {
    if rows == 0 {
        return format!("waiting {time}, when the server's list shows all that was sent");
    }
    let which = match row {
        Some(row) if rows == 1 => format!("row {row} is in doubt"),
        Some(row) => format!("{} in doubt, of which row {row} goes alone first", n_rows(rows)),
        None => format!("{} in doubt", n_rows(rows)),
    };
    let others =
        if pending > 0 { format!("; {} pending are not sent meanwhile", n_rows(pending)) } else { String::new() };
    format!("{which}: waiting {time}, when the server's list can prove what was not created{others}")
}

fn reconciled(found: u64, absent: u64, left: u64) -> String {
    let mut text = format!("settled by the server's list: {} found, {} not created", grouped(found), grouped(absent));
    if left > 0 {
        text = format!("{text}; {} still in doubt", n_rows(left));
    }
    text
}

/// What the thread draws.
struct Display {
    shell: Shell,
    bar: Option<ProgressBar>,
    stats: Arc<Mutex<RunStats>>,
    begin: Instant,
}

impl Display {
    fn run(self, lines: &Receiver<String>) {
        let period = if self.bar.is_some() { DRAW } else { LINE };
        let mut next = self.begin + period;
        loop {
            match lines.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(line) => self.shell.say(&line),
                Err(RecvTimeoutError::Timeout) => {
                    self.draw();
                    next = Instant::now() + period;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(bar) = &self.bar {
            self.draw();
            bar.abandon();
        }
    }

    fn draw(&self) {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match &self.bar {
            Some(bar) => {
                bar.set_length(stats.total);
                bar.set_position(stats.done());
                bar.set_message(stats.instead.clone().unwrap_or_else(|| stats.message()));
            }
            None => self.shell.say(&stats.line(self.begin.elapsed())),
        }
    }
}

impl EventSink for Reporter {
    fn emit(&self, event: Event) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).apply(&event, &self.zone);
        self.tell(&event);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if let Some(lines) = self.lines.take()
            && dropped > 0
        {
            let _ = lines.send(format!("{} lines were not shown: the terminal was too slow", grouped(dropped)));
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the drawing thread has been printed; the run does not depend on it.
            let _ = thread.join();
        }
    }
}

/// Tells events as lines, where there is no progress to show.
pub(crate) struct Lines<'a> {
    shell: &'a Shell,
    verbose: u8,
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(shell: &'a Shell, verbose: u8) -> Self {
        Self { shell, verbose }
    }
}

impl EventSink for Lines<'_> {
    fn emit(&self, event: Event) {
        if let Some((level, text)) = describe(&event, &TimeZone::system())
            && self.verbose >= level
        {
            self.shell.say(&text);
        }
    }
}

/// How long checking goes on before its progress is shown: most manifests are through by then.
const CHECK_PATIENCE: Duration = Duration::from_millis(500);

/// Shows on a terminal how far a long manifest is checked. What it showed is wiped away when it is dropped.
pub(crate) struct CheckProgress {
    bar: ProgressBar,
    begin: Instant,
}

impl CheckProgress {
    pub(crate) fn start(shell: &Shell) -> Self {
        let bar = if shell.shows_bar() { shell.bars().add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        Self { bar, begin: Instant::now() }
    }

    /// Tells how many rows were checked.
    pub(crate) fn at(&self, n_rows: u64, n_invalid: u64) {
        if self.begin.elapsed() > CHECK_PATIENCE {
            self.bar.set_message(format!("checked {} rows, {} invalid", grouped(n_rows), grouped(n_invalid)));
            self.bar.tick();
        }
    }
}

impl Drop for CheckProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {per_sec} ETA {eta} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.1} rows/s", state.per_sec());
        });
    ProgressBar::new(0).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{ErrorCode, Guid, RequestKind, RequestType, RequestUuid};

    fn at(kind: EventKind) -> Event {
        Event { at: "2026-03-05T02:00:14Z".parse().unwrap(), kind }
    }

    fn stats(events: impl IntoIterator<Item = EventKind>) -> RunStats {
        let mut stats = RunStats::default();
        events.into_iter().for_each(|kind| stats.apply(&at(kind), &TimeZone::UTC));
        stats
    }

    #[test]
    fn counters_follow_the_events() {
        let row = RowId::new(1).unwrap();
        let created = EventKind::Created { row, uuid: RequestUuid::new(Guid::from_bytes([1; 16])) };
        let begin = [EventKind::Reconciling, EventKind::Started { pending: 4_310 }];
        let end = [
            EventKind::Failed { row, code: ErrorCode::Forbidden },
            EventKind::InDoubt { row, code: ErrorCode::Timeout },
        ];
        let stats = stats(begin.into_iter().chain(std::iter::repeat_n(created, 1_200)).chain(end));
        assert_eq!(stats.done(), 1_202);
        insta::assert_snapshot!(
            stats.line(Duration::from_secs(24)),
            @"1,202 of 4,310 rows, 50.1 rows/s, ETA 1 min 2 s, created 1,200  failed 1  in doubt 1"
        );
    }

    #[test]
    fn what_people_should_hear_of_is_told_in_a_line() {
        let kind = RequestKind { request_type: RequestType::Enroll, template: Some(Guid::from_bytes([7; 16])) };
        let (row, uuid) = (RowId::new(12).unwrap(), RequestUuid::new(Guid::from_bytes([1; 16])));
        let lines: Vec<String> = [
            EventKind::Throttled { delay: Duration::from_secs(8) },
            EventKind::RateCut { to_per_second: 1_250 },
            EventKind::WindowCut { to: 8 },
            EventKind::ReadBack { kind, row, uuid },
            EventKind::NotReadBack { kind, why: "the server answered 403: no\n".to_owned() },
            EventKind::Reconciling,
            EventKind::Reconciled { found: 12, absent: 3, left: 1 },
            EventKind::Reconciled { found: 0, absent: 0, left: 0 },
            EventKind::WaitingForProof { left: Duration::from_secs(150), rows: 7, row: Some(row), pending: 0 },
            EventKind::WaitingForProof { left: Duration::from_secs(150), rows: 1, row: Some(row), pending: 19 },
            EventKind::WaitingForProof { left: Duration::from_secs(2), rows: 0, row: None, pending: 0 },
            EventKind::ListAgain { wait: Duration::from_secs(10), why: "the server answered 503: busy\n".to_owned() },
            EventKind::Behind { left: Duration::from_secs(155) },
            EventKind::ServerGone { wait: Duration::from_secs(1_800), pending: 19_204 },
            EventKind::ServerBack,
        ]
        .into_iter()
        .filter_map(|kind| describe(&at(kind), &TimeZone::UTC))
        .map(|(level, text)| format!("{level} {text}"))
        .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        0 the server asked to slow down: no calls for 8 s
        1 the server throttles: going on with 1,250 calls/s, and gradually faster
        0 the server does not keep up: going on with 8 calls at a time, and gradually more
        1 Enroll of template 07070707-0707-0707-0707-070707070707: row 12 was read back as request 01010101-0101-0101-0101-010101010101, and is what was asked for
        0 Enroll of template 07070707-0707-0707-0707-070707070707: its first request could not be checked (the server answered 403: no\n); going on
        0 reading the server's list of requests
        0 settled by the server's list: 12 found, 3 not created; 1 row still in doubt
        0 7 rows in doubt, of which row 12 goes alone first: waiting 2 min 30 s, until 02:02:44, when the server's list can prove what was not created
        0 row 12 is in doubt: waiting 2 min 30 s, until 02:02:44, when the server's list can prove what was not created; 19 rows pending are not sent meanwhile
        0 waiting 2 s, until 02:00:16, when the server's list shows all that was sent
        0 the server's list could not be read (the server answered 503: busy\n); asking again in 10 s
        0 the ledger is behind the server: waiting 2 min 35 s, until 02:02:49, when its list shows what else was sent; then one row goes alone
        0 server does not answer; waiting up to 30 min, 19,204 rows pending
        0 server answers again; going on slowly
        ");
        assert_eq!(clock("2026-03-05T02:00:14Z".parse().unwrap(), &TimeZone::UTC), "02:00:14");
        assert!(describe(&at(EventKind::Bound { by: Bound::Rate }), &TimeZone::UTC).is_none());
        let by_server = EventKind::Bound { by: Bound::Server };
        assert_eq!(stats([by_server.clone()]).message(), "created 0  failed 0  limited by the server");
        // What keeps nothing from being sent is not told while nothing is.
        let left = Duration::from_secs(155);
        let waits = [by_server.clone(), EventKind::Draining { in_flight: 3 }, EventKind::Behind { left }];
        let told = stats(waits.clone()).line(Duration::from_secs(9));
        assert!(told.starts_with("the ledger is behind the server: waiting"), "{told}");
        let on = waits.into_iter().chain([EventKind::Started { pending: 2 }]);
        assert_eq!(stats(on).message(), "created 0  failed 0");
    }

    #[test]
    fn times_are_written_for_people() {
        let texts: Vec<String> = [0, 59, 61, 1_800, 3_600, 7_500].map(|s| span(Duration::from_secs(s))).into();
        assert_eq!(texts, ["0 s", "59 s", "1 min 1 s", "30 min", "1 h 0 min", "2 h 5 min"]);
    }
}
