//! A server made of bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::{AllowHttp, Answer, BaseUrl, Client, Endpoint, On503, Proxy, TransportFault, classify};
use crate::request::Outcome;

pub(super) const UUID: &str = "a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099";

/// A request that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The connection's number, from 0.
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Arrival>>>);

impl Log {
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn add(&self, arrival: Arrival) {
        self.0.lock().unwrap().push(arrival);
    }

    /// How many POSTs with this body arrived whole.
    pub(super) fn n_posts(&self, body: &[u8]) -> usize {
        self.arrivals().iter().filter(|arrival| arrival.head.starts_with("POST ") && arrival.body == body).count()
    }
}

/// The server's side of one connection.
pub(super) struct Peer<S = TcpStream> {
    pub(super) stream: S,
    pub(super) number: usize,
    log: Log,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) fn new(stream: S, number: usize, log: Log) -> Self {
        Self { stream, number, log, read: Vec::new() }
    }

    /// Reads a request's head; none where the client has gone.
    pub(super) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                let head = self.read.drain(..at + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads a whole request and logs it; none where the client has gone.
    pub(super) async fn request(&mut self) -> Option<Arrival> {
        let head = self.head().await?;
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        while self.read.len() < length {
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        let body = self.read.drain(..length).collect();
        let arrival = Arrival { connection: self.number, head, body };
        self.log.add(arrival.clone());
        Some(arrival)
    }

    /// Writes; says whether the client took it.
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Reads requests and answers each alike, until the client goes.
    pub(super) async fn serve(&mut self, answer: impl AsRef<[u8]>) {
        while self.request().await.is_some() {
            self.write(&answer).await;
        }
    }

    /// Waits until the client closes.
    pub(super) async fn until_closed(&mut self) {
        let mut rest = [0; 4096];
        while self.stream.read(&mut rest).await.is_ok_and(|n_read| n_read > 0) {}
    }
}

impl Peer {
    /// Waits until the client has sent something, and leaves it unread. (`readable` may return before that.)
    pub(super) async fn until_first_byte(&self) {
        self.stream.peek(&mut [0]).await.unwrap();
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// Listens on loopback until it is dropped.
pub(super) struct RawServer {
    pub(super) address: SocketAddr,
    pub(super) log: Log,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Starts a server that treats each connection so.
    pub(super) async fn start<F, T>(handler: F) -> Self
    where
        F: Fn(Peer) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let of_task = log.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(handler(Peer::new(stream, number, of_task.clone())));
            }
        });
        Self { address, log, task }
    }

    /// Starts a server that reads a request, writes this, and closes.
    pub(super) async fn answering(answer: impl AsRef<[u8]> + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |mut peer| {
            let answer = answer.clone();
            async move {
                peer.request().await;
                peer.write(answer).await;
            }
        })
        .await
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        endpoint(&format!("http://{}", self.address))
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.endpoint()).unwrap()
    }

    /// Makes one call, and says what was seen and how many POSTs arrived whole.
    pub(super) async fn call(&self) -> (Answer, usize) {
        let answer = self.client().create(BODY.to_vec(), None).await;
        (answer, self.log.n_posts(BODY))
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) const BODY: &[u8] = br#"{"type":"Enroll"}"#;

pub(super) fn endpoint(address: &str) -> Endpoint {
    let base = BaseUrl::parse(address, AllowHttp::Yes).unwrap();
    Endpoint { timeout: Duration::from_secs(60), proxy: Proxy::None, ..Endpoint::new(base) }
}

/// Returns an answer with this status line, these header lines and this body.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Returns a 201 as the page shows it.
pub(super) fn created() -> String {
    answer("201 Created", "Content-Type: application/json\r\n", &format!("\"api/v1.0/requests/{UUID}\""))
}

#[track_caller]
pub(super) fn fault((answer, n_posts): (Answer, usize)) -> (TransportFault, usize) {
    match answer {
        Answer::None { fault, message } => {
            assert!(!message.is_empty());
            (fault, n_posts)
        }
        Answer::Http(answer) => panic!("{answer:?}"),
    }
}

pub(super) fn meaning((answer, n_posts): (Answer, usize)) -> (Outcome, usize) {
    (classify(&answer, On503::InDoubt), n_posts)
}
