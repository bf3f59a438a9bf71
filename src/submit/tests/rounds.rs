//! Several rounds of one session.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::model::{Collected, Model, Place, Server, http, known, limits, refused, round, throttled, timed_out, wire};
use crate::event::EventKind;
use crate::machine::Machine;
use crate::request::{Outcome, RowId};
use crate::submit::{Limits, Memory, Sending, StopLevel, StopReason, Work, run};

fn rows(numbers: impl IntoIterator<Item = u32>) -> Work {
    Work::Rows(numbers.into_iter().map(|number| RowId::new(number).unwrap()).collect())
}

#[tokio::test(start_paused = true)]
async fn only_the_listed_rows_are_sent_in_their_order() {
    let (model, server, sink) = (Model::new(500), Server::new(|_| http(201)), Collected::default());
    let (limits, mut memory) = (limits("100/s"), Memory::new(&Machine::system(), &limits("100/s"), known()));
    let report = round(&model, &server, &limits, &mut memory, rows((1..=60).rev().map(|n| n * 3)), &sink).await;
    assert!(report.stopped_by.is_none());
    assert_eq!((report.calls, report.created), (60, 60));
    let model_rows = model.rows.borrow();
    assert!(model_rows.iter().all(|(number, row)| (row.place != Place::Fresh) == (*number <= 180 && number % 3 == 0)));
    assert!(*model.most_claimed.borrow() <= 16 + 10, "{}", model.most_claimed.borrow());
    let events = sink.0.lock().unwrap();
    let created: Vec<u32> = events
        .iter()
        .filter_map(|kind| if let EventKind::Created { row, .. } = kind { Some(row.get()) } else { None })
        .collect();
    assert!(created.is_sorted_by(|one, next| one > next), "{created:?}");
}

#[tokio::test(start_paused = true)]
async fn listed_rows_are_tried_again_and_held_like_any_other() {
    let model = Model::new(60);
    let server = Server::new(|n| match n % 7 {
        0 => refused(),
        3 if n < 40 => throttled(2),
        _ => http(201),
    });
    let (limits, mut memory) = (limits("unlimited"), Memory::new(&Machine::system(), &limits("unlimited"), known()));
    let report = round(&model, &server, &limits, &mut memory, rows(1..=30), &Collected::default()).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!((model.created(), model.count(|place| *place == Place::Fresh)), (30, 30));
    let report = round(&model, &server, &limits, &mut memory, rows([]), &Collected::default()).await;
    assert!(report.stopped_by.is_none() && report.calls == 0);
}

#[tokio::test(start_paused = true)]
async fn steps_pace_and_kinds_go_on_from_round_to_round() {
    let (model, server) = (Model::new(100), Server::new(|_| http(201)));
    let (limits, mut memory) = (limits("100/s"), Memory::new(&Machine::system(), &limits("100/s"), Vec::new()));
    let sink = Collected::default();
    // The model checks the numbers of the steps.
    for part in 0..10 {
        let report = round(&model, &server, &limits, &mut memory, rows(part * 10 + 1..=part * 10 + 10), &sink).await;
        assert!(report.stopped_by.is_none());
    }
    assert_eq!(model.created(), 100);
    assert_eq!(server.readings.borrow().len(), 1, "a kind is read back once a session");
    let arrivals = server.arrivals.borrow();
    for first in &*arrivals {
        let n = arrivals.iter().filter(|one| one.at >= first.at && one.at - first.at < Duration::from_secs(1)).count();
        assert!(n <= 102, "{n} calls in a second: each round begins with a burst");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_between_rounds_is_no_stall() {
    let model = Model::new(40);
    let limits = Limits { stall: Duration::from_secs(30), ..limits("unlimited") };
    let mut memory = Memory::new(&Machine::system(), &limits, known());
    let server = Server::new(|n| if n == 21 { throttled(5) } else { http(201) });
    let sink = Collected::default();
    round(&model, &server, &limits, &mut memory, rows(1..=20), &sink).await;
    sleep(Duration::from_secs(600)).await;
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &sink).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!(model.created(), 40);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_in_doubt_are_known_with_their_times() {
    let model = Model::new(30);
    let mut memory = Memory::new(&Machine::system(), &limits("unlimited"), known());
    let sink = Collected::default();
    let server = Server::new(|n| if n == 25 { timed_out() } else { http(201) });
    round(&model, &server, &limits("unlimited"), &mut memory, rows(1..=20), &sink).await;
    assert!(memory.doubts().is_empty());
    let before = crate::platform::since_boot();
    round(&model, &server, &limits("unlimited"), &mut memory, Work::InOrder, &sink).await;
    let doubts: Vec<_> = memory.doubts().values().copied().collect();
    let [doubt] = doubts[..] else { panic!("{doubts:?}") };
    assert!(before <= doubt.started && doubt.started <= doubt.ended && doubt.ended <= crate::platform::since_boot());
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_)))), 1);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_begins_after_a_stop_was_asked_for_sends_nothing() {
    let (model, server) = (Model::new(40), Server::new(|_| http(201)));
    let (limits, sink) = (limits("unlimited"), Collected::default());
    let mut memory = Memory::new(&Machine::system(), &limits, known());
    let control = watch::channel(StopLevel::Drain).1;
    let begin = Instant::now();
    let sending = Sending { engine: &model, calls: &server, wire: &wire(), limits: &limits, sink: &sink };
    let report = run(&sending, &mut memory, Work::InOrder, 40, control).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Interrupted)));
    assert_eq!((report.calls, begin.elapsed()), (0, Duration::ZERO));
}
