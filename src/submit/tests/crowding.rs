//! A server that does not keep up with the calls in flight.

use std::num::NonZeroU32;
use std::time::Duration;

use super::model::{Collected, Model, Place, Server, http, known, limits, round, timed_out};
use crate::event::{Bound, EventKind};
use crate::machine::Machine;
use crate::request::{ErrorCode, Outcome};
use crate::submit::{BreakerRules, Limits, Memory, StopReason, Trip, Work};

fn patient() -> Limits {
    let breaker = BreakerRules { in_a_row: 10_000, window_min: 10_000, ..BreakerRules::default() };
    Limits { breaker, max_attempts: NonZeroU32::MIN, ..limits("unlimited") }
}

fn cuts(sink: &Collected) -> Vec<usize> {
    let events = sink.0.lock().unwrap();
    events.iter().filter_map(|kind| if let EventKind::WindowCut { to } = kind { Some(*to) } else { None }).collect()
}

#[tokio::test(start_paused = true)]
async fn time_outs_and_plain_503s_halve_the_calls_in_flight_once_an_episode() {
    for trouble in [timed_out as fn() -> _, || http(503), || http(504)] {
        let model = Model::new(400);
        // All that are in flight at once, again and again.
        let server = Server::new(|n| if n <= 16 || (40..48).contains(&n) { trouble() } else { http(201) });
        let sink = Collected::default();
        let mut memory = Memory::new(&Machine::system(), &patient(), known());
        let report = round(&model, &server, &patient(), &mut memory, Work::InOrder, &sink).await;
        assert!(report.stopped_by.is_none());
        let cuts = cuts(&sink);
        assert_eq!(cuts[0], 8);
        assert!(cuts.len() <= 3, "once an episode: {cuts:?}");
        assert!(memory.window.is_open(), "it has opened again");
        assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_)))), 24, "none is sent again");
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_is_the_least() {
    let model = Model::new(100);
    let server = Server::new(|_| timed_out());
    let sink = Collected::default();
    let mut memory = Memory::new(&Machine::system(), &patient(), known());
    round(&model, &server, &patient(), &mut memory, Work::InOrder, &sink).await;
    assert_eq!(cuts(&sink), [8, 4, 2, 1]);
    assert_eq!(memory.window.limit(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_round_after_an_outage_begins_with_one_call_and_doubles() {
    let model = Model::new(200);
    let server = Server::new(|_| http(201));
    let mut memory = Memory::new(&Machine::system(), &patient(), known());
    memory.after_outage();
    round(&model, &server, &patient(), &mut memory, Work::InOrder, &Collected::default()).await;
    let arrivals = server.arrivals.borrow();
    let begin = arrivals[0].at;
    let in_flight_at = |ms: u64| {
        let at = begin + Duration::from_millis(ms);
        arrivals.iter().filter(|arrival| arrival.at <= at && arrival.at + server.takes > at).count()
    };
    let widths: Vec<usize> = (0..6).map(|n| in_flight_at(n * 20 + 15)).collect();
    assert_eq!(widths[..2], [1, 2]);
    assert!(widths.windows(2).all(|pair| pair[1] <= pair[0] * 2), "{widths:?}");
    assert_eq!(server.most_in_flight(), 16);
}

#[tokio::test(start_paused = true)]
async fn what_holds_the_run_back_is_told() {
    for (rate, expect) in [("unlimited", Bound::Concurrency), ("100/s", Bound::Rate)] {
        let (model, server, sink) = (Model::new(1_000), Server::new(|_| http(201)), Collected::default());
        let mut memory = Memory::new(&Machine::system(), &limits(rate), known());
        round(&model, &server, &limits(rate), &mut memory, Work::InOrder, &sink).await;
        let events = sink.0.lock().unwrap();
        let told: Vec<_> = events.iter().filter(|kind| matches!(kind, EventKind::Bound { .. })).collect();
        assert_eq!(told, [&EventKind::Bound { by: expect }], "{rate}");
    }
    let (model, sink) = (Model::new(400), Collected::default());
    let server = Server::new(|n| if n <= 16 { http(429) } else { http(201) });
    let mut memory = Memory::new(&Machine::system(), &limits("unlimited"), known());
    round(&model, &server, &limits("unlimited"), &mut memory, Work::InOrder, &sink).await;
    assert!(sink.count(|kind| *kind == EventKind::Bound { by: Bound::Server }) >= 1);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_stops_a_wave_of_fifty_rows_and_counts_nothing_after_that() {
    let model = Model::new(50);
    let server = Server::new(|n| if n <= 10 { http(201) } else { http(503) });
    let mut memory = Memory::new(&Machine::system(), &limits("unlimited"), known());
    let report = round(&model, &server, &limits("unlimited"), &mut memory, Work::InOrder, &Collected::default()).await;
    let Some(StopReason::Breaker(Trip::Share { failures, calls, seen, .. })) = report.stopped_by else {
        panic!("{:?}", report.stopped_by)
    };
    assert_eq!((failures, calls, seen), (20, 30, vec![(ErrorCode::Unavailable, 20)]));
    assert!(report.calls < 50, "{}", report.calls);
    let in_doubt = model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_))));
    assert_eq!(in_doubt as u64, report.calls - 10, "what was in flight is recorded");
}
