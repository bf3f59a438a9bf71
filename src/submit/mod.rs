//! Sending: from pending rows to recorded outcomes.
//!
//! **Owns**: the pace, the calls in flight, what is retried and when, the circuit breaker, how a run stops.
//!
//! **Must not know**: CSV, the terminal.
//!
//! **Flow**: takes claimed rows from `ledger`, sends them through `client`, gives outcomes back to `ledger`; tells events.

mod backoff;
mod binding;
mod breaker;
mod drift;
mod flow;
mod kinds;
mod memory;
mod pipeline;
mod policy;
mod rate;
mod read_back;
mod rows;
mod session;
mod setup;
mod steps;
mod stop;
mod throttle;
mod window;

#[cfg(test)]
mod tests;

pub use breaker::{BreakerRules, Trip};
pub use memory::{KnownKind, Memory};
pub use pipeline::run;
pub use rate::{InvalidRate, Period, Rate};
pub use session::{Session, SessionReport, Setting};
pub use setup::{Calls, CheckFirst, Engine, FinalLook, Limits, Patience, Sending, Wire, Work};
pub use stop::{StopLevel, StopReason, SubmitReport, Unrecorded};
