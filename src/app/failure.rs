//! What ends a use case early: one type with the exit status and the way out.

use std::error::Error;
use std::io;

use super::exit::Exit;
use super::next::{Next, Piece};
use super::stopped_by::StoppedBy;
use crate::client::{ClientError, ReadError};
use crate::ledger::LedgerError;
use crate::manifest::ManifestError;
use crate::platform::{OutputError, lacks_files};
use crate::report::{Counts, ExportError};
use crate::request::printable;
use crate::submit::Unrecorded;
use crate::validate::{DeliverError, RejectsError, RulesError, ValidateError};

/// Why a use case cannot be carried out.
#[derive(Debug)]
pub struct Failure {
    /// Whom it concerns.
    pub exit: Exit,
    /// What is wrong, in words; names of outside are printable.
    pub message: String,
    /// The exact next command, or what to do.
    pub next: Option<Next>,
    /// The stable name of what it was.
    pub stopped_by: Option<StoppedBy>,
    /// The rows by state, where somebody has looked at them; boxed, because failures are rare and large.
    pub counts: Option<Box<Counts>>,
    /// What to do, where that is not what the exit status stands for.
    pub(crate) remedy: Option<&'static str>,
    /// Rows that were created and that the ledger could not keep: they must not be lost.
    pub unrecorded: Vec<Unrecorded>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
            stopped_by: StoppedBy::of_exit(exit),
            counts: None,
            remedy: None,
            unrecorded: Vec::new(),
        }
    }

    /// Names what it was more exactly than the exit status does.
    pub(crate) fn stopping(mut self, by: StoppedBy) -> Self {
        self.stopped_by = Some(by);
        self
    }

    /// Says how the rows stand.
    pub(crate) fn counting(mut self, counts: Counts) -> Self {
        self.counts.get_or_insert(Box::new(counts));
        self
    }

    pub(crate) fn with_next(mut self, next: impl Into<Next>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(crate) fn of(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        Self { remedy: remedy(error), ..Self::new(exit, chain(error)) }
    }
}

/// What to do where too many files are open.
const CLOSE_FILES: &str = "raise the limit of open files (ulimit -n), or lower --concurrency";

/// Returns what to do about an error of the system's that no exit status tells from others.
pub(crate) fn remedy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().is_some_and(lacks_files) {
            return Some(CLOSE_FILES);
        }
        next = cause.source();
    }
    None
}

/// Returns an error with all that caused it, on one line; nothing is said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        // A cause that says all that was said of it, and more, stands for both.
        if parts.last().is_some_and(|last| said.contains(last.as_str())) {
            parts.pop();
        }
        if !parts.iter().any(|part| part.contains(&said)) {
            parts.push(said);
        }
        next = cause.source();
    }
    parts.join(": ")
}

/// Returns the exit status of a list that cannot be read.
pub(crate) fn exit_of(error: &ReadError) -> Exit {
    match StoppedBy::of_list(error) {
        StoppedBy::SignIn => Exit::SignIn,
        StoppedBy::ApiNotFound => Exit::NoApi,
        _ => Exit::Server,
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        let exit = match error {
            OutputError::Exists { .. } | OutputError::NoFile { .. } | OutputError::OfDatabase { .. } => Exit::Usage,
            OutputError::Write { .. } => Exit::Disk,
        };
        let failure = Self::of(exit, &error);
        match error {
            // Only commands with --force refuse a file that exists.
            OutputError::Exists { .. } => {
                let replace = Piece::with(&["--force"], &["--force"]);
                failure.with_next(Next::from("take another name, or replace it: ").and(replace))
            }
            OutputError::NoFile { .. } | OutputError::OfDatabase { .. } | OutputError::Write { .. } => failure,
        }
    }
}

impl From<RulesError> for Failure {
    fn from(error: RulesError) -> Self {
        Self::of(Exit::Usage, &error)
    }
}

impl From<RejectsError> for Failure {
    fn from(error: RejectsError) -> Self {
        let exit = match error {
            RejectsError::MixedForms => Exit::Usage,
            RejectsError::Write(_) => Exit::Disk,
        };
        Self::of(exit, &error)
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        Self::of(Exit::Disk, &error)
    }
}

/// Rows are delivered to closures that fail with a [`Failure`] of their own.
impl From<DeliverError<Self>> for Failure {
    fn from(error: DeliverError<Self>) -> Self {
        match error {
            DeliverError::Each(failure) => failure,
            DeliverError::Manifest(error) => error.into(),
            DeliverError::Rules(error) => error.into(),
            DeliverError::Changed { name } => Self::new(
                Exit::InvalidManifest,
                format!(
                    "{} was changed after it was checked; start again when nothing writes it any more",
                    printable(&name)
                ),
            ),
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let exit = match error {
            ManifestError::Open { .. }
            | ManifestError::Folder { .. }
            | ManifestError::Device { .. }
            | ManifestError::Endless { .. }
            | ManifestError::Spool { .. } => Exit::Usage,
            _ => Exit::InvalidManifest,
        };
        Self::of(exit, &error)
    }
}

impl From<ValidateError> for Failure {
    fn from(error: ValidateError) -> Self {
        match error {
            ValidateError::Manifest(error) => error.into(),
            ValidateError::Rules(error) => error.into(),
            ValidateError::Changed { .. } | ValidateError::TooManyRows => Self::of(Exit::InvalidManifest, &error),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let exit = Exit::of_ledger(&error);
        let failure = Self::of(exit, &error);
        match &error {
            LedgerError::InUse { path, .. } => {
                let next = Next::again().after("wait until it has ended").text("; how far it is: ");
                let next = next.and(Piece::on_ledger("status", path, &[]));
                failure.stopping(StoppedBy::LedgerInUse).with_next(next)
            }
            _ => failure.stopping(StoppedBy::Ledger),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::SignIn(_) | ClientError::OAuth(_) | ClientError::Session(_) => Exit::SignIn,
            ClientError::Token(_)
            | ClientError::Cookie(_)
            | ClientError::CaFile { .. }
            | ClientError::Identity(_)
            | ClientError::OtherKey(_)
            | ClientError::ProxyCredentials { .. }
            | ClientError::NoRoots(_)
            | ClientError::Tls(_)
            | ClientError::Http(_) => Exit::Usage,
        };
        Self::of(exit, &error)
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Ledger(error) => error.into(),
            ExportError::Output(_) | ExportError::Csv(_) => Self::of(Exit::Disk, &error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let what = if lacks_files(&error) { "too many files are open" } else { "an output cannot be written" };
        Self { remedy: remedy(&error), ..Self::new(Exit::Disk, format!("{what}: {error}")) }
    }
}
