//! The header that signs calls in where one does for many of them, and the file that it comes from.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{AUTHORIZATION, COOKIE, HeaderMap};
use http::{HeaderName, HeaderValue};
use reqwest::Response;

use super::auth::{self, Auth};
use super::base_url::BaseUrl;
use super::cookie::{self, Site};
use super::error::{ClientError, CookieError, CookieFault};
use super::watch::{Look, Watch};
use super::{private_file, session};
use crate::platform::{since_boot, stamp};

/// The longest file of cookies, in bytes: a browser's exporter may write all that it has.
const MAX_COOKIE_FILE_BYTES: usize = 1024 * 1024;
/// How often the file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon again where it was rewritten just now.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    source: Source,
    /// In milliseconds of the clock that runs during sleep.
    next_look_ms: AtomicU64,
    state: Mutex<State>,
}

/// What is in the file.
enum Source {
    Token(PathBuf),
    Cookies(PathBuf, Site),
}

#[derive(Default)]
struct State {
    watch: Watch,
    /// Another header was taken, and nobody was told yet who asked to renew.
    is_news: bool,
    /// Why no call goes out with the cookies that are held.
    over: Option<String>,
}

impl Credential {
    /// Reads what signs calls in.
    ///
    /// # Errors
    /// [`ClientError::Token`], [`ClientError::Cookie`]: it is not taken.
    pub(crate) fn new(auth: &Auth, base: &BaseUrl) -> Result<Self, ClientError> {
        let source = match auth {
            Auth::BearerFile(path) => Source::Token(path.clone()),
            Auth::CookieFile(path) => Source::Cookies(path.clone(), Site::of(base)),
            Auth::None | Auth::Negotiate(_) | Auth::OAuth(_) | Auth::BearerEnv { .. } => {
                return Ok(Self { header: RwLock::new(auth.header()?), file: None });
            }
        };
        let mut state = State::default();
        state.watch.taken(stamp(source.path()));
        let header = RwLock::new(Some(source.read()?));
        let next_look_ms = AtomicU64::new(millis(since_boot() + LOOK_EVERY));
        Ok(Self { header, file: Some(CredentialFile { source, next_look_ms, state: Mutex::new(state) }) })
    }

    /// Signs a request in. The file is looked at where that is due, about once a second, and read where it was rewritten. One
    /// that cannot be read, or holds nothing of use at the moment, changes nothing.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        if let Some(file) = &self.file {
            self.look(file, since_boot());
        }
        if let Some(value) = self.held() {
            let name = self.file.as_ref().map_or(AUTHORIZATION, |file| file.source.header_name());
            headers.insert(name, value);
        }
    }

    /// Returns whether calls sign in with the cookies of a session.
    pub(crate) fn is_session(&self) -> bool {
        matches!(&self.file, Some(CredentialFile { source: Source::Cookies(..), .. }))
    }

    /// Says why no call goes out: its cookies' session is over, and there are no others in the file yet.
    pub(crate) fn check_session(&self) -> Result<(), String> {
        let Some(file) = self.file.as_ref().filter(|_| self.is_session()) else { return Ok(()) };
        let mut state = file.state();
        if state.over.is_none() {
            return Ok(());
        }
        match (self.read(file, &mut state), &state.over) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(why)) => Err(why.clone()),
            (Err(error), _) => Err(error.to_string()),
        }
    }

    /// Returns the cookies that a request goes out with; none where it signs in with something else.
    pub(crate) fn cookies_of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.is_session() { headers.get(COOKIE).cloned() } else { None }
    }

    /// Takes the answer to a call with these cookies, and says why their session is over where it is.
    pub(crate) fn see_answer(&self, cookies: &HeaderValue, response: &Response) -> Option<String> {
        let seen = session::other_than_api(response.status(), response.headers())?;
        let file = self.file.as_ref()?;
        let path = file.source.path();
        let why = format!(
            "the session of the cookies in {path:?}{} is over, or is none for this server, which {seen}; sign in with the \
             browser again, and write the file anew",
            session::written_ago(path, SystemTime::now())
        );
        // A call that left with the cookies before says nothing of those that are held.
        if self.held().as_ref() == Some(cookies) {
            file.state().over = Some(why.clone());
        }
        Some(why)
    }

    fn held(&self) -> Option<HeaderValue> {
        self.header.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again, whatever it looks like.
    ///
    /// # Errors
    /// [`ClientError::Token`], [`ClientError::Cookie`]: it is not taken; the header stays what it was.
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
        match state.watch.looked(stamp(file.source.path())) {
            Look::Keep => {}
            Look::Again => file.next_look_ms.store(millis(now + LOOK_AGAIN), Ordering::Relaxed),
            // The fault is told by `renew` to whom the server refuses what is held.
            Look::Read => drop(self.read(file, &mut state)),
        }
    }

    fn read(&self, file: &CredentialFile, state: &mut State) -> Result<(), ClientError> {
        let stamp = stamp(file.source.path());
        let fresh = Some(file.source.read()?);
        state.watch.taken(stamp);
        let mut header = self.header.write().unwrap_or_else(PoisonError::into_inner);
        if *header != fresh {
            *header = fresh;
            state.is_news = true;
            state.over = None;
        }
        Ok(())
    }
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Token(path) | Self::Cookies(path, _) => path,
        }
    }

    const fn header_name(&self) -> HeaderName {
        match self {
            Self::Token(_) => AUTHORIZATION,
            Self::Cookies(..) => COOKIE,
        }
    }

    fn read(&self) -> Result<HeaderValue, ClientError> {
        match self {
            Self::Token(path) => Ok(auth::of_token_file(path)?),
            Self::Cookies(path, site) => {
                let header = || {
                    let bytes = private_file::read(path, MAX_COOKIE_FILE_BYTES)?;
                    let text = String::from_utf8(bytes).map_err(|_| CookieFault::Neither)?;
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    cookie::header(&text, site, i64::try_from(now).unwrap_or(i64::MAX))
                };
                Ok(header().map_err(|fault| CookieError { path: path.clone(), fault })?)
            }
        }
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
    use super::*;
    use crate::client::AllowHttp;
    use crate::platform::set_mode;

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
        let base = BaseUrl::parse("cm.contoso.test", AllowHttp::LoopbackOnly).unwrap();
        let credential = Credential::new(&Auth::BearerFile(path.clone()), &base).unwrap();
        Held { _folder: folder, path, credential, now: since_boot() }
    }

    fn write(path: &std::path::Path, token: &str) {
        std::fs::write(path, token).unwrap();
        set_mode(path, 0o600);
    }

    impl Held {
        /// Returns what calls sign in with after so many looks that were due.
        fn after(&mut self, n_looks: u64) -> String {
            (0..n_looks).for_each(|_| self.pass(1_001));
            self.header()
        }

        /// Makes a call after so many milliseconds.
        fn pass(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
            self.credential.look(self.credential.file.as_ref().unwrap(), self.now);
        }

        fn header(&self) -> String {
            self.credential.held().unwrap().to_str().unwrap().to_owned()
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
        if cfg!(unix) {
            set_mode(&held.path, 0o644);
            assert_eq!(held.after(3), "Bearer one");
            let said = held.credential.renew().unwrap_err().to_string();
            assert!(said.contains("open to others") && !said.contains("another"), "{said}");
        }
        set_mode(&held.path, 0o600);
        assert_eq!(held.after(2), "Bearer another");
        std::fs::remove_file(&held.path).unwrap();
        assert_eq!(held.after(3), "Bearer another");
        assert!(held.credential.renew().is_err());
    }

    #[test]
    fn a_late_answer_to_a_call_with_older_cookies_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cookies");
        write(&path, "a=old");
        let base = BaseUrl::parse("cm.contoso.test", AllowHttp::LoopbackOnly).unwrap();
        let credential = Credential::new(&Auth::CookieFile(path.clone()), &base).unwrap();
        let on = || Response::from(http::Response::builder().status(302).body(Vec::new()).unwrap());
        let old = HeaderValue::from_static("a=old");
        assert!(credential.see_answer(&old, &on()).is_some() && credential.check_session().is_err());
        write(&path, "a=new");
        assert!(credential.check_session().is_ok());
        assert!(credential.see_answer(&old, &on()).is_some() && credential.check_session().is_ok());
    }

    #[test]
    fn the_file_is_looked_at_once_a_second_and_soon_again_where_it_was_rewritten() {
        let mut held = held("one");
        write(&held.path, "another");
        held.pass(1_001);
        (0..99).for_each(|_| held.pass(1));
        assert_eq!(held.header(), "Bearer one");
        held.pass(1);
        assert_eq!(held.header(), "Bearer another");
        write(&held.path, "third");
        (0..999).for_each(|_| held.pass(1));
        assert_eq!(held.header(), "Bearer another");
        held.pass(1);
        held.pass(100);
        assert_eq!(held.header(), "Bearer third");
    }
}
