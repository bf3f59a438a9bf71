//! Reading back the first request of a kind: is it what its row asked for?

use std::time::Duration;

use tokio::time::sleep;

use super::setup::Calls;
use crate::client::{ReadError, RequestObject, RequestStatus, TransportFault};
use crate::ledger::LedgerError;
use crate::reconcile::{Disagreement, disagreements};
use crate::request::{CreateRequest, RequestKind, RequestUuid, RowId, Tag};

/// The first wait after a request was not there yet; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

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
    /// It is not there, though some time was given: a list may have it.
    NotThere,
    /// It is that of another row of the run: a list tells which is whose.
    OtherRows,
    /// It cannot be read.
    Unread(String),
    /// The server does not answer.
    Away(String),
}

/// A reading that ended.
pub(crate) struct ReadEnded {
    pub(crate) first: ToRead,
    pub(crate) finding: Finding,
    /// Whether the finding is in the ledger, where it belongs there.
    pub(crate) noted: Result<(), LedgerError>,
}

/// Reads a request, and again while it is not there yet or the server does not answer, for `patience` in all.
pub(crate) async fn read<C: Calls>(calls: &C, first: &ToRead, tag: Option<Tag>, patience: Duration) -> Finding {
    let (mut waited, mut wait) = (Duration::ZERO, FIRST_WAIT);
    loop {
        let finding = Finding::of(first, tag, calls.read_back(first.uuid).await);
        let may_come = matches!(finding, Finding::NotThere | Finding::Away(_));
        if !may_come || waited >= patience {
            return finding;
        }
        wait = wait.min(patience - waited);
        sleep(wait).await;
        waited += wait;
        wait *= 2;
    }
}

impl Finding {
    /// Compares what was read with what was asked for.
    pub(crate) fn of(first: &ToRead, tag: Option<Tag>, read: Result<RequestObject, ReadError>) -> Self {
        let object = match read {
            Ok(object) => object,
            Err(error) => return Self::of_error(&error),
        };
        let differs = disagreements(&first.request, tag, &object);
        let is_of_run = |found: Tag| tag.is_some_and(|tag| found.run_mark() == tag.run_mark());
        if differs.iter().any(|one| matches!(one, Disagreement::Tag { .. }))
            && Tag::all_in(&object.comment).any(is_of_run)
        {
            return Self::OtherRows;
        }
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

    fn of_error(error: &ReadError) -> Self {
        match error {
            // A replica that lags does not have it yet.
            ReadError::Status { status: 404, .. } | ReadError::NoContent => Self::NotThere,
            ReadError::Status { status, .. } if *status >= 500 || *status == 429 || *status == 408 => {
                Self::Away(error.to_string())
            }
            ReadError::Transport { fault, .. } if *fault != TransportFault::NotSignedIn => {
                Self::Away(error.to_string())
            }
            _ => Self::Unread(error.to_string()),
        }
    }

    /// Returns what the ledger is to keep; nothing where the kind is to be read back again by the next session.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Agrees(status) => Some(format!("read back: status {status}")),
            Self::Differs(_)
            | Self::Withdrawn(_)
            | Self::NotThere
            | Self::OtherRows
            | Self::Unread(_)
            | Self::Away(_) => None,
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
            request_type: None,
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
    }

    #[test]
    fn a_request_with_another_rows_tag_is_for_a_list_to_tell() {
        let (run, key) = (RunId::random(), RunKey::from_bytes([3; 32]));
        let tag = |run, row| Tag::new(run, &key, RowId::new(row).unwrap(), Fingerprint::from_bytes([1; 5]));
        let row = RowId::new(1).unwrap();
        let request = Box::new(CreateRequest::new(RequestType::Enroll));
        let uuid = RequestUuid::new(Guid::from_bytes([1; 16]));
        let first = ToRead { kind: request.request_kind(), row, uuid, request, recorded_by: Some(1) };
        let read = |comment: Tag| {
            let found = object(RequestStatus::Approved, &comment.to_string(), None);
            Finding::of(&first, Some(tag(run, 1)), Ok(found))
        };
        assert_eq!(read(tag(run, 1)), Finding::Agrees(RequestStatus::Approved));
        assert_eq!(read(tag(run, 2)), Finding::OtherRows);
        assert!(matches!(read(tag(RunId::random(), 2)), Finding::Differs(_)), "another run's");
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_is_not_there_yet_and_from_a_server_that_is_away() {
        let status =
            |status| ReadError::Status { status, message: String::new(), correlation_id: None, retry_after: None };
        for error in [status(404), ReadError::NoContent] {
            assert_eq!(Finding::of_error(&error), Finding::NotThere);
        }
        for code in [500, 502, 503, 504, 429] {
            assert!(matches!(Finding::of_error(&status(code)), Finding::Away(_)), "{code}");
        }
        for code in [400, 401, 403, 302] {
            assert!(matches!(Finding::of_error(&status(code)), Finding::Unread(_)), "{code}");
        }
        let lost = ReadError::Transport { fault: TransportFault::ConnectionLost, message: String::new() };
        assert!(matches!(Finding::of_error(&lost), Finding::Away(_)));
    }
}
