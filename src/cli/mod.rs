//! The command line.
//!
//! **Owns**: options and their layers, progress, all printing, exit statuses.
//!
//! **Must not know**: SQL, HTTP details.
//!
//! **Flow**: takes the arguments and the environment; calls the other modules; gives the exit status to `main`.

mod args;
mod commands;
mod config;
mod invocation;
mod layers;
mod output;
mod parse;
mod plan;
mod progress;
mod reach;
mod run;
mod sign_in;
mod signals;
mod summary;

pub use run::main;

/// The environment variable that can hold a bearer token.
const TOKEN_VARIABLE: &str = "CMBATCH_TOKEN";
/// The environment variable that can hold the secret of an OAuth client.
const CLIENT_SECRET_VARIABLE: &str = "CMBATCH_CLIENT_SECRET";
/// The environment variable that holds an account's password.
const PASSWORD_VARIABLE: &str = "CMBATCH_PASSWORD";
