//! Random runs and lists: no row that is on the server is ever proven absent, but for the one that shows how far a list goes.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::world::*;
use crate::client::{RequestObject, RequestStatus};
use crate::ledger::RowState;
use crate::reconcile::Probe;
use crate::request::{CreateRequest, RequestType, RowId};

/// Marks the requests whose answers were lost.
const LOST: Option<i64> = Some(255);

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Created,
    /// Its answer is lost, and the request is there.
    Made,
    /// Its answer is lost, and there is no request.
    NotMade,
    Refused,
    /// The session that claimed it dies.
    Dies,
}

/// What a list does not show.
#[derive(Clone, Debug)]
enum Cut {
    Nothing,
    /// It does not reach back to one of the lost requests.
    OldEnd(Index),
    /// It ends before one of the lost requests.
    NewEnd(Index),
    /// It is as it was so many seconds ago.
    Lags(u64),
    Template(u32),
    Type(RequestType),
    /// Finished ones that are older than an hour are not in it.
    Archives,
    /// The lost requests cannot be read.
    Unread,
    /// The lost requests have no comment.
    Comments,
}

#[derive(Clone, Debug)]
struct Row {
    fate: Fate,
    template: u32,
    is_unblock: bool,
    is_completed: bool,
}

fn arb_row() -> impl Strategy<Value = Row> {
    let fate = prop_oneof![
        8 => Just(Fate::Created),
        2 => Just(Fate::Made),
        1 => Just(Fate::NotMade),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Dies),
    ];
    let template = prop_oneof![4 => Just(0_u32), 1 => Just(1)];
    (fate, template, prop::bool::weighted(0.1), any::<bool>())
        .prop_map(|(fate, template, is_unblock, is_completed)| Row { fate, template, is_unblock, is_completed })
}

fn arb_cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        Just(Cut::Nothing),
        any::<Index>().prop_map(Cut::OldEnd),
        any::<Index>().prop_map(Cut::NewEnd),
        (0..=30_u64).prop_map(Cut::Lags),
        (0..2_u32).prop_map(Cut::Template),
        prop_oneof![Just(RequestType::Enroll), Just(RequestType::Unblock)].prop_map(Cut::Type),
        Just(Cut::Archives),
        Just(Cut::Unread),
        Just(Cut::Comments),
    ]
}

/// Leaves in the list what a cut shows of all requests.
fn show(world: &mut World, all: &[RequestObject], cut: &Cut) {
    let mut shown = all.to_vec();
    let is_lost = |object: &RequestObject| object.priority == LOST;
    let lost: Vec<_> = all.iter().filter(|object| is_lost(object)).map(|object| object.submitted).collect();
    let now = world.server_now();
    world.list.n_unread = 0;
    match cut {
        Cut::Nothing => {}
        Cut::OldEnd(pick) if !lost.is_empty() => shown.retain(|object| object.submitted > *pick.get(&lost)),
        Cut::NewEnd(pick) if !lost.is_empty() => shown.retain(|object| object.submitted < *pick.get(&lost)),
        Cut::OldEnd(_) | Cut::NewEnd(_) => {}
        Cut::Lags(seconds) => {
            let until = now - Duration::from_secs(*seconds);
            shown.retain(|object| object.submitted.is_some_and(|at| at <= until));
        }
        Cut::Template(number) => shown.retain(|object| object.template != template(*number)),
        Cut::Type(request_type) => shown.retain(|object| object.request_type != request_type.confirmed_number()),
        Cut::Archives => {
            let since = now - Duration::from_secs(3600);
            shown.retain(|object| {
                object.status != RequestStatus::Completed || object.submitted.is_some_and(|at| at >= since)
            });
        }
        Cut::Unread => {
            shown.retain(|object| !is_lost(object));
            world.list.n_unread = lost.len() as u64;
        }
        Cut::Comments => shown.iter_mut().filter(|object| is_lost(object)).for_each(|object| object.comment.clear()),
    }
    world.list.objects = shown;
}

fn request_of(number: u32, row: &Row) -> CreateRequest {
    let kind = if row.is_unblock { RequestType::Unblock } else { RequestType::Enroll };
    CreateRequest { kind, template: template(row.template), ..request(number) }
}

/// Makes the attempts of one session; returns whether it died on one.
fn send(world: &mut World, all: &mut Vec<RequestObject>, rows: &[(u32, Row)]) -> bool {
    let mut attempts = Vec::new();
    for (at, (number, row)) in rows.iter().enumerate() {
        if matches!(row.fate, Fate::Created | Fate::Made) {
            let status = if row.is_completed { RequestStatus::Completed } else { RequestStatus::Approved };
            let submitted = Some(world.server_now() + Duration::from_secs(at as u64));
            let priority = if row.fate == Fate::Made { LOST } else { None };
            all.push(RequestObject { status, submitted, priority, ..world.object(*number) });
        }
        let outcome = match row.fate {
            Fate::Created => created(*number),
            Fate::Made | Fate::NotMade => timed_out(),
            Fate::Refused => refused(),
            Fate::Dies => break,
        };
        attempts.push((*number, outcome));
    }
    world.attempt(attempts);
    let open = rows.iter().find(|(_, row)| row.fate == Fate::Dies);
    open.inspect(|(number, _)| world.claim(*number)).is_some()
}

/// Checks that each request is still taken for possible, but for that of the row that goes first.
fn check(world: &World, all: &[RequestObject], n_rows: u32, first: Option<RowId>) -> Result<(), TestCaseError> {
    for number in (1..=n_rows).filter(|number| first != Some(row(*number))) {
        let row = world.row(number);
        if all.iter().any(|object| object.uuid == uuid(u128::from(number))) {
            prop_assert!(
                matches!(row.state, RowState::Created | RowState::InDoubt),
                "row {} is on the server and {}: {:?}",
                number,
                row.state,
                row.error_message
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_row_that_exists_is_proven_absent(
        rows in vec(arb_row(), 1..30),
        cut in arb_cut(),
        n_around in 1..5_usize,
        pause in prop_oneof![Just(0_u64), Just(20), Just(160), Just(5_000)],
        wait in prop_oneof![Just(10_u64), Just(160), Just(4_000)],
        dies_late in any::<bool>(),
        is_whole in any::<bool>(),
    ) {
        let rows: Vec<(u32, Row)> = (1..).zip(rows).collect();
        let n_rows = u32::try_from(rows.len()).unwrap();
        let mut requests: Vec<_> = rows.iter().map(|(number, row)| request_of(*number, row)).collect();
        // Where no row is left to be sent, nothing can show that a list goes on to what was sent last: one row is sent to see it,
        // and where its request was beyond the list's new end, it is there twice and named.
        let may_be_twice = is_whole && matches!(cut, Cut::NewEnd(_));
        if !is_whole {
            requests.push(request(n_rows + 1));
        }
        let mut world = World::of(requests);
        world.n_around = n_around;
        let mut all = std::mem::take(&mut world.list.objects);
        show(&mut world, &all, &cut);
        // A list without anything counts as whole: rule 6 (c).
        prop_assume!(!world.list.objects.is_empty());
        world.first_look();
        let (first, second) = rows.split_at(rows.len() / 2);
        let has_died = send(&mut world, &mut all, first);
        world.pass(pause);
        if has_died || dies_late {
            world.restart(ACCOUNT);
            show(&mut world, &all, &cut);
            world.first_look();
            check(&world, &all, n_rows, None)?;
        }
        send(&mut world, &mut all, second);
        for round in 0..3 {
            world.pass(if round == 0 { 0 } else { wait });
            show(&mut world, &all, &cut);
            let report = world.look();
            let sent = match report.probe {
                Probe::Sent(row) if world.probe != report.probe => Some(row),
                Probe::Sent(_) | Probe::None | Probe::Seen | Probe::Refuted { .. } => None,
            };
            check(&world, &all, n_rows, sent.filter(|_| may_be_twice))?;
            if let Probe::Sent(row) = world.probe && report.probe == world.probe {
                prop_assert!(report.audit.again.first.iter().any(|gap| gap.row == row), "row {row} is not named");
            }
            if let Some(probe) = sent {
                world.probe = report.probe;
                all.push(world.object(probe.get()));
                world.attempt([(probe.get(), created(probe.get()))]);
            } else {
                world.probe = report.probe;
            }
        }
    }
}
