//! Ctrl-C, SIGTERM and SIGHUP: the first drains, the second leaves.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::submit::StopLevel;

/// Listens until it is dropped.
pub(crate) struct Listener(Option<JoinHandle<()>>);

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// Raises the level with each signal. Where signals cannot be listened to, the system's default ends the process,
/// which the ledger survives.
pub(crate) fn listen(level: watch::Sender<StopLevel>) -> Listener {
    let streams = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = streams else { return Listener(None) };
    // Listened to so that it does not end the process: a file over the user's limit is an error of the write then.
    let mut too_large = signal(SignalKind::from_raw(nix::libc::SIGXFSZ)).ok();
    Listener(Some(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                Some(_) = async { too_large.as_mut()?.recv().await } => continue,
            }
            level.send_modify(|level| {
                *level = match level {
                    StopLevel::Run => StopLevel::Drain,
                    StopLevel::Drain | StopLevel::Leave => StopLevel::Leave,
                };
            });
        }
    })))
}
