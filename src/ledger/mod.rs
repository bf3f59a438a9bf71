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
mod left_out;
mod loaded;
mod loader;
mod lookup;
mod open;
mod path;
mod query;
mod reader;
mod resolution;
mod result;
mod run;
mod schema;
mod session;
mod state;
mod step;
mod step_exec;
mod tally;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod uuids;
mod verdict;
mod view;
mod working;
mod writer;

pub use create::CreateError;
pub use error::{Damage, LedgerError, LedgerTrouble};
pub use findings::{Finding, FindingKind, OpenFinding};
pub use handle::Ledger;
pub use history::Source;
pub use item::{
    Difference, InvalidItem, Item, LoadRow, ManifestPart, RowPlace, RunIdentity, SessionInfo, TEMPLATE_NAME,
};
pub use left_out::{SkipCause, SkipReason};
pub use loader::Loader;
pub use lookup::{CreatedMarks, Extent};
pub use path::{Purpose, default_path, path_in_dir};
pub use reader::Reader;
pub use resolution::{AuditEvent, DoubtfulRow, KindRecord, Resolution, RowFacts, RowVerdict};
pub use result::{CreatedAt, FailureReason, ResultRow};
pub use run::RunInfo;
pub use session::{FirstLook, SessionEnd, SessionFate, SessionRecord};
pub use state::{IllegalTransition, RowEvent, RowState};
pub use step::{AttemptRecord, ClaimKinds, ClaimedRow, Requeue, Step, StepAnswer};
pub use tally::Tally;
