use jiff::SignedDuration;

use super::*;
use crate::ledger::RowPlace;
use crate::reconcile::Tagging;
use crate::reconcile::tests::support::*;
use crate::request::{AttemptNo, ErrorCode, RequestType};

/// A row in doubt whose attempt went on from noon for two minutes.
fn doubt(number: u32, request: CreateRequest) -> DoubtfulRow {
    DoubtfulRow {
        row: row(number),
        place: RowPlace { part: 1, part_row: number, line: 2 },
        id: None,
        request,
        attempt: AttemptNo::FIRST,
        session: 1,
        recorded_by: 1,
        code: Some(ErrorCode::Timeout),
        started_at: Some(noon()),
        recorded_at: noon() + SignedDuration::from_secs(120),
        counted_attempts: 1,
    }
}

fn scan(doubts: &[DoubtfulRow]) -> PropertyScan {
    let mut scan = PropertyScan::new(Expected::new(vec![], Tagging::Untagged));
    doubts.iter().for_each(|doubt| scan.add(doubt));
    scan.ready()
}

fn scanned(doubts: &[DoubtfulRow], objects: &[RequestObject]) -> Seen {
    let mut scan = scan(doubts);
    objects.iter().for_each(|object| scan.take(object));
    scan.finish()
}

#[derive(Debug, PartialEq)]
enum Is {
    Found,
    Unclear,
    Absent,
}

/// What a list of one object says of one row.
fn one(doubt: &DoubtfulRow, object: RequestObject) -> Is {
    let seen = scanned(std::slice::from_ref(doubt), &[object]);
    match (seen.exists.as_slice(), seen.unclear.as_slice()) {
        ([found], []) => {
            assert_eq!((found.row, found.before), (doubt.row, Before::InDoubt));
            Is::Found
        }
        ([], [row]) => {
            assert_eq!((*row, seen.ambiguous.n), (doubt.row, 1));
            Is::Unclear
        }
        ([], []) => Is::Absent,
        other => panic!("{other:?}"),
    }
}

fn plain(request: &CreateRequest) -> RequestObject {
    object(1, request, "for Zoë".to_owned())
}

#[test]
fn the_time_decides_between_found_unclear_and_absent() {
    let wanted = doubt(1, request(1));
    for (seconds, expected) in [
        (0, Is::Found),
        (-5, Is::Found),
        (125, Is::Found),
        // Clocks may differ by more than what is believed.
        (-6, Is::Unclear),
        (126, Is::Unclear),
        (-25 * 3600, Is::Unclear),
        (25 * 3600, Is::Unclear),
        // Another request of the same kind, of another time.
        (-27 * 3600, Is::Absent),
        (27 * 3600, Is::Absent),
    ] {
        let mut object = plain(&wanted.request);
        object.submitted = Some(noon() + SignedDuration::from_secs(seconds));
        assert_eq!(one(&wanted, object), expected, "{seconds} s");
    }
    let without_time = RequestObject { submitted: None, ..plain(&wanted.request) };
    assert_eq!(one(&wanted, without_time), Is::Unclear);
}

#[test]
fn a_row_of_which_no_attempt_is_known_is_never_found_by_time() {
    let recorded_at = noon() + SignedDuration::from_secs(120);
    for started_at in [None, Some(recorded_at), Some(recorded_at + SignedDuration::from_secs(1))] {
        let wanted = DoubtfulRow { started_at, ..doubt(1, request(1)) };
        for days in [0, -400] {
            let mut object = plain(&wanted.request);
            object.submitted = Some(noon() + SignedDuration::from_hours(24 * days));
            assert_eq!(one(&wanted, object), Is::Unclear);
        }
    }
}

#[test]
fn every_property_that_the_row_names_must_be_equal() {
    let named = request(1);
    let other = Some(guid(0x666));
    for (request, change, expected) in [
        (named.clone(), (|_| {}) as fn(&mut RequestObject), Is::Found),
        (named.clone(), |object| object.target = Some(guid(0x666)), Is::Absent),
        (named.clone(), |object| object.target = None, Is::Absent),
        (named.clone(), |object| object.template = Some(guid(0x666)), Is::Absent),
        (named.clone(), |object| object.request_type = 5, Is::Absent),
        // What the row leaves open may be anything.
        (
            CreateRequest { smartcard: other, target: None, ..named.clone() },
            |object| object.old_smartcard = Some(guid(0x666)),
            Is::Found,
        ),
        (CreateRequest { template: None, ..named.clone() }, |object| object.template = Some(guid(0x666)), Is::Found),
        // A template alone is what anybody may have asked for.
        (CreateRequest { target: None, ..named.clone() }, |_| {}, Is::Unclear),
        (CreateRequest { target: None, template: None, ..named.clone() }, |_| {}, Is::Unclear),
        (CreateRequest { smartcard: other, target: None, ..named.clone() }, |_| {}, Is::Unclear),
        // Cards and profiles count where the server filled them in.
        (CreateRequest { smartcard: other, ..named.clone() }, |_| {}, Is::Found),
        (
            CreateRequest { smartcard: other, ..named.clone() },
            |object| object.old_smartcard = Some(guid(1)),
            Is::Unclear,
        ),
        (CreateRequest { profile: other, ..named.clone() }, |object| object.old_profile = Some(guid(0x666)), Is::Found),
        // The numbers of most types are not known, but 1 is Enroll.
        (CreateRequest { kind: RequestType::Renew, ..named.clone() }, |object| object.request_type = 3, Is::Found),
        (CreateRequest { kind: RequestType::Renew, ..named.clone() }, |object| object.request_type = 1, Is::Absent),
        // Tagged requests are other runs'.
        (named.clone(), |object| object.comment = object_of(&tagged(), 9).comment, Is::Absent),
    ] {
        let mut object = plain(&named);
        change(&mut object);
        assert_eq!(one(&doubt(1, request.clone()), object.clone()), expected, "{request:?} {object:?}");
    }
}

#[test]
fn a_request_that_is_known_as_another_rows_is_no_candidate() {
    let wanted = doubt(1, request(1));
    let mut scan = PropertyScan::new(Expected::new(vec![], Tagging::Untagged));
    scan.add(&wanted);
    scan.add_created(&[CreatedRow { row: row(2), uuid: uuid(1), request: request(2) }]);
    let mut scan = scan.ready();
    scan.take(&plain(&wanted.request));
    let seen = scan.finish();
    assert!(seen.exists.is_empty() && seen.unclear.is_empty());
}

#[test]
fn a_request_that_may_be_two_rows_is_neithers() {
    let renew = CreateRequest { kind: RequestType::Renew, ..request(1) };
    let revoke = CreateRequest { kind: RequestType::Revoke, ..request(1) };
    let object = RequestObject { request_type: 4, ..plain(&renew) };
    let seen = scanned(&[doubt(1, renew), doubt(2, revoke)], &[object.clone(), object]);
    assert_eq!((seen.exists.len(), seen.unclear), (0, vec![row(1), row(2)]));
    assert_eq!(seen.ambiguous.first[0].candidates.len(), 1);
}

#[test]
fn a_request_that_is_surely_one_rows_does_not_keep_another_in_doubt() {
    let hour = SignedDuration::from_hours(1);
    let renew = doubt(1, CreateRequest { kind: RequestType::Renew, ..request(1) });
    let revoke = DoubtfulRow {
        started_at: Some(noon() + hour),
        recorded_at: noon() + hour,
        ..doubt(2, CreateRequest { kind: RequestType::Revoke, ..request(1) })
    };
    let object = RequestObject { request_type: 4, ..plain(&renew.request) };
    let seen = scanned(&[renew, revoke], &[object]);
    assert_eq!(seen.exists.iter().map(|found| found.row).collect::<Vec<_>>(), [row(1)]);
    assert!(seen.unclear.is_empty());
}

#[test]
fn of_very_many_candidates_a_few_are_kept_and_the_row_stays_in_doubt() {
    let wanted = doubt(1, CreateRequest { target: None, ..request(1) });
    let near = |number: u32| RequestObject {
        uuid: uuid(u128::from(number)),
        submitted: Some(noon() - SignedDuration::from_mins(30)),
        ..plain(&request(number))
    };
    let objects: Vec<_> = (1..=1000).map(near).collect();
    let mut scan = scan(std::slice::from_ref(&wanted));
    objects.iter().for_each(|object| scan.take(object));
    assert_eq!(scan.wanted[0].may_fit.len(), MAX_KEPT);
    let seen = scan.finish();
    assert_eq!(seen.unclear, [row(1)]);
    assert_eq!(seen.ambiguous.first[0].candidates.len(), Ambiguous::MAX_CANDIDATES);
}
