//! Ctrl-C, SIGTERM and SIGHUP: the first drains, the second leaves. On Windows Ctrl-C and Ctrl-Break; the console's end leaves at
//! once, because Windows ends the process soon.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::platform::{StopRequest, StopRequests};
use crate::submit::StopLevel;

/// What a signal does before anything is sent: it ends the program in an orderly way.
#[derive(Clone)]
pub(crate) struct Before(Arc<Mutex<Option<LastWords>>>);

type LastWords = Box<dyn FnOnce() + Send>;

impl Before {
    /// From now on a signal is the pipeline's to see to.
    pub(crate) fn over(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Ends the program with the given last words and status when a signal comes before [`Before::over`]. Nothing was sent then,
/// and a ledger is whole or not there, so that nothing needs to be waited for: not even a person at the prompt.
pub(crate) fn before_sending(last_words: impl FnOnce() + Send + 'static, status: u8) -> Before {
    let before = Before(Arc::new(Mutex::new(Some(Box::new(last_words)))));
    let waiting = before.clone();
    // Where the thread or its runtime cannot be made, the system's default ends the program.
    drop(std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let Ok(mut requests) = StopRequests::listen() else { return };
            requests.next().await;
            let last_words = waiting.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(last_words) = last_words {
                last_words();
                #[expect(clippy::disallowed_methods, reason = "nothing was claimed that a last step would give back")]
                std::process::exit(status.into());
            }
        });
    }));
    before
}

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
    let Ok(mut requests) = StopRequests::listen() else { return Listener(None) };
    Listener(Some(tokio::spawn(async move {
        loop {
            let request = requests.next().await;
            level.send_modify(|level| {
                *level = match (request, *level) {
                    (StopRequest::Soon, StopLevel::Run) => StopLevel::Drain,
                    (StopRequest::Soon, StopLevel::Drain | StopLevel::Leave) | (StopRequest::Now, _) => {
                        StopLevel::Leave
                    }
                };
            });
        }
    })))
}
