//! A CM server of another make, whose memory is the truth: what it acted on is there, whatever was answered or listed.
//!
//! It shares nothing with the simulator, and nothing but loopback with the program.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";
/// Who makes requests where nothing else is said.
pub(super) const ACCOUNT: &str = "5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02";

/// A request that the server made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) uuid: String,
    /// The number of the call that it was made for, from 1; 0 where nobody called.
    pub(super) number: u32,
    /// By the server's clock.
    pub(super) submitted: Timestamp,
    pub(super) arrived: Instant,
    pub(super) body: Value,
    /// Properties of its object that are other ones than its body says; none takes one away.
    pub(super) odd: Vec<(&'static str, Option<Value>)>,
}

/// Returns the uuid of the request that call `number` makes when it is acted on for the `time`th time, from 1.
pub(super) fn uuid_of(number: u32, time: u32) -> String {
    format!("ca11ed00-{time:04x}-4000-8000-{number:012x}")
}

impl Made {
    /// One that somebody made by another way: the portal, say.
    pub(super) fn by_hand(uuid: &str, body: Value) -> Self {
        let uuid = uuid.to_owned();
        Self { uuid, number: 0, submitted: Timestamp::now(), arrived: Instant::now(), body, odd: Vec::new() }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    pub(super) fn target(&self) -> &str {
        self.text("target")
    }

    pub(super) fn comment(&self) -> &str {
        self.text("comment")
    }

    /// The same with another property of its object, or without it.
    pub(super) fn with(mut self, name: &'static str, value: Option<Value>) -> Self {
        self.odd.push((name, value));
        self
    }

    fn object(&self) -> Value {
        let guid = |name: &str| self.body[name].as_str().unwrap_or(NO_GUID).to_owned();
        let kind = match self.text("type") {
            "Enroll" => 1,
            "Revoke" => 4,
            "Unblock" => 5,
            _ => 9,
        };
        let mut object = json!({
            "Uuid": self.uuid, "RequestType": kind, "Status": 3, "Flags": 0, "DataCollection": [],
            "OriginatorUserUuid": ACCOUNT, "TargetUserUuid": guid("target"), "Submitted": self.submitted.to_string(),
            "Completed": "0001-01-01T00:00:00", "NewProfileUuid": NO_GUID, "OldProfileUuid": NO_GUID,
            "NewSmartcardUuid": NO_GUID, "OldSmartcardUuid": guid("smartcard"), "Priority": 0,
            "Comment": self.comment(), "ProfileTemplateUuid": guid("profiletemplateuuid"), "IsSmartcard": false,
        });
        for (name, value) in &self.odd {
            let object = object.as_object_mut().unwrap();
            match value {
                Some(value) => drop(object.insert((*name).to_owned(), value.clone())),
                None => drop(object.remove(*name)),
            }
        }
        object
    }
}

/// What becomes of a create call.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    /// How often the server acts on it: a gateway repeats calls.
    pub(super) times: u32,
    /// How long it takes to act after it answered; none where it acts first.
    pub(super) late: Option<Duration>,
    pub(super) reply: Reply,
}

impl Deed {
    pub(super) fn done(reply: Reply) -> Self {
        Self { times: 1, late: None, reply }
    }

    pub(super) fn refused(status: u16) -> Self {
        Self { times: 0, late: None, reply: Reply::Status(status, r#"{"Message":"as scripted"}"#) }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A 201 with the uuid of what was made.
    Own,
    /// A 201 with this uuid.
    As(String),
    Status(u16, &'static str),
    /// The connection is closed.
    Lost,
}

/// What the list is.
pub(super) struct Shown {
    pub(super) made: Vec<Made>,
    pub(super) how: How,
}

/// How it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    Whole,
    Status(u16),
    /// With an `Age`: somebody kept it.
    Aged(u32),
    /// With a `Date` of so many seconds before: somebody kept it, and does not say so.
    Dated(u32),
    /// It never ends, and something comes all the time.
    Trickle,
    /// Nothing comes.
    Silence,
}

/// What is read by a uuid.
pub(super) enum Reading {
    Whole(Box<Made>),
    Status(u16),
    Reset,
}

/// What becomes of the create call of this number, from 1, with this body.
type Post = Box<dyn Fn(u32, &Value) -> Deed + Send + Sync>;

/// How the server is. The default does what it is asked for and shows all.
pub(super) struct Manner {
    /// By how much its clock is ahead.
    pub(super) clock: SignedDuration,
    /// How long a create call takes.
    pub(super) pace: Duration,
    pub(super) post: Post,
    /// The list of this number, from 1, of what was made.
    pub(super) list: Box<dyn Fn(u32, Vec<Made>) -> Shown + Send + Sync>,
    /// The read by uuid of this number, from 1.
    pub(super) read: Box<dyn Fn(u32, Made) -> Reading + Send + Sync>,
    /// What it makes of a request when it makes it.
    pub(super) kept: Box<dyn Fn(Made) -> Made + Send + Sync>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            clock: SignedDuration::ZERO,
            pace: Duration::ZERO,
            post: Box::new(|_, _| Deed::done(Reply::Own)),
            list: Box::new(|_, made| Shown { made, how: How::Whole }),
            read: Box::new(|_, made| Reading::Whole(Box::new(made))),
            kept: Box::new(|made| made),
        }
    }
}

impl Manner {
    /// It takes this long for each create call.
    pub(super) fn slow(pace_ms: u64) -> Self {
        Self { pace: Duration::from_millis(pace_ms), ..Self::default() }
    }

    pub(super) fn posting(self, post: impl Fn(u32, &Value) -> Deed + Send + Sync + 'static) -> Self {
        Self { post: Box::new(post), ..self }
    }

    pub(super) fn listing(self, list: impl Fn(u32, Vec<Made>) -> Shown + Send + Sync + 'static) -> Self {
        Self { list: Box::new(list), ..self }
    }

    /// The list is always sent like this.
    pub(super) fn list_as(self, how: How) -> Self {
        self.listing(move |_, made| Shown { made, how: how.clone() })
    }

    /// The list has what passes; its place is counted from 0 in the order of creation, of so many.
    pub(super) fn showing(self, shows: impl Fn(usize, usize, &Made) -> bool + Send + Sync + 'static) -> Self {
        self.listing(move |_, made| {
            let n = made.len();
            let shown = made.into_iter().enumerate().filter(|(place, made)| shows(*place, n, made));
            Shown { made: shown.map(|(_, made)| made).collect(), how: How::Whole }
        })
    }

    pub(super) fn reading(self, read: impl Fn(u32, Made) -> Reading + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read), ..self }
    }

    pub(super) fn keeping(self, kept: impl Fn(Made) -> Made + Send + Sync + 'static) -> Self {
        Self { kept: Box::new(kept), ..self }
    }
}

struct Shared {
    manner: Mutex<Arc<Manner>>,
    made: Mutex<Vec<Made>>,
    n_posts: AtomicU32,
    n_lists: AtomicU32,
    n_reads: AtomicU32,
    is_away: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// The server; its port is closed when it is dropped.
pub(super) struct Cm {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Cm {
    pub(super) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(Arc::new(manner)),
            made: Mutex::default(),
            n_posts: AtomicU32::new(0),
            n_lists: AtomicU32::new(0),
            n_reads: AtomicU32::new(0),
            is_away: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let listener = Mutex::new(Some(listen(listener, &shared)));
        Self { address, shared, listener }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/CertificateManagement", self.address)
    }

    /// From now on it is otherwise; calls are counted on.
    pub(super) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = Arc::new(manner);
    }

    /// Whether nobody listens any more: calls that came are still answered, and connections are refused.
    pub(super) fn away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
        if is_away {
            let _ = TcpStream::connect(self.address);
            self.listener.lock().unwrap().take().unwrap().join().unwrap();
            for stream in self.shared.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Read);
            }
        } else {
            *self.listener.lock().unwrap() = Some(listen(TcpListener::bind(self.address).unwrap(), &self.shared));
        }
    }

    /// What exists, in the order of creation.
    pub(super) fn made(&self) -> Vec<Made> {
        self.shared.made.lock().unwrap().clone()
    }

    pub(super) fn n_made(&self) -> usize {
        self.shared.made.lock().unwrap().len()
    }

    /// Somebody else makes a request.
    pub(super) fn add(&self, made: Made) {
        self.shared.made.lock().unwrap().push(made);
    }

    /// How many create calls arrived, acted on or not.
    pub(super) fn n_posts(&self) -> usize {
        self.shared.n_posts.load(Ordering::SeqCst) as usize
    }

    pub(super) fn n_lists(&self) -> u32 {
        self.shared.n_lists.load(Ordering::SeqCst)
    }

    /// What was asked for more than once: type, template, target, and the uuids.
    pub(super) fn twice(&self) -> Vec<(String, Vec<String>)> {
        let mut by_call: HashMap<String, Vec<String>> = HashMap::new();
        for made in self.made() {
            let what = format!("{} {} {}", made.text("type"), made.text("profiletemplateuuid"), made.target());
            by_call.entry(what).or_default().push(made.uuid);
        }
        by_call.into_iter().filter(|(_, uuids)| uuids.len() > 1).collect()
    }

    /// Fails where anything was created more than once.
    #[track_caller]
    pub(super) fn never_twice(&self) {
        let twice = self.twice();
        assert!(twice.is_empty(), "{} of {} twice: {twice:?}", twice.len(), self.n_made());
    }
}

impl Drop for Cm {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.lock().unwrap().take() {
            let _ = listener.join();
        }
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Takes connections until the server is over or away.
fn listen(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.is_over.load(Ordering::SeqCst) || shared.is_away.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let _ = stream.set_nodelay(true);
            shared.open.lock().unwrap().extend(stream.try_clone());
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(&stream, &shared));
        }
    })
}

/// A call as it arrived.
struct Call {
    method: String,
    path: String,
    body: Value,
}

fn read_call(reader: &mut BufReader<&TcpStream>) -> Option<Call> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
        if header.trim_end().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Call { method, path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

/// Serves the calls of a connection until one side ends it.
fn serve(stream: &TcpStream, shared: &Arc<Shared>) {
    let mut reader = BufReader::new(stream);
    while let Some(call) = read_call(&mut reader) {
        let manner = Arc::clone(&shared.manner.lock().unwrap());
        let done = if call.method == "POST" {
            post(stream, shared, &manner, &call.body)
        } else {
            get(stream, shared, &manner, &call.path)
        };
        if done.is_none() || shared.is_away.load(Ordering::SeqCst) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn post(stream: &TcpStream, shared: &Arc<Shared>, manner: &Arc<Manner>, body: &Value) -> Option<()> {
    let number = shared.n_posts.fetch_add(1, Ordering::SeqCst) + 1;
    std::thread::sleep(manner.pace);
    let Deed { times, late, reply } = (manner.post)(number, body);
    let act = {
        let (shared, manner, body) = (Arc::clone(shared), Arc::clone(manner), body.clone());
        move || {
            for time in 1..=times {
                let submitted = Timestamp::now() + manner.clock;
                let (uuid, body) = (uuid_of(number, time), body.clone());
                let made = Made { uuid, number, submitted, arrived: Instant::now(), body, odd: Vec::new() };
                shared.made.lock().unwrap().push((manner.kept)(made));
            }
        }
    };
    match late {
        None => act(),
        Some(late) => drop(std::thread::spawn(move || {
            std::thread::sleep(late);
            act();
        })),
    }
    let created = |uuid: &str| answer(stream, manner, 201, "", &format!("\"api/v1.0/requests/{uuid}\""));
    match reply {
        Reply::Own => created(&uuid_of(number, 1)),
        Reply::As(uuid) => created(&uuid),
        Reply::Status(status, body) => answer(stream, manner, status, "", body),
        Reply::Lost => None,
    }
}

fn get(stream: &TcpStream, shared: &Arc<Shared>, manner: &Manner, path: &str) -> Option<()> {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/').to_ascii_lowercase();
    let (before, last) = path.rsplit_once('/')?;
    if last == "requests" {
        let number = shared.n_lists.fetch_add(1, Ordering::SeqCst) + 1;
        let made = shared.made.lock().unwrap().clone();
        return list(stream, shared, manner, (manner.list)(number, made));
    }
    if !before.ends_with("/requests") {
        return answer(stream, manner, 200, "", "[]");
    }
    let number = shared.n_reads.fetch_add(1, Ordering::SeqCst) + 1;
    let found = shared.made.lock().unwrap().iter().find(|made| made.uuid == last).cloned();
    let Some(made) = found else { return answer(stream, manner, 404, "", "") };
    match (manner.read)(number, made) {
        Reading::Whole(made) => answer(stream, manner, 200, "", &made.object().to_string()),
        Reading::Status(status) => answer(stream, manner, status, "", ""),
        Reading::Reset => None,
    }
}

fn list(stream: &TcpStream, shared: &Shared, manner: &Manner, shown: Shown) -> Option<()> {
    let objects: Vec<String> = shown.made.iter().map(|made| made.object().to_string()).collect();
    let text = format!("[{}]", objects.join(","));
    match shown.how {
        How::Whole => answer(stream, manner, 200, "", &text),
        How::Status(status) => answer(stream, manner, status, "", ""),
        How::Aged(age) => answer(stream, manner, 200, &format!("Age: {age}\r\n"), &text),
        How::Dated(age) => {
            answer_at(stream, Timestamp::now() + manner.clock - SignedDuration::from_secs(age.into()), 200, "", &text)
        }
        How::Silence => until_over(shared, || true),
        How::Trickle => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[";
            (&*stream).write_all(head.as_bytes()).ok()?;
            until_over(shared, || (&*stream).write_all(b" ").is_ok())
        }
    }
}

fn until_over(shared: &Shared, goes_on: impl Fn() -> bool) -> Option<()> {
    while !shared.is_over.load(Ordering::SeqCst) && goes_on() {
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

fn answer(stream: &TcpStream, manner: &Manner, status: u16, headers: &str, body: &str) -> Option<()> {
    answer_at(stream, Timestamp::now() + manner.clock, status, headers, body)
}

fn answer_at(mut stream: &TcpStream, at: Timestamp, status: u16, headers: &str, body: &str) -> Option<()> {
    let seconds = u64::try_from(at.as_second()).unwrap();
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nDate: {date}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()
}
