//! An embedded CM server with scripted faults, for rehearsals and tests.
//!
//! **Owns**: the routes and objects of the API, the life of a request, faults, the log of arrivals.
//!
//! **Must not know**: anything of this crate but `request`.
//!
//! **Flow**: takes a [`Script`] and the requests that exist already; serves HTTP on loopback until it is stopped; gives
//! the log of arrivals and the requests that exist to whoever asks.
//!
//! One call goes through these stages, and each kind of fault belongs to one of them: it arrives (and is logged), may be
//! refused, waits, is judged, acts, is logged again with what became of it, and is answered (or not).
//! What the published pages leave open is decided here and marked as *chosen* or *inferred* where it stands.

mod arrivals;
mod body;
mod chance;
mod error;
mod fault;
mod injector;
mod objects;
mod reply;
mod response;
mod route;
mod script;
mod server;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod units;
mod wire;
mod world;

pub use arrivals::Arrival;
pub use error::SimulatorError;
pub use fault::{Fault, FaultError, FaultHelp};
pub use script::{InvalidLatency, LatencyRange, Life, Script, Template, TemplateKind};
pub use server::Simulator;
pub use status::RequestStatus;
pub use store::{DataItem, SeededRequest, StoredRequest};
pub use units::InvalidSpan;
