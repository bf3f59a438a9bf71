//! What a use case works with.

use crate::event::EventSink;
use crate::ledger::SessionInfo;
use crate::machine::Machine;

/// The world that a use case works in.
pub struct Env<'a, S> {
    /// Clocks, random bytes, threads.
    pub machine: &'a Machine,
    /// The server: it makes calls and gives lists.
    pub server: &'a S,
    /// Who is told what happens.
    pub sink: &'a dyn EventSink,
    /// Who works, as the ledger is to record it.
    pub session: &'a SessionInfo,
}

impl<S> Clone for Env<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Env<'_, S> {}
