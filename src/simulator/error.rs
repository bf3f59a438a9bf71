//! Why a simulator does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::request::RequestUuid;

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is not one of this machine alone. Whoever reaches the simulator may create requests in it.
    #[error("the simulator listens on loopback only, and {address} is not; use 127.0.0.1:{}", address.port())]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Another program listens on the port.
    #[error("port {} on {} is in use; stop the program that listens there, or use port 0 for any free one", address.port(), address.ip())]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on, for another reason.
    #[error("cannot listen on {address}; try another port, or port 0 for any free one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file for the log of arrivals cannot be opened.
    #[error("cannot append to the log of arrivals \"{}\"; name a file in a folder that can be written", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Two of the seeded requests have the same uuid.
    #[error("the request {uuid} is seeded twice; give every request its own uuid")]
    SeededTwice {
        /// The uuid.
        uuid: RequestUuid,
    },
    /// The system gave no thread or event queue.
    #[error("cannot start the simulator's thread; free some memory or raise the limit of processes")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
