//! Reading back the first request of a kind: is it what its row asked for?

use crate::client::{ReadError, RequestObject, RequestStatus};
use crate::ledger::LedgerError;
use crate::reconcile::{Disagreement, disagreements};
use crate::request::{CreateRequest, RequestKind, RequestUuid, RowId, Tag};

/// A created request that is to be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToRead {
    pub(crate) kind: RequestKind,
    pub(crate) row: RowId,
    pub(crate) uuid: RequestUuid,
    /// What was asked for, without tag.
    pub(crate) request: Box<CreateRequest>,
    /// The step that records the row as created; none where an earlier session did.
    pub(crate) recorded_by: Option<u64>,
}

/// What was read back says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is what was asked for.
    Agrees(RequestStatus),
    /// It is not.
    Differs(Vec<Disagreement>),
    /// It is not, and it was withdrawn or came to nothing since an earlier session made it: a new one says more.
    Withdrawn(RequestStatus),
    /// It could not be read.
    Unread(String),
}

/// A reading that ended.
pub(crate) struct ReadEnded {
    pub(crate) first: ToRead,
    pub(crate) finding: Finding,
    /// Whether the finding is in the ledger, where it belongs there.
    pub(crate) noted: Result<(), LedgerError>,
}

impl Finding {
    /// Compares what was read with what was asked for.
    pub(crate) fn of(first: &ToRead, tag: Option<Tag>, read: Result<RequestObject, ReadError>) -> Self {
        let object = match read {
            Ok(object) => object,
            Err(error) => return Self::Unread(error.to_string()),
        };
        let differs = disagreements(&first.request, tag, &object);
        match object.status {
            status if differs.is_empty() => Self::Agrees(status),
            status @ (RequestStatus::Denied | RequestStatus::Failed | RequestStatus::Canceled)
                if first.recorded_by.is_none() =>
            {
                Self::Withdrawn(status)
            }
            RequestStatus::None
            | RequestStatus::Approved
            | RequestStatus::Denied
            | RequestStatus::Completed
            | RequestStatus::Failed
            | RequestStatus::Pending
            | RequestStatus::Canceled
            | RequestStatus::Executing
            | RequestStatus::Other(_)
            | RequestStatus::Unknown => Self::Differs(differs),
        }
    }

    /// Returns what the ledger is to keep; nothing where the kind is to be read back again by the next session.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Agrees(status) => Some(format!("read back: status {status}")),
            Self::Unread(why) => Some(format!("not read back: {why}")),
            Self::Differs(_) | Self::Withdrawn(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::request::{Fingerprint, Guid, RequestType, RunId, RunKey};

    /// A request object of the server's.
    pub(crate) fn object(status: RequestStatus, comment: &str, target: Option<Guid>) -> RequestObject {
        RequestObject {
            uuid: RequestUuid::new(Guid::from_bytes([1; 16])),
            request_type: Some(1),
            status,
            target,
            template: None,
            originator: None,
            old_profile: None,
            new_profile: None,
            old_smartcard: None,
            new_smartcard: None,
            comment: comment.to_owned(),
            submitted: None,
            completed: None,
            priority: None,
        }
    }

    #[test]
    fn what_was_read_is_compared_with_what_was_asked_for() {
        let target = Some(Guid::from_bytes([9; 16]));
        let request = CreateRequest { target, ..CreateRequest::new(RequestType::Enroll) };
        let row = RowId::new(1).unwrap();
        let mut first = ToRead {
            kind: request.request_kind(),
            row,
            uuid: RequestUuid::new(Guid::from_bytes([1; 16])),
            request: Box::new(request),
            recorded_by: Some(1),
        };
        let tag = Tag::new(RunId::random(), &RunKey::from_bytes([3; 32]), row, Fingerprint::from_bytes([1; 5]));
        let read = |first: &ToRead, status, comment: &str, target| {
            Finding::of(first, Some(tag), Ok(object(status, comment, target)))
        };
        let comment = format!("{tag} new hire");
        assert_eq!(read(&first, RequestStatus::Approved, &comment, target), Finding::Agrees(RequestStatus::Approved));
        assert!(matches!(read(&first, RequestStatus::Approved, &comment[..20], target), Finding::Differs(_)));
        let canceled = |first: &ToRead| read(first, RequestStatus::Canceled, &comment, None);
        assert!(matches!(canceled(&first), Finding::Differs(all) if all.len() == 1));
        first.recorded_by = None;
        assert_eq!(canceled(&first), Finding::Withdrawn(RequestStatus::Canceled));
        assert_eq!(
            read(&first, RequestStatus::Canceled, &comment, target),
            Finding::Agrees(RequestStatus::Canceled),
            "that it was withdrawn says nothing against the others"
        );
        let unread = Finding::of(&first, Some(tag), Err(ReadError::NoContent));
        assert_eq!(unread.note().as_deref(), Some("not read back: the server gave no request (204)"));
        assert_eq!(
            Finding::of(&first, None, Ok(object(RequestStatus::None, "", target))).note().as_deref(),
            Some("read back: status None")
        );
    }
}
