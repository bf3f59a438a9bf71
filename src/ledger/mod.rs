//! The run's durable state: what was loaded, claimed, attempted, and what became of it.
//!
//! **Owns**: the SQLite file, its lock, its tables and the view `results`; the states of a row; the step.
//!
//! **Must not know**: HTTP.
//!
//! **Flow**: takes validated rows once, then steps from `submit`; gives claimed rows back, and pages of results to `report`.

mod clock;
mod connection;
mod crash;
mod create;
mod doubt;
mod error;
mod findings;
mod guard;
mod handle;
mod history;
mod item;
mod lookup;
mod open;
mod path;
mod query;
mod reader;
mod result;
mod run;
mod schema;
mod state;
mod step;
mod tally;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verdict;
mod view;
mod working;
mod writer;

pub use create::{CreateError, Loader};
pub use doubt::DoubtfulRow;
pub use error::{Damage, LedgerError, LedgerTrouble};
pub use findings::{Finding, FindingKind, OpenFinding};
pub use handle::Ledger;
pub use history::Source;
pub use item::{
    Difference, InvalidItem, Item, LoadRow, ManifestPart, RowPlace, RunIdentity, SessionInfo, TEMPLATE_NAME,
};
pub use lookup::{CreatedMarks, Extent, RowFacts};
pub use path::{Purpose, default_path, path_in_dir};
pub use reader::Reader;
pub use result::{CreatedAt, FailureReason, ResultRow, SkipCause, SkipReason};
pub use run::{FirstLook, RunInfo, SessionEnd, SessionFate, SessionRecord};
pub use state::{IllegalTransition, RowEvent, RowState};
pub use step::{AttemptRecord, ClaimKinds, ClaimedRow, Requeue, Step, StepAnswer};
pub use tally::Tally;
pub use verdict::{AuditEvent, Resolution, RowVerdict};
pub use working::KindRecord;
