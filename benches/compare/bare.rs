//! The bare loops that the program is held against: each does one thing as plainly as its crate allows, and keeps nothing.
//!
//! ```text
//! bare send URL ROWS CONCURRENCY     reqwest: create requests, each answer read to its end
//! bare hyper URL ROWS CONCURRENCY    the same with hyper's own pooled client, without reqwest around it
//! bare csv FILE                      csv: each record read into one that is used again
//! bare json FILE                     serde_json: each line parsed into a value that is dropped
//! bare insert FILE LEDGER            rusqlite: each record of a manifest into a table as the ledger's, with its index
//! bare list URL                      reqwest and serde_json: an array read as a stream, each object skipped
//! bare answer MICROSECONDS           no contestant but a server: it answers each call after so long, neither sooner nor later
//! ```

#![expect(clippy::print_stdout, reason = "what was counted is the result")]

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

type Outcome<T> = Result<T, Box<dyn Error>>;

const TEMPLATE: &str = "a039b4d0-5ce8-4eff-8651-181c6576fda3";
const TAG: &str = "[cmb:ABCDEFGHIJKLMNOPQRSTUVWX-ABCDEFGH]";

#[derive(Serialize)]
struct Body<'a> {
    datacollection: [(); 0],
    #[serde(rename = "type")]
    kind: &'a str,
    profiletemplateuuid: &'a str,
    target: String,
    comment: &'a str,
}

/// Makes a body of the same shape and length as cmbatch's.
fn body(row: u32) -> String {
    let target = format!("{row:08x}-0000-4000-8000-000000000000");
    let body = Body { datacollection: [], kind: "Enroll", profiletemplateuuid: TEMPLATE, target, comment: TAG };
    serde_json::to_string(&body).expect("a body serializes")
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Hands out the rows 1 to `n_rows` to `concurrency` tasks of one thread.
fn in_turn<F: Future<Output = ()> + 'static>(
    n_rows: u32,
    concurrency: u32,
    worker: impl Fn(Rows) -> F,
) -> Outcome<u32> {
    let next = std::rc::Rc::new(std::cell::Cell::new(0));
    let local = tokio::task::LocalSet::new();
    for _ in 0..concurrency {
        local.spawn_local(worker(Rows { next: next.clone(), n_rows }));
    }
    runtime()?.block_on(local);
    Ok(next.get())
}

/// The rows that are left.
struct Rows {
    next: std::rc::Rc<std::cell::Cell<u32>>,
    n_rows: u32,
}

impl Iterator for Rows {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let row = self.next.get();
        (row < self.n_rows).then(|| {
            self.next.set(row + 1);
            row + 1
        })
    }
}

fn send(url: &str, n_rows: u32, concurrency: u32) -> Outcome<u32> {
    // Nothing is encrypted here, but reqwest asks for it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
    in_turn(n_rows, concurrency, |rows| {
        let (client, url) = (client.clone(), url.to_owned());
        async move {
            for row in rows {
                let request = client.post(&url).header("content-type", "application/json").body(body(row));
                let answer = request.send().await.expect("the server answers");
                assert_eq!(answer.status(), 201);
                let uri = answer.bytes().await.expect("the answer is whole");
                assert!(uri.len() > 36);
            }
        }
    })
}

fn hyper(url: &str, n_rows: u32, concurrency: u32) -> Outcome<u32> {
    let url: http::Uri = url.parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<HttpConnector, String> = Client::builder(TokioExecutor::new()).build(connector);
    in_turn(n_rows, concurrency, |rows| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            for row in rows {
                let request = http::Request::post(&url).header("content-type", "application/json").body(body(row));
                let answer = client.request(request.expect("the parts are valid")).await.expect("the server answers");
                assert_eq!(answer.status(), 201);
                let (mut uri, mut n_bytes) = (answer.into_body(), 0);
                while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut uri).poll_frame(context)).await {
                    n_bytes += frame.expect("the answer is whole").data_ref().map_or(0, Bytes::len);
                }
                assert!(n_bytes > 36);
            }
        }
    })
}

fn read_csv(path: &str) -> Outcome<u32> {
    let mut reader = csv::Reader::from_path(path)?;
    let mut record = csv::ByteRecord::new();
    let mut n_rows = 0;
    while reader.read_byte_record(&mut record)? {
        n_rows += 1;
    }
    Ok(n_rows)
}

fn read_json(path: &str) -> Outcome<u32> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut line = Vec::new();
    let mut n_rows = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        let value: serde_json::Value = serde_json::from_slice(&line)?;
        assert!(value.is_object());
        line.clear();
        n_rows += 1;
    }
    Ok(n_rows)
}

/// The table of the rows, as `src/ledger/schema.rs` has it, and its index, which is made when the rows are in.
const ITEMS: &str = "
CREATE TABLE items (
    row INTEGER PRIMARY KEY, part INTEGER NOT NULL, part_row INTEGER NOT NULL, line INTEGER NOT NULL, reason TEXT,
    original TEXT, id TEXT, notes TEXT, type TEXT, template BLOB, target BLOB, smartcard BLOB, profile BLOB, comment TEXT,
    priority INTEGER, data TEXT, body TEXT
) STRICT;";
const INDEX: &str = "CREATE INDEX items_by_id ON items (id) WHERE id IS NOT NULL;";

/// A named value, as an object of one key.
struct Pair<'a>(&'a str, &'a str);

impl Serialize for Pair<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}

/// Returns the values of the columns with a prefix that are not empty, as the ledger keeps them.
fn pairs(header: &csv::StringRecord, record: &csv::StringRecord, prefix: &str) -> Outcome<Option<String>> {
    let pair = |(name, value)| Some(Pair(str::strip_prefix(name, prefix)?, value));
    let pairs: Vec<Pair> = header.iter().zip(record).filter(|(_, value)| !value.is_empty()).filter_map(pair).collect();
    Ok(if pairs.is_empty() { None } else { Some(serde_json::to_string(&pairs)?) })
}

fn insert(manifest: &str, ledger: &str) -> Outcome<u32> {
    let db = rusqlite::Connection::open(ledger)?;
    db.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096;")?;
    db.execute_batch(ITEMS)?;
    db.execute_batch("BEGIN")?;
    let mut add = db.prepare(
        "INSERT INTO items VALUES (?1, 1, ?1, ?1 + 1, NULL, NULL, ?2, ?9, ?3, ?4, ?5, NULL, NULL, ?6, ?7, ?8, NULL)",
    )?;
    let mut reader = csv::Reader::from_path(manifest)?;
    let header = reader.headers()?.clone();
    let column = |name: &str| header.iter().position(|column| column == name).ok_or(format!("no column {name}"));
    let [id, kind, template] = [column("id")?, column("type")?, column("profiletemplateuuid")?];
    let [target, comment, priority] = [column("target")?, column("comment")?, column("priority")?];
    let mut record = csv::StringRecord::new();
    let mut row = 0;
    while reader.read_record(&mut record)? {
        row += 1;
        add.execute(rusqlite::params![
            row,
            &record[id],
            &record[kind],
            uuid::Uuid::try_parse(&record[template])?.as_bytes(),
            uuid::Uuid::try_parse(&record[target])?.as_bytes(),
            &record[comment],
            record[priority].parse::<u8>().ok(),
            pairs(&header, &record, "data.")?,
            pairs(&header, &record, "note.")?,
        ])?;
    }
    drop(add);
    db.execute_batch(INDEX)?;
    db.execute_batch("COMMIT")?;
    db.close().map_err(|(_, error)| error)?;
    File::open(ledger)?.sync_all()?;
    Ok(row)
}

/// An answer's body, read a chunk at a time.
struct Stream {
    runtime: tokio::runtime::Runtime,
    answer: reqwest::Response,
    chunk: Bytes,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.answer.chunk()).map_err(io::Error::other)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let n_bytes = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..n_bytes]);
        Ok(n_bytes)
    }
}

/// Counts the elements of an array.
struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<u32, A::Error> {
        let mut n = 0;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            n += 1;
        }
        Ok(n)
    }
}

fn list(url: &str) -> Outcome<u32> {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let runtime = runtime()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = runtime.block_on(client.get(url).send())?.error_for_status()?;
    let stream = Stream { runtime, answer, chunk: Bytes::new() };
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, stream));
    let n = json.deserialize_seq(Count)?;
    json.end()?;
    Ok(n)
}

/// Answers the calls of one connection. Timers of event loops count whole milliseconds; a thread that sleeps wakes within a
/// tenth of one.
fn converse(stream: &TcpStream, latency: Duration) -> io::Result<()> {
    static N_CREATED: AtomicU64 = AtomicU64::new(0);
    stream.set_nodelay(true)?;
    let (mut calls, mut line, mut rest) = (BufReader::new(stream), String::new(), Vec::new());
    while calls.read_line(&mut line)? > 0 {
        let is_create = line.starts_with("POST ");
        let is_list = line.contains("/requests HTTP");
        while line != "\r\n" {
            if let Some(("content-length", length)) = line.to_ascii_lowercase().trim_end().split_once(": ") {
                rest.resize(length.parse().map_err(io::Error::other)?, 0);
            }
            line.clear();
            calls.read_line(&mut line)?;
        }
        line.clear();
        calls.read_exact(&mut rest)?;
        rest.clear();
        let mut out = stream;
        if is_create {
            std::thread::sleep(latency);
            let n = N_CREATED.fetch_add(1, Ordering::Relaxed);
            let uri = format!("\"api/v1.0/requests/{n:08x}-0000-4000-8000-000000000000\"");
            let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length";
            out.write_all(format!("{head}: {}\r\n\r\n{uri}", uri.len()).as_bytes())?;
        } else {
            let status = if is_list { "204 No Content" } else { "404 Not Found\r\nContent-Length: 0" };
            out.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())?;
        }
    }
    Ok(())
}

/// Serves until it is killed, with a thread for each connection.
fn answer(latency: Duration) -> Outcome<u32> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept()?;
        std::thread::spawn(move || converse(&stream, latency));
    }
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let n = match words[..] {
        ["send", url, n_rows, concurrency] => send(url, n_rows.parse()?, concurrency.parse()?)?,
        ["hyper", url, n_rows, concurrency] => hyper(url, n_rows.parse()?, concurrency.parse()?)?,
        ["csv", path] => read_csv(path)?,
        ["json", path] => read_json(path)?,
        ["insert", manifest, ledger] => insert(manifest, ledger)?,
        ["list", url] => list(url)?,
        ["answer", microseconds] => answer(Duration::from_micros(microseconds.parse()?))?,
        _ => return Err("see the head of benches/compare/bare.rs".into()),
    };
    println!("{n}");
    Ok(())
}
