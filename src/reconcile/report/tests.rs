use super::*;
use crate::client::TransportFault;
use crate::reconcile::tests::support::*;

fn status(status: u16) -> ReadError {
    ReadError::Status { status, message: "no".to_owned(), correlation_id: None, retry_after: None }
}

fn left(why: WhyLeft) -> Report {
    Report { left: 3, why_left: vec![why], ..Report::default() }
}

fn gaps(n_missing: u64, n_untagged: u64) -> Gaps {
    Gaps { n_expected: 9, n_missing, n_untagged, n_unlike: 0, first: Vec::new() }
}

#[test]
fn asking_again_is_worth_it_where_time_helps() {
    let transport = |fault| WhyLeft::Unreadable(ReadError::Transport { fault, message: "gone".to_owned() });
    let malformed = ReadError::Malformed { at: 0, found: '<', expected: "a list" };
    for (why, expected) in [
        (WhyLeft::NotRipe { n: 3 }, true),
        (WhyLeft::Incomplete(gaps(1, 0)), true),
        (WhyLeft::Incomplete(gaps(1, 2)), true),
        (WhyLeft::Incomplete(gaps(0, 2)), false),
        (WhyLeft::NothingKnown, false),
        (WhyLeft::Contradicted { n: 3, first: vec![row(1)] }, false),
        (WhyLeft::Ambiguous(Ambiguous::default()), false),
        (WhyLeft::Unreadable(status(500)), true),
        (WhyLeft::Unreadable(status(503)), true),
        (WhyLeft::Unreadable(status(429)), true),
        (WhyLeft::Unreadable(status(401)), false),
        (WhyLeft::Unreadable(status(403)), false),
        (WhyLeft::Unreadable(status(404)), false),
        (WhyLeft::Unreadable(status(302)), false),
        (WhyLeft::Unreadable(ReadError::CutOff { after: 7 }), true),
        (WhyLeft::Unreadable(malformed), false),
        (WhyLeft::Unreadable(ReadError::TooLong { number: 7 }), false),
        (transport(TransportFault::Timeout), true),
        (transport(TransportFault::ConnectionRefused), true),
        (transport(TransportFault::AnswerBroken { status: 200 }), true),
    ] {
        let report = left(why);
        assert_eq!(worth_asking_again(&report), expected, "{:?}", report.why_left);
    }
    assert!(!worth_asking_again(&Report { left: 0, ..left(WhyLeft::NotRipe { n: 0 }) }));
    assert!(!worth_asking_again(&Report::default()));
}

#[test]
fn each_reason_is_said_in_words() {
    let mut named = gaps(1, 2);
    named.first = vec![
        super::super::Gap { row: row(7), uuid: uuid(7), loss: Loss::Missing },
        super::super::Gap { row: row(8), uuid: uuid(8), loss: Loss::Untagged },
    ];
    for (why, parts) in [
        (WhyLeft::Unreadable(status(403)), vec!["the account may not read", "403"]),
        (WhyLeft::Unreadable(status(500)), vec!["could not be read", "500"]),
        (WhyLeft::Incomplete(gaps(1, 0)), vec!["newest 9", "1 are not in it"]),
        (WhyLeft::Incomplete(gaps(0, 2)), vec!["2 have lost their tag"]),
        (
            WhyLeft::Incomplete(named),
            vec!["1 are not in it and 2 have lost their tag", "row 7", "000007 missing, row 8", "000008 without tag)"],
        ),
        (WhyLeft::NotRipe { n: 4 }, vec!["may still be at work on 4"]),
    ] {
        let text = why.to_string();
        parts.iter().for_each(|part| assert!(text.contains(part), "{text}"));
    }
}

#[test]
fn doubles_name_each_row_once_and_no_more_than_a_hundred() {
    let mut doubles = Doubles::default();
    doubles.add_if_several(row(1), [uuid(1), uuid(1)].into_iter());
    assert_eq!(doubles, Doubles::default());
    for further in [2, 3, 2] {
        doubles.add(row(1), &[uuid(1), uuid(further)]);
    }
    assert_eq!((doubles.n, doubles.first[0].uuids.len()), (1, 3));
    for number in 2..=300 {
        doubles.add(row(number), &[uuid(1), uuid(2)]);
    }
    assert_eq!((doubles.n, doubles.first.len()), (300, MAX_DOUBLES));
}
