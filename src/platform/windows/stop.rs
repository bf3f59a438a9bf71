//! What asks the program to end.

use std::io;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown,
};

use crate::platform::StopRequest;

/// Listens to Ctrl-C and Ctrl-Break, and to the console's end, which do not end the process at once from then on.
#[derive(Debug)]
pub struct StopRequests {
    interrupt: CtrlC,
    break_key: CtrlBreak,
    end: Option<(CtrlClose, CtrlLogoff, CtrlShutdown)>,
}

impl StopRequests {
    /// Begins to listen. Called in a runtime of tokio.
    ///
    /// # Errors
    /// The system's reason; then its default goes on to end the process.
    pub fn listen() -> io::Result<Self> {
        let end = Some((ctrl_close()?, ctrl_logoff()?, ctrl_shutdown()?));
        Ok(Self { end, ..Self::listen_while_connected()? })
    }

    /// The same, but when its console goes away the process ends.
    ///
    /// # Errors
    /// The system's reason.
    pub fn listen_while_connected() -> io::Result<Self> {
        Ok(Self { interrupt: ctrl_c()?, break_key: ctrl_break()?, end: None })
    }

    /// Waits for the next one. It can be dropped and asked again, and none is missed.
    pub async fn next(&mut self) -> StopRequest {
        let Self { interrupt, break_key, end } = self;
        let end = async {
            let Some((close, logoff, shutdown)) = end else { return std::future::pending().await };
            tokio::select! {
                _ = close.recv() => {}
                _ = logoff.recv() => {}
                _ = shutdown.recv() => {}
            }
        };
        tokio::select! {
            _ = interrupt.recv() => StopRequest::Soon,
            _ = break_key.recv() => StopRequest::Soon,
            () = end => StopRequest::Now,
        }
    }
}

/// Does nothing: a file over a limit is an error of the write here.
pub const fn outlive_file_size_limit() {}
