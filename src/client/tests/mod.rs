//! The client against servers that speak bytes, so that each moment of a call can go wrong.
//!
//! Every test of a create call says two things: which fault the client saw, and how many POSTs the server received whole.

mod answers;
mod cookies;
mod faults;
mod keep_alive;
mod oauth;
mod proxies;
mod raw;
mod reads;
mod secrets;
mod tls;
