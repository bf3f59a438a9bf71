use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use futures_util::{Stream, stream};

use super::*;
use crate::app::env::Env;
use crate::app::job::Sending;
use crate::app::testing::*;
use crate::client::{ListItem, ListTimeouts, On503, RequestObject, RequestStatus, TransportFault};
use crate::event::NoSink;
use crate::ledger::{Reader, RowState};
use crate::reconcile::{Lists, ServerList, Trust};
use crate::request::{DataEncoding, RunId, RunKey, Tag, TagPosition};
use crate::submit::{BreakerRules, CheckFirst, FinalLook, Limits, Patience, Wire};

/// A server that has these requests.
struct Listed(Vec<RequestObject>);

impl Lists for Listed {
    async fn list(
        &self,
        _timeouts: ListTimeouts,
    ) -> Result<ServerList<impl Stream<Item = Result<ListItem, ReadError>>>, ReadError> {
        let items: Vec<_> = self.0.iter().cloned().map(|object| Ok(ListItem::Request(object))).collect();
        Ok(ServerList { date: Some("2026-03-01T15:00:00Z".parse().unwrap()), items: stream::iter(items) })
    }
}

/// What another run requested for a target.
fn other(number: u8, target: u8, originator: u8) -> RequestObject {
    let request = request(target);
    let tag = Tag::new(RunId::from_bytes([5; 16]), &RunKey::from_bytes([5; 32]), row(1), request.fingerprint());
    RequestObject {
        uuid: uuid(number),
        request_type: Some(1),
        status: RequestStatus::Completed,
        target: request.target,
        template: request.template,
        originator: Some(guid(originator)),
        old_profile: None,
        new_profile: None,
        old_smartcard: None,
        new_smartcard: None,
        comment: tag.to_string(),
        submitted: "2026-03-01T10:00:00Z".parse().ok(),
        completed: None,
        priority: None,
    }
}

fn sending(place: &Place, already: Already, originators: &[u8]) -> Sending {
    let limits = Limits {
        rate: "50/s".parse().unwrap(),
        burst: NonZeroU32::MIN,
        concurrency: NonZeroUsize::MIN,
        max_attempts: NonZeroU32::MIN,
        stall: Duration::from_secs(600),
        breaker: BreakerRules::default(),
        on_503: On503::InDoubt,
        read_back: Duration::from_secs(30),
        check_first: CheckFirst::Stop,
        n_around: 100,
    };
    let patience = Patience {
        settle: Duration::from_secs(30),
        server_limit: Duration::from_secs(125),
        trust: Trust::Proof,
        wait_for_server: Duration::ZERO,
        lists: ListTimeouts::default(),
        final_look: FinalLook::Yes,
    };
    Sending {
        limits,
        patience,
        state: Some(place.state()),
        without_list: false,
        already,
        look_back: Duration::from_secs(30 * 86_400),
        originators: originators.iter().map(|byte| guid(*byte)).collect(),
    }
}

/// Asks first, with rows for targets 1 to 3.
async fn ask(place: &Place, already: Already, originators: &[u8], list: Vec<RequestObject>) -> Result<(), Failure> {
    let path = place.path("wave.ledger");
    let ledger = place.ledger("wave.ledger", &[1, 2, 3]);
    let (machine, session) = (place.clock.machine(), place.session("svc"));
    let env = Env { machine: &machine, server: &Listed(list), sink: &NoSink, session: &session };
    let sending = sending(place, already, originators);
    let wire = Wire {
        run: ledger.run().id,
        key: ledger.run().key.clone(),
        tag_position: TagPosition::Start,
        data: DataEncoding::Array,
    };
    let before = Reader::open(&path).unwrap().extent().unwrap();
    let mut job = Job::begin(&env, &path, ledger, wire, &sending, Some(before)).await?;
    job.ask_first(&env, &sending).await.map(|_| ())
}

fn states(place: &Place) -> Vec<RowState> {
    let reader = Reader::open(&place.path("wave.ledger")).unwrap();
    reader.page(0, 9, &[]).unwrap().into_iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn rows_that_were_requested_before_stop_the_run_and_both_ways_on_are_said() {
    let place = Place::new();
    let failure = ask(&place, Already::Stop, &[], vec![other(10, 1, 0xAA), other(11, 2, 0xAA)]).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    for part in ["2 rows of this list were requested before", "by user aaaaaaaa", "submitted 2026-03-01T10:00:00Z"] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
    assert!(failure.next.is_some());
    assert_eq!(states(&place), [RowState::Pending; 3]);
}

#[tokio::test]
async fn with_skip_those_of_known_accounts_are_left_out_and_others_stop_the_run() {
    let skipped = [RowState::Skipped, RowState::Pending, RowState::Pending];
    for (originators, is_refused) in [(&[][..], true), (&[0xAA], false), (&[0xBB], true)] {
        let place = Place::new();
        let asked = ask(&place, Already::Skip, originators, vec![other(10, 1, 0xAA)]).await;
        assert_eq!(asked.as_ref().err().map(|failure| failure.exit), is_refused.then_some(Exit::Usage));
        assert_eq!(states(&place), if is_refused { [RowState::Pending; 3] } else { skipped });
        if let Err(failure) = asked {
            assert!(failure.message.contains("anybody can write a comment"), "{}", failure.message);
            assert_eq!(failure.message.contains("not known yet"), originators.is_empty(), "{}", failure.message);
        }
    }
    let place = Place::new();
    ask(&place, Already::Skip, &[0xAA], vec![other(10, 1, 0xAA)]).await.unwrap();
    let reader = Reader::open(&place.path("wave.ledger")).unwrap();
    assert_eq!(reader.skipped_elsewhere().unwrap(), [(row(1), uuid(10))]);
}

#[tokio::test]
async fn with_send_the_requests_are_accepted_once_and_new_ones_stop_again() {
    let place = Place::new();
    ask(&place, Already::Send, &[], vec![other(10, 1, 0xAA)]).await.unwrap();
    assert_eq!(states(&place), [RowState::Pending; 3]);
    let reader = Reader::open(&place.path("wave.ledger")).unwrap();
    assert_eq!(reader.accepted_hits().unwrap(), [uuid(10)]);
}

#[tokio::test]
async fn a_request_whose_account_is_not_told_is_nobodys_known() {
    let place = Place::new();
    let unknown = RequestObject { originator: None, ..other(10, 1, 0xAA) };
    let failure = ask(&place, Already::Skip, &[0xAA], vec![unknown]).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert_eq!(states(&place), [RowState::Pending; 3]);
}

#[test]
fn a_list_that_cannot_be_read_says_whom_to_call() {
    let status = |status| ReadError::Status { status, message: "no".into(), correlation_id: None, retry_after: None };
    let transport = |fault| ReadError::Transport { fault, message: "gone".to_owned() };
    let refused = |n_destructive| Refused {
        ledger: Path::new("a.ledger"),
        server: Some("https://cm.test"),
        n_destructive: Some(n_destructive),
    };
    for (error, exit, by) in [
        (status(404), Exit::NoApi, StoppedBy::ApiNotFound),
        (status(401), Exit::SignIn, StoppedBy::SignIn),
        (status(403), Exit::Server, StoppedBy::NoList),
        (status(503), Exit::Server, StoppedBy::NoList),
        (ReadError::NoContent, Exit::Server, StoppedBy::NoList),
        (transport(TransportFault::ConnectionLost), Exit::Server, StoppedBy::NoList),
        (transport(TransportFault::ProxyRefused), Exit::Server, StoppedBy::Unreachable),
        (transport(TransportFault::ConnectionRefused), Exit::Server, StoppedBy::Unreachable),
        (transport(TransportFault::NameNotResolved), Exit::Server, StoppedBy::Unreachable),
        (transport(TransportFault::TlsFailed), Exit::Server, StoppedBy::Unreachable),
    ] {
        let failure = no_list(&error, &refused(7));
        assert_eq!((failure.exit, failure.stopped_by), (exit, Some(by)), "{error}");
        assert!(failure.message.ends_with("; nothing was sent"), "{}", failure.message);
        let next = format!("{:?}", failure.next);
        assert!(next.contains("Doctor") && next.contains(r#""--confirm", "7""#), "{error}: {next}");
        assert_eq!(next.contains("--without-list"), by == StoppedBy::NoList, "{error}: {next}");
    }
    let told = |destructive| format!("{:?}", no_list(&status(403), &refused(destructive)).next);
    assert!(told(3).contains("--without-list") && !told(0).contains("--without-list"));
}
