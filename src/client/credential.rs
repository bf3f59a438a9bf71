//! The header that signs calls in where one does for many of them, and the file that it comes from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};

use super::auth::Auth;
use super::error::ClientError;
use super::watch::{Look, Stamp, Watch};
use crate::platform::since_boot;

/// How often the file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What renewing the credentials changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// There is nothing to renew: no sign-in, or a token out of the environment.
    NotPossible,
    /// They are what they were.
    Same,
    /// The next calls sign in with others, or do so already since the last time they were renewed.
    Changed,
}

/// The header of now, where calls sign in with one.
pub(crate) struct Credential {
    header: RwLock<Option<HeaderValue>>,
    file: Option<CredentialFile>,
}

/// A file that another process may rewrite.
struct CredentialFile {
    auth: Auth,
    path: PathBuf,
    /// In milliseconds of the clock that runs during sleep.
    next_look_ms: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watch: Watch,
    /// Another header was taken, and nobody was told yet who asked to renew.
    is_news: bool,
}

impl Credential {
    /// Reads what signs calls in.
    ///
    /// # Errors
    /// [`ClientError::Token`]: it is not taken.
    pub(crate) fn new(auth: &Auth) -> Result<Self, ClientError> {
        let Auth::BearerFile(path) = auth else {
            return Ok(Self { header: RwLock::new(auth.header()?), file: None });
        };
        let file = CredentialFile {
            auth: Auth::BearerFile(path.clone()),
            path: path.clone(),
            next_look_ms: AtomicU64::new(millis(since_boot() + LOOK_EVERY)),
            state: Mutex::default(),
        };
        let credential = Self { header: RwLock::default(), file: Some(file) };
        if let Some(file) = &credential.file {
            credential.read(file, &mut file.state())?;
            file.state().is_news = false;
        }
        Ok(credential)
    }

    /// Signs a request in. The file is looked at where that is due: a second at most after the last time, and read where it was
    /// rewritten. One that cannot be read, or holds no token at the moment, changes nothing.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        if let Some(file) = &self.file {
            self.look(file, since_boot());
        }
        let header = self.header.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, value);
        }
    }

    /// Reads the file again, whatever it looks like.
    ///
    /// # Errors
    /// [`ClientError::Token`]: it is not taken; the header stays what it was.
    pub(crate) fn renew(&self) -> Result<Renewed, ClientError> {
        let Some(file) = &self.file else { return Ok(Renewed::NotPossible) };
        let mut state = file.state();
        self.read(file, &mut state)?;
        // A call that left before the file was rewritten says nothing of what is in it now.
        Ok(if std::mem::take(&mut state.is_news) { Renewed::Changed } else { Renewed::Same })
    }

    fn look(&self, file: &CredentialFile, now: Duration) {
        let (now_ms, due) = (millis(now), file.next_look_ms.load(Ordering::Relaxed));
        if now_ms < due {
            return;
        }
        let next = millis(now + LOOK_EVERY);
        if file.next_look_ms.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let mut state = file.state();
        if state.watch.looked(Stamp::of(&file.path)) == Look::Read {
            // The fault is told by `renew` to whom the server refuses what is held.
            let _ = self.read(file, &mut state);
        }
    }

    fn read(&self, file: &CredentialFile, state: &mut State) -> Result<(), ClientError> {
        let stamp = Stamp::of(&file.path);
        let fresh = file.auth.header()?;
        state.watch.taken(stamp);
        let mut header = self.header.write().unwrap_or_else(PoisonError::into_inner);
        if *header != fresh {
            *header = fresh;
            state.is_news = true;
        }
        Ok(())
    }
}

impl CredentialFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Held {
        _folder: tempfile::TempDir,
        path: PathBuf,
        credential: Credential,
        now: Duration,
    }

    fn held(token: &str) -> Held {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, token);
        let credential = Credential::new(&Auth::BearerFile(path.clone())).unwrap();
        Held { _folder: folder, path, credential, now: since_boot() }
    }

    fn write(path: &std::path::Path, token: &str) {
        std::fs::write(path, token).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    impl Held {
        /// Returns what calls sign in with after so many looks.
        fn after(&mut self, n_looks: u32) -> String {
            for _ in 0..n_looks {
                self.now += LOOK_EVERY + Duration::from_millis(1);
                self.credential.look(self.credential.file.as_ref().unwrap(), self.now);
            }
            let header = self.credential.header.read().unwrap().clone();
            header.unwrap().to_str().unwrap().to_owned()
        }
    }

    #[test]
    fn a_file_that_is_rewritten_is_taken_without_a_refusal() {
        let mut held = held("one");
        write(&held.path, "another");
        assert_eq!((held.after(1), held.after(1)), ("Bearer one".to_owned(), "Bearer another".to_owned()));
        // A call that left with the old one may still be refused.
        assert_eq!(held.credential.renew().unwrap(), Renewed::Changed);
        assert_eq!(held.credential.renew().unwrap(), Renewed::Same);
    }

    #[test]
    fn a_file_that_holds_no_token_keeps_the_old_one_until_it_does() {
        let mut held = held("one");
        for wrong in ["", "not a token"] {
            write(&held.path, wrong);
            assert_eq!(held.after(3), "Bearer one");
            assert!(matches!(held.credential.renew(), Err(ClientError::Token(_))));
        }
        write(&held.path, "another");
        std::fs::set_permissions(&held.path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(held.after(3), "Bearer one");
        let said = held.credential.renew().unwrap_err().to_string();
        assert!(said.contains("open to others") && !said.contains("another"), "{said}");
        std::fs::set_permissions(&held.path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(held.after(2), "Bearer another");
        std::fs::remove_file(&held.path).unwrap();
        assert_eq!(held.after(3), "Bearer another");
        assert!(held.credential.renew().is_err());
    }

    #[test]
    fn the_file_is_looked_at_once_a_second() {
        let mut held = held("one");
        write(&held.path, "another");
        held.after(1);
        let file = held.credential.file.as_ref().unwrap();
        for n in 0..1_000 {
            held.credential.look(file, held.now + Duration::from_millis(n));
        }
        assert_eq!(held.after(0), "Bearer one");
        assert_eq!(held.after(1), "Bearer another");
    }
}
