//! Signals that ask the program to end.

use std::future::pending;
use std::io;

use nix::libc::{SIGHUP, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::platform::StopRequest;

/// Listens to SIGINT, SIGTERM and SIGHUP, which do not end the process from then on.
///
/// SIGHUP and SIGTERM stay ignored where whoever started the process had them ignored, as `nohup` does. SIGINT does not:
/// a shell has it ignored for every job that a script puts into the background, though nobody asked for that.
#[derive(Debug)]
pub struct StopRequests {
    interrupt: Signal,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl StopRequests {
    /// Begins to listen. Called in a runtime of tokio.
    ///
    /// # Errors
    /// The system's reason; then its default goes on to end the process.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { hangup: unless_ignored(SIGHUP)?, ..Self::listen_while_connected()? })
    }

    /// The same, but when its terminal goes away the process ends.
    ///
    /// # Errors
    /// The system's reason.
    pub fn listen_while_connected() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, unless_ignored(SIGTERM)?);
        Ok(Self { interrupt, terminate, hangup: None })
    }

    /// Waits for the next one. It can be dropped and asked again, and none is missed.
    pub async fn next(&mut self) -> StopRequest {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            () = received(&mut self.terminate) => {}
            () = received(&mut self.hangup) => {}
        }
        StopRequest::Soon
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// Listens to a signal; none where it is ignored, and stays so.
fn unless_ignored(number: i32) -> io::Result<Option<Signal>> {
    // Where the system has no such file, nothing is known to be ignored.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if is_ignored(&status, number) { Ok(None) } else { signal(SignalKind::from_raw(number)).map(Some) }
}

/// Returns whether a signal is in the set of ignored ones (`SigIgn`, proc_pid_status(5)). What the process listens to is not.
fn is_ignored(status: &str, number: i32) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    set >> (number - 1) & 1 == 1
}

/// Has a file over the user's limit be an error of the write from now on, and not the end of the process (SIGXFSZ). Called in a
/// runtime of tokio, which goes on to take the signal.
pub fn outlive_file_size_limit() {
    drop(signal(SignalKind::from_raw(nix::libc::SIGXFSZ)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        let status = |set: &str| format!("SigBlk:\tffffffffffffffff\nSigIgn:\t{set}\nSigCgt:\tffffffffffffffff\n");
        // Rust's own start ignores SIGPIPE (13).
        assert!(!is_ignored(&status("0000000000001000"), SIGHUP));
        assert!(is_ignored(&status("0000000000001001"), SIGHUP) && !is_ignored(&status("0000000000001001"), SIGTERM));
        assert!(is_ignored(&status("0000000000004000"), SIGTERM));
        assert!(!is_ignored("", SIGHUP) && !is_ignored(&status("?"), SIGHUP));
    }
}
