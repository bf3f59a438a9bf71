//! A client that sends what it is told and shows what comes back, byte for byte.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::simulator::Simulator;

/// A connection.
pub(super) struct Raw {
    tcp: TcpStream,
    unread: Vec<u8>,
}

/// An answer that came whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// The connection ended before the answer did, with so much of it seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended(pub(super) String);

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The uuid in the answer to a create call.
    #[track_caller]
    pub(super) fn uuid(&self) -> String {
        let uri: crate::request::RequestUri = self.json().as_str().unwrap().parse().unwrap();
        uri.uuid().to_string()
    }
}

impl Raw {
    #[track_caller]
    pub(super) fn connect(simulator: &Simulator) -> Self {
        Self::over(TcpStream::connect(simulator.address()).unwrap())
    }

    pub(super) fn over(tcp: TcpStream) -> Self {
        // Only so that a test that waits for what does not come fails at last.
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { tcp, unread: Vec::new() }
    }

    pub(super) fn post(&mut self, body: &str) -> Result<Answer, Ended> {
        self.call("POST", &super::path("/requests"), "", body)
    }

    pub(super) fn get(&mut self, rest: &str) -> Result<Answer, Ended> {
        self.call("GET", &super::path(rest), "", "")
    }

    pub(super) fn put(&mut self, rest: &str, body: &str) -> Result<Answer, Ended> {
        self.call("PUT", &super::path(rest), "", body)
    }

    pub(super) fn call(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer, Ended> {
        self.send(method, path, headers, body);
        self.answer()
    }

    pub(super) fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: cm.example.test\r\nContent-Type: application/json\r\n\
             User-Agent: raw\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        // A connection that is gone shows when the answer is read.
        let _ = self.tcp.write_all((head + body).as_bytes());
    }

    pub(super) fn answer(&mut self) -> Result<Answer, Ended> {
        let mut seen = String::new();
        let status_line = self.line(&mut seen)?;
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line(&mut seen)?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(&mut seen)?, 16).unwrap();
                let chunk = self.take(size, &mut seen)?;
                answer.body.push_str(&chunk);
                self.line(&mut seen)?;
                if size == 0 {
                    return Ok(answer);
                }
            }
        }
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = self.take(length, &mut seen)?;
        Ok(answer)
    }

    /// Waits for the end of the connection, and says whether that came without another byte.
    pub(super) fn ends_silently(&mut self) -> bool {
        self.unread.is_empty() && !self.read_more()
    }

    fn line(&mut self, seen: &mut String) -> Result<String, Ended> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end, seen)?;
                self.take(2, seen)?;
                return Ok(line);
            }
            if !self.read_more() {
                return Err(self.ended(seen));
            }
        }
    }

    fn take(&mut self, count: usize, seen: &mut String) -> Result<String, Ended> {
        while self.unread.len() < count {
            if !self.read_more() {
                return Err(self.ended(seen));
            }
        }
        let rest = self.unread.split_off(count);
        let text = String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
        seen.push_str(&text);
        Ok(text)
    }

    fn ended(&mut self, seen: &str) -> Ended {
        Ended(seen.to_owned() + &String::from_utf8_lossy(&self.unread))
    }

    /// Reads what is there, or says that the connection has ended.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.tcp.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the connection neither answers nor ends: {error}"),
        }
    }
}
