//! The simulator: its thread, and the way of a call through it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use super::arrivals::{Arrival, Arrivals, open_log};
use super::error::SimulatorError;
use super::injector::{Course, Injector};
use super::reply::Reply;
use super::response::{empty_response, respond};
use super::route::Route;
use super::script::Script;
use super::store::{Clock, SeededRequest, Store, StoredRequest};
use super::wire::{Door, Wire, WireHandle};
use super::world::{Acted, Call, World};

/// An embedded CM server on loopback. It runs on a thread of its own until it is stopped or dropped.
///
/// ```
/// use cmbatch::simulator::{Script, Simulator};
/// let simulator = Simulator::start(Script::default(), "127.0.0.1:0".parse().unwrap(), Vec::new()).unwrap();
/// assert!(simulator.base_url().ends_with("/CertificateManagement"));
/// assert!(simulator.requests().is_empty());
/// simulator.stop();
/// ```
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What the calls and the handle share.
pub(crate) struct Shared {
    pub(crate) arrivals: Arrivals,
    world: Mutex<World>,
    reboots: mpsc::Sender<Duration>,
    n_boots: watch::Receiver<u64>,
}

impl Shared {
    /// No call leaves the world half changed, so that a panic in one does not spoil the others.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Starts a simulator that knows these requests. Its port is open when this returns; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// An address other than loopback, a port in use, a log that cannot be opened, two seeded requests with one uuid.
    pub fn start(script: Script, address: SocketAddr, seeded: Vec<SeededRequest>) -> Result<Self, SimulatorError> {
        if !address.ip().is_loopback() {
            return Err(SimulatorError::NotLoopback { address });
        }
        let clock = Clock::start();
        let file = match &script.log {
            Some(path) => Some(open_log(path).map_err(|source| SimulatorError::Log { path: path.clone(), source })?),
            None => None,
        };
        let arrivals = Arrivals::new(clock, script.keep_arrivals, file);
        let mut store = Store::new(&script.templates, script.life, clock);
        for request in seeded {
            store.seed(request).map_err(|uuid| SimulatorError::SeededTwice { uuid })?;
        }
        let injector = Injector::new(script.seed, script.latency, script.faults);
        let close_idle = injector.close_idle();
        let world = Mutex::new(World { store, injector, templates: script.templates, life: script.life });

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| SimulatorError::Thread { source })?;
        // One reboot at a time: what asks for another while the server goes away is content with this one.
        let (reboots, asked) = mpsc::channel(1);
        let (boots, n_boots) = watch::channel(0);
        let shared = Arc::new(Shared { arrivals, world, reboots, n_boots });
        let door = {
            let _inside = runtime.enter();
            Door::open(address, close_idle, asked, boots).map_err(|source| listen_error(address, source))?
        };
        let address = door.address();
        let running = Some(run(runtime, door, Arc::clone(&shared))?);
        Ok(Self { address, shared, running })
    }

    /// Returns the address to give to a client: `http://127.0.0.1:PORT/CertificateManagement`.
    pub fn base_url(&self) -> String {
        format!("http://{}/CertificateManagement", self.address)
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns every arrival so far, in the order of their numbers (only the newest, where the script says so).
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.all()
    }

    /// Returns every request that exists now, in the order in which they were created.
    pub fn requests(&self) -> Vec<StoredRequest> {
        self.shared.world().store.all()
    }

    /// Takes the error that ended the log of arrivals, where one did. Nothing was appended after it.
    pub fn take_log_error(&self) -> Option<io::Error> {
        self.shared.arrivals.take_failure()
    }

    /// Stops: the port is closed and all connections have ended when this returns.
    ///
    /// # Panics
    ///
    /// If the simulator's thread did.
    pub fn stop(mut self) {
        if let Some(Err(panic)) = self.running.take().map(Running::end) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // A panic there was printed when it happened, and must not become an abort here.
            let _ = running.end();
        }
    }
}

impl Running {
    fn end(self) -> std::thread::Result<()> {
        // Nobody listens only where the thread has ended already.
        let _ = self.stop.send(());
        self.thread.join()
    }
}

fn listen_error(address: SocketAddr, source: io::Error) -> SimulatorError {
    if source.kind() == io::ErrorKind::AddrInUse {
        SimulatorError::PortInUse { address }
    } else {
        SimulatorError::Listen { address, source }
    }
}

fn run(runtime: Runtime, door: Door, shared: Arc<Shared>) -> Result<Running, SimulatorError> {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("simulator".to_owned());
    let app = Router::new().fallback(answer).with_state(shared).into_make_service_with_connect_info::<WireHandle>();
    let serve = async move {
        tokio::select! {
            // The sender goes away with the handle: that is a stop too.
            _ = stopped => {}
            _ = axum::serve(door, app) => {}
        }
    };
    let thread = thread.spawn(move || runtime.block_on(serve)).map_err(|source| SimulatorError::Thread { source })?;
    Ok(Running { stop, thread })
}

/// The longest body that is read: the limit that ASP.NET has by itself.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(WireHandle(wire)): ConnectInfo<WireHandle>,
    request: Request,
) -> Response {
    let at = Instant::now();
    let boot = *shared.n_boots.borrow();
    let _busy = wire.call();
    let (head, body) = request.into_parts();
    let route = Route::read(&head.method, head.uri.path());
    if route == Route::Arrivals {
        let acted = shared.world().act(&Call { route, query: None, authorization: None, body: Bytes::new() });
        return finish(&shared, &wire, acted.reply, Course::default(), boot).await;
    }
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    let number = shared.arrivals.begin(wire.number, at, &head, body.as_ref().cloned().unwrap_or_default());
    let Ok(body) = body else {
        // It broke off or is too long. The server has not seen what was asked for, and the rest cannot be read.
        shared.arrivals.finish(number, None, None);
        return finish(&shared, &wire, Reply::Close, Course::default(), boot).await;
    };
    let call = Call {
        route,
        query: head.uri.query().map(str::to_owned),
        authorization: head.headers.get(header::AUTHORIZATION).map(|value| Bytes::copy_from_slice(value.as_bytes())),
        body,
    };
    let (refused, course) = shared.world().receive(&call, at);
    let reply = if course.latency.is_zero() {
        act(&shared, number, &call, refused)
    } else {
        // Not in this future, which ends when the client hangs up: ASP.NET works on all the same.
        let late = tokio::spawn(act_later(Arc::clone(&shared), number, call, refused, course.latency, boot));
        late.await.unwrap_or(Reply::Close)
    };
    finish(&shared, &wire, reply, course, boot).await
}

async fn act_later(
    shared: Arc<Shared>,
    number: u64,
    call: Call,
    refused: Option<Reply>,
    latency: Duration,
    boot: u64,
) -> Reply {
    tokio::select! {
        biased;
        // What a reboot finds undone is never done.
        _ = rebooted(&shared, boot) => {
            shared.arrivals.finish(number, None, None);
            Reply::Close
        }
        () = sleep(latency) => act(&shared, number, &call, refused),
    }
}

fn act(shared: &Shared, number: u64, call: &Call, refused: Option<Reply>) -> Reply {
    let acted = match refused {
        Some(reply) => Acted { reply, created: None },
        None => shared.world().act(call),
    };
    let answered = match &acted.reply {
        Reply::Answer(answer) => Some(answer.status.as_u16()),
        Reply::Close | Reply::Reboot(_) => None,
    };
    // Before the answer: a client that was told something finds it in the log.
    shared.arrivals.finish(number, answered, acted.created);
    if let Reply::Reboot(down) = acted.reply {
        // Here, because the client may have hung up. Where it is full, the server is going away already.
        let _ = shared.reboots.try_send(down);
    }
    acted.reply
}

/// Waits until the server has gone away since it was up for the nth time, or has stopped altogether.
async fn rebooted(shared: &Shared, boot: u64) {
    // An error: the other end is gone with the door.
    let _ = shared.n_boots.clone().wait_for(|n_boots| *n_boots != boot).await;
}

async fn finish(shared: &Arc<Shared>, wire: &Arc<Wire>, reply: Reply, course: Course, boot: u64) -> Response {
    if !course.answer_delay.is_zero() {
        sleep(course.answer_delay).await;
    }
    match reply {
        Reply::Answer(answer) => respond(answer, course, shared, wire),
        Reply::Close => {
            wire.cut();
            empty_response()
        }
        Reply::Reboot(_) => {
            // First the port is closed, then the connections: a client that comes back at once is refused.
            rebooted(shared, boot).await;
            wire.cut();
            empty_response()
        }
    }
}
