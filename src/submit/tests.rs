//! The pipeline against an engine and a server made of plain values, in paused time.

mod crowding;
mod first;
mod model;
mod rounds;
mod sending;
mod server;
mod sessions;
mod throttling;
