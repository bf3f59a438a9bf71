//! The domain: what is asked of the server, and what became of it.
//!
//! **Owns**: [`RequestType`], [`CreateRequest`] and the one wire body made of it, the tag, identifiers, [`Outcome`].
//!
//! **Must not know**: files, HTTP, SQL.
//!
//! **Flow**: plain values that every other module takes and gives; imports nothing of this crate.

mod create;
mod guid;
mod ids;
mod kind;
mod named;
mod outcome;
mod printable;
mod tag;

pub use create::{CreateRequest, DataEncoding};
pub use guid::{Guid, InvalidGuid};
pub use ids::{AttemptNo, CorrelationId, RequestUri, RequestUuid, RowId, RunId};
pub use kind::{RequestKind, RequestType, UnknownType};
pub use named::{NamedValue, NamedValues, NotNamedValues};
pub use outcome::{ErrorCode, Fault, Outcome};
pub(crate) use printable::moves_or_hides;
pub use printable::{printable, printable_lines, printable_up_to};
pub use tag::{Fingerprint, RunKey, RunMark, Tag, TagPosition};
