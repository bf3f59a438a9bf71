//! A CM server of its own, made of bytes and threads: another one than the simulator, with faults of its own.
//!
//! What it does is said call by call, in plain closures; what it did is kept as the oracle of a test.

mod script;
mod store;
mod wire;

pub(crate) use script::{Answer, Break, Fate, ListAs, Listing, ReadAs, Script, Written, answer, status};

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::oracle::Seen;
use store::Store;

/// What connections and the handle share.
struct Shared {
    script: Mutex<Arc<Script>>,
    store: Mutex<Store>,
    /// Create calls that were begun, whether or not they arrived whole.
    begun: AtomicU32,
    over: AtomicBool,
    /// The connections, to end them at last. Weak, because what holds one keeps it from being reset.
    open: Mutex<Vec<Weak<TcpStream>>>,
}

impl Shared {
    fn script(&self) -> Arc<Script> {
        Arc::clone(&self.script.lock().unwrap())
    }
}

/// A server on loopback; its port is closed when it is dropped.
pub(crate) struct Chaos {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Chaos {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            store: Mutex::default(),
            begun: AtomicU32::new(0),
            over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let listener = Some(std::thread::spawn(move || accept(&listener, &of_thread)));
        Self { address, shared, listener }
    }

    /// What to give as `--server`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/CertificateManagement", self.address)
    }

    /// From now on it behaves otherwise; calls are counted on.
    pub(crate) fn behave(&self, script: Script) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// The create calls that arrived whole, in their order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.store.lock().unwrap().calls.iter().map(|(_, seen)| seen.clone()).collect()
    }

    /// When they arrived.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.shared.store.lock().unwrap().calls.iter().map(|(at, _)| *at).collect()
    }

    /// How many they are.
    pub(crate) fn n_posts(&self) -> usize {
        self.shared.store.lock().unwrap().calls.len()
    }

    /// How many requests exist.
    pub(crate) fn n_requests(&self) -> usize {
        self.shared.store.lock().unwrap().requests.len()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        for stream in self.shared.open.lock().unwrap().drain(..).filter_map(|stream| stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (1..).zip(listener.incoming()) {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        if (shared.script().refuses)(number) {
            wire::end_by_reset(&stream);
            continue;
        }
        let stream = Arc::new(stream);
        shared.open.lock().unwrap().push(Arc::downgrade(&stream));
        let shared = Arc::clone(shared);
        std::thread::spawn(move || wire::serve(stream, &shared));
    }
}
