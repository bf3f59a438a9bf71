//! The log of every arrival: what the tests compare a client's own story with.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use jiff::Timestamp;
use serde::Serialize;

use super::store::Clock;
use crate::request::RequestUuid;

/// One call that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its number, from 1, in the order of arrival.
    pub number: u64,
    /// The number of the connection on which it came, from 1.
    pub connection: u64,
    /// When its head was read, by the monotonic clock.
    pub at: Instant,
    /// The same by the wall clock.
    pub wall: Timestamp,
    /// The method.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// The query, without question mark.
    pub query: Option<String>,
    /// Whether there was an `Authorization` header. What it said is not kept.
    pub authorization: bool,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The body. Empty where it broke off.
    pub body: Bytes,
    /// Whether the server has acted on it: while false, the next two are not known yet.
    pub acted: bool,
    /// The status that was answered, or would have been to a client that had not gone; none where the connection was
    /// closed instead.
    pub answered: Option<u16>,
    /// The request that it created, whatever was answered.
    pub created: Option<RequestUuid>,
}

/// An arrival as it is kept: texts that repeat are shared.
struct Entry {
    at: Instant,
    connection: u64,
    method: Method,
    path: Arc<str>,
    query: Option<Arc<str>>,
    content_type: Option<Arc<str>>,
    user_agent: Option<Arc<str>>,
    body: Bytes,
    created: Option<RequestUuid>,
    answered: Option<u16>,
    authorization: bool,
    acted: bool,
}

/// An arrival as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    number: u64,
    connection: u64,
    at: String,
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    authorization: bool,
    content_type: Option<&'a str>,
    user_agent: Option<&'a str>,
    /// Bytes that are no UTF-8 stand as replacement characters.
    body: &'a str,
    acted: bool,
    answered: Option<u16>,
    created: Option<String>,
}

/// The log.
pub(crate) struct Arrivals {
    clock: Clock,
    kept: Mutex<Kept>,
}

struct Kept {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    limit: usize,
    file: Option<File>,
    failure: Option<io::Error>,
    line: Vec<u8>,
}

impl Arrivals {
    /// Makes an empty log that keeps the newest `limit` arrivals and appends each to `file` once it was acted on.
    pub(crate) fn new(clock: Clock, limit: usize, file: Option<File>) -> Self {
        let kept = Kept { first: 1, entries: VecDeque::new(), limit, file, failure: None, line: Vec::new() };
        Self { clock, kept: Mutex::new(kept) }
    }

    /// Nothing leaves the log half changed, so that a panic elsewhere does not spoil it.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call arrived, and returns its number.
    pub(crate) fn begin(&self, connection: u64, at: Instant, head: &http::request::Parts, body: Bytes) -> u64 {
        let mut kept = self.kept();
        let last = kept.entries.back();
        let text = |name| header_text(&head.headers, name);
        let entry = Entry {
            at,
            connection,
            method: head.method.clone(),
            path: share(head.uri.path(), last.map(|last| &last.path)),
            query: head.uri.query().map(|query| share(query, last.and_then(|last| last.query.as_ref()))),
            content_type: text(header::CONTENT_TYPE)
                .map(|text| share(text, last.and_then(|last| last.content_type.as_ref()))),
            user_agent: text(header::USER_AGENT)
                .map(|text| share(text, last.and_then(|last| last.user_agent.as_ref()))),
            // A copy of its own: a slice would keep the whole read buffer of its connection.
            body: Bytes::copy_from_slice(&body),
            created: None,
            answered: None,
            authorization: head.headers.contains_key(header::AUTHORIZATION),
            acted: false,
        };
        kept.entries.push_back(entry);
        kept.next_number() - 1
    }

    /// Notes what became of a call.
    pub(crate) fn finish(&self, number: u64, answered: Option<u16>, created: Option<RequestUuid>) {
        let mut kept = self.kept();
        let place = usize::try_from(number - kept.first).expect("an arrival is kept until it was acted on");
        let entry = &mut kept.entries[place];
        entry.acted = true;
        entry.answered = answered;
        entry.created = created;
        kept.append(self.clock, place, number);
        kept.forget();
    }

    /// Returns the arrivals that are kept.
    pub(crate) fn all(&self) -> Vec<Arrival> {
        let kept = self.kept();
        kept.entries.iter().zip(kept.first..).map(|(entry, number)| entry.to_arrival(number, self.clock)).collect()
    }

    /// Appends JSON objects, with commas between, for up to `count` arrivals from a number on; returns the next number, or
    /// none where there is no more.
    pub(crate) fn write_from(&self, from: u64, count: usize, out: &mut Vec<u8>) -> Option<u64> {
        let kept = self.kept();
        let from = from.max(kept.first);
        let skip = usize::try_from(from - kept.first).unwrap_or(usize::MAX);
        let mut next = from;
        for entry in kept.entries.iter().skip(skip).take(count) {
            if !out.is_empty() {
                out.push(b',');
            }
            entry.write(next, self.clock, out);
            next += 1;
        }
        (next < kept.next_number()).then_some(next)
    }

    /// Takes the first error of the file, if there was one; nothing was appended after it.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.kept().failure.take()
    }
}

impl Kept {
    fn next_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Hands the line to the system at once: it stays readable whichever process is killed next. The call does not wait
    /// for a disk, so that it may stand in asynchronous code.
    fn append(&mut self, clock: Clock, place: usize, number: u64) {
        let Some(file) = &mut self.file else { return };
        self.line.clear();
        self.entries[place].write(number, clock, &mut self.line);
        self.line.push(b'\n');
        if let Err(error) = file.write_all(&self.line) {
            // A log with a hole would be worse than one that ends.
            self.file = None;
            self.failure = Some(error);
        }
    }

    /// Forgets the oldest arrivals over the limit, but none that was not acted on.
    fn forget(&mut self) {
        while self.entries.len() > self.limit && self.entries.front().is_some_and(|entry| entry.acted) {
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

impl Entry {
    fn to_arrival(&self, number: u64, clock: Clock) -> Arrival {
        let owned = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Arrival {
            number,
            connection: self.connection,
            at: self.at,
            wall: clock.wall_at(self.at),
            method: self.method.clone(),
            path: self.path.to_string(),
            query: owned(&self.query),
            authorization: self.authorization,
            content_type: owned(&self.content_type),
            user_agent: owned(&self.user_agent),
            body: self.body.clone(),
            acted: self.acted,
            answered: self.answered,
            created: self.created,
        }
    }

    fn write(&self, number: u64, clock: Clock, out: &mut Vec<u8>) {
        let line = Line {
            number,
            connection: self.connection,
            at: clock.wall_at(self.at).to_string(),
            method: self.method.as_str(),
            path: &self.path,
            query: self.query.as_deref(),
            authorization: self.authorization,
            content_type: self.content_type.as_deref(),
            user_agent: self.user_agent.as_deref(),
            body: &String::from_utf8_lossy(&self.body),
            acted: self.acted,
            answered: self.answered,
            created: self.created.map(|uuid| uuid.to_string()),
        };
        serde_json::to_writer(out, &line).expect("numbers and strings always serialize");
    }
}

fn share(text: &str, last: Option<&Arc<str>>) -> Arc<str> {
    match last {
        Some(last) if **last == *text => Arc::clone(last),
        _ => Arc::from(text),
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Opens the file for the log: made where it is missing, for its owner alone, because it tells who gets what.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(path: &str) -> http::request::Parts {
        let builder = http::Request::post(path).header("user-agent", "a").header("authorization", "Bearer made-up");
        builder.body(()).unwrap().into_parts().0
    }

    fn begin(log: &Arrivals, path: &str) -> u64 {
        log.begin(1, Instant::now(), &head(path), Bytes::from_static(b"{}"))
    }

    #[test]
    fn the_newest_are_kept_and_none_that_is_still_open() {
        let log = Arrivals::new(Clock::start(), 2, None);
        for number in 1..=4 {
            assert_eq!(begin(&log, "/x?y=1"), number);
        }
        for number in [2, 3, 4] {
            log.finish(number, Some(201), None);
        }
        let numbers = |log: &Arrivals| log.all().iter().map(|arrival| arrival.number).collect::<Vec<_>>();
        assert_eq!(numbers(&log), [1, 2, 3, 4], "the first is still open");
        log.finish(1, None, None);
        assert_eq!(numbers(&log), [3, 4]);
        let mut out = Vec::new();
        assert_eq!(log.write_from(1, 1, &mut out), Some(4));
        assert_eq!(log.write_from(4, 9, &mut out), None);
        let read: serde_json::Value = serde_json::from_slice(&[b"[", out.as_slice(), b"]"].concat()).unwrap();
        assert_eq!(read[0]["number"], 3);
        assert_eq!((&read[1]["path"], &read[1]["query"]), (&"/x".into(), &"y=1".into()));
        assert_eq!((&read[1]["authorization"], &read[1]["answered"]), (&true.into(), &201.into()));
        assert!(!String::from_utf8(out).unwrap().contains("made-up"));
    }

    #[test]
    fn each_line_can_be_read_when_the_call_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arrivals.jsonl");
        let log = Arrivals::new(Clock::start(), 0, Some(open_log(&path).unwrap()));
        for number in 1..=2 {
            begin(&log, "/requests");
            log.finish(number, Some(500), None);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count() as u64, number);
            let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert_eq!((&line["number"], &line["body"]), (&number.into(), &"{}".into()));
        }
        assert!(log.all().is_empty());
        assert!(log.take_failure().is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_remembered() {
        let log = Arrivals::new(Clock::start(), 9, Some(open_log(Path::new("/dev/full")).unwrap()));
        begin(&log, "/requests");
        log.finish(1, Some(201), None);
        assert_eq!(log.take_failure().unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!(log.all().len(), 1);
    }
}
