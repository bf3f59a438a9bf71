//! The run's durable state: what was loaded, claimed, attempted, and what became of it.
//!
//! **Owns**: the SQLite file, its lock, its tables and the view `results`; the states of a row; the step.
//!
//! **Must not know**: HTTP.
//!
//! **Flow**: takes validated rows once, then steps from `submit`; gives claimed rows back, and pages of results to `report`.

mod item;
mod state;
mod step;

pub use item::{Difference, InvalidItem, Item, LoadRow, ManifestPart, RowPlace, RunIdentity, SessionInfo};
pub use state::{RowState, UnknownState};
pub use step::{AttemptRecord, ClaimedRow, Requeue, RunState, Step, StepAnswer};
