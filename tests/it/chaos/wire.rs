//! One connection, byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::Shared;
use super::script::{Answer, Break, Fate, ListAs, ReadAs, Script, Written, date};

/// Lets the connection end by a reset, not by an orderly close, when it is dropped.
pub(super) fn end_by_reset(stream: &TcpStream) {
    // A linger time of zero means just that.
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Whether the connection carries another call.
#[derive(PartialEq, Eq)]
enum After {
    Open,
    Ended,
}

/// Serves the calls of a connection until one side ends it.
pub(super) fn serve(stream: Arc<TcpStream>, shared: &Shared) {
    let mut connection = Connection { stream, read: Vec::new() };
    while let Some(first) = connection.first_byte() {
        let script = shared.script();
        let after = if first == b'P' { connection.post(&script, shared) } else { connection.get(&script, shared) };
        if after != Some(After::Open) {
            return;
        }
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    read: Vec<u8>,
}

impl Connection {
    /// Waits for the first byte of the next call, and leaves it unread.
    fn first_byte(&mut self) -> Option<u8> {
        if let Some(first) = self.read.first() {
            return Some(*first);
        }
        let mut first = [0];
        match self.stream.peek(&mut first) {
            Ok(1) => Some(first[0]),
            Ok(_) | Err(_) => None,
        }
    }

    fn read_more(&mut self) -> Option<()> {
        let mut chunk = [0; 16 * 1024];
        let n_read = (&*self.stream).read(&mut chunk).ok().filter(|n_read| *n_read > 0)?;
        self.read.extend_from_slice(&chunk[..n_read]);
        Some(())
    }

    fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                return String::from_utf8(self.read.drain(..at + 4).collect()).ok();
            }
            self.read_more()?;
        }
    }

    fn body(&mut self, head: &str) -> Option<Value> {
        let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
        let length = head.lines().find_map(length).unwrap_or(0);
        while self.read.len() < length {
            self.read_more()?;
        }
        serde_json::from_slice(&self.read.drain(..length).collect::<Vec<_>>()).ok()
    }

    fn write(&mut self, bytes: impl AsRef<[u8]>) -> Option<After> {
        (&*self.stream).write_all(bytes.as_ref()).ok()?;
        Some(After::Open)
    }

    fn reset(&self) -> Option<After> {
        end_by_reset(&self.stream);
        Some(After::Ended)
    }

    fn until_closed(&mut self) -> Option<After> {
        while self.read_more().is_some() {}
        Some(After::Ended)
    }

    fn post(&mut self, script: &Script, shared: &Shared) -> Option<After> {
        let number = shared.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let broken = (script.breaks)(number);
        if broken == Some(Break::FirstByte) {
            return self.reset();
        }
        let head = self.head()?;
        if broken == Some(Break::Head) {
            return self.reset();
        }
        let body = self.body(&head)?;
        let Fate { creates, answer } = (script.fate)(number, &body);
        let uuid = {
            let mut store = shared.store.lock().unwrap();
            if creates {
                store.create(body, script.comment_limit)
            } else {
                store.refuse(&body);
                String::new()
            }
        };
        self.answer(&answer, &uuid, script.written)
    }

    fn answer(&mut self, answer: &Answer, uuid: &str, written: Written) -> Option<After> {
        let whole = written.json("201 Created", &format!("\"api/v1.0/requests/{uuid}\""));
        match answer {
            Answer::Created => self.write(whole),
            Answer::CreatedAndClosed => self.write(whole).and(Some(After::Ended)),
            Answer::LocationOnly => self.write(format!(
                "HTTP/1.1 201 Created\r\nLocation: /CertificateManagement/api/v1.0/requests/{uuid}\r\nContent-Length: 0\r\n\r\n"
            )),
            Answer::AfterContinue => {
                self.write("HTTP/1.1 100 Continue\r\n\r\n")?;
                self.write(whole)
            }
            Answer::Half => self.write(&whole[..whole.len() - 20]).and(Some(After::Ended)),
            Answer::Trickle => self.trickle(&whole),
            Answer::Flood => self.flood(),
            Answer::Bytes(bytes) => self.write(bytes),
            Answer::Silence => self.until_closed(),
            Answer::Close => Some(After::Ended),
            Answer::Reset => self.reset(),
        }
    }

    fn trickle(&mut self, bytes: &[u8]) -> Option<After> {
        for byte in bytes {
            // The pause is the fault; it ends with the first byte that the client no longer takes.
            std::thread::sleep(Duration::from_secs(1));
            self.write([*byte])?;
        }
        Some(After::Open)
    }

    fn flood(&mut self) -> Option<After> {
        self.write("HTTP/1.1 201 Created\r\nContent-Length: 100000000\r\n\r\n")?;
        let chunk = [b'x'; 64 * 1024];
        for _ in 0..100_000_000 / chunk.len() {
            self.write(chunk)?;
        }
        Some(After::Ended)
    }

    fn get(&mut self, script: &Script, shared: &Shared) -> Option<After> {
        let head = self.head()?;
        let path = head.split(' ').nth(1)?.trim_end_matches('/').to_ascii_lowercase();
        match path.rsplit_once('/') {
            Some((_, "requests")) => self.list(script, shared),
            Some((_, "profiletemplates")) => self.write(script.written.json("200 OK", "[]")),
            Some((before, uuid)) if before.ends_with("/requests") => self.read_one(script, shared, uuid),
            Some(_) | None => self.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        }
    }

    fn list(&mut self, script: &Script, shared: &Shared) -> Option<After> {
        let requests = shared.store.lock().unwrap().requests.clone();
        let is_well = script.list.later && requests.is_empty();
        let as_what = if is_well { ListAs::Whole } else { script.list.as_what };
        let limit = if let ListAs::CommentsCut(limit) = as_what { limit } else { usize::MAX };
        let shown = requests.iter().enumerate().filter(|(place, _)| !(script.list.hides)(*place));
        let objects: Vec<String> = shown.map(|(_, request)| request.object(limit).to_string()).collect();
        let array = format!("[{}]", objects.join(","));
        let half = &array[..array.len() / 2];
        match as_what {
            ListAs::NoContent => self.write(format!("HTTP/1.1 204 No Content\r\n{}\r\n", date())),
            ListAs::Whole | ListAs::CommentsCut(_) if objects.is_empty() => {
                self.write(format!("HTTP/1.1 204 No Content\r\n{}\r\n", date()))
            }
            ListAs::Whole | ListAs::CommentsCut(_) => self.write(script.written.json("200 OK", &array)),
            ListAs::CutOff => self.json(half, array.len()).and(Some(After::Ended)),
            ListAs::CutOffChunked => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                self.write(format!("{head}{:x}\r\n{half}\r\n", half.len())).and(Some(After::Ended))
            }
            ListAs::Unclosed => self.json(&array[..array.len() - 1], array.len() - 1),
            ListAs::Malformed => {
                let malformed = format!("[{},oops]", objects.join(","));
                self.json(&malformed, malformed.len())
            }
            ListAs::Status(status) => self.status(status),
            ListAs::Text(headers, text) => {
                self.write(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{text}", text.len()))
            }
            ListAs::Html => {
                let page = "<html><title>Sign in</title></html>";
                self.write(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                ))
            }
        }
    }

    fn read_one(&mut self, script: &Script, shared: &Shared, uuid: &str) -> Option<After> {
        let found = shared.store.lock().unwrap().requests.iter().find(|request| request.uuid == uuid).cloned();
        match (script.read, found) {
            (ReadAs::Status(status), _) => self.status(status),
            (ReadAs::Whole, Some(request)) => {
                let object = request.object(usize::MAX).to_string();
                self.write(script.written.json("200 OK", &object))
            }
            (ReadAs::Whole, None) => self.write(format!("HTTP/1.1 204 No Content\r\n{}\r\n", date())),
        }
    }

    fn json(&mut self, text: &str, length: usize) -> Option<After> {
        self.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
    }

    fn status(&mut self, status: u16) -> Option<After> {
        let body = r#"{"Message":"as scripted"}"#;
        self.write(format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }
}
