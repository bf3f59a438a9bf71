//! Signals that ask the program to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::platform::StopRequest;

/// Listens to SIGINT, SIGTERM and SIGHUP, which do not end the process from then on.
#[derive(Debug)]
pub struct StopRequests {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl StopRequests {
    /// Begins to listen. Called in a runtime of tokio.
    ///
    /// # Errors
    /// The system's reason; then its default goes on to end the process.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { hangup: Some(signal(SignalKind::hangup())?), ..Self::listen_while_connected()? })
    }

    /// The same, but when its terminal goes away the process ends.
    ///
    /// # Errors
    /// The system's reason.
    pub fn listen_while_connected() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup: None })
    }

    /// Waits for the next one. It can be dropped and asked again, and none is missed.
    pub async fn next(&mut self) -> StopRequest {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            Some(_) = async { self.hangup.as_mut()?.recv().await } => {}
        }
        StopRequest::Soon
    }
}

/// Has a file over the user's limit be an error of the write from now on, and not the end of the process (SIGXFSZ). Called in a
/// runtime of tokio, which goes on to take the signal.
pub fn outlive_file_size_limit() {
    drop(signal(SignalKind::from_raw(nix::libc::SIGXFSZ)));
}
