//! A server that throttles, with a bucket of tokens.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use super::model::{Arrival, Collected, Model, Place, Server, come_again, http, known, limits, round, sent, throttled};
use crate::client::Answer;
use crate::event::EventKind;
use crate::machine::Machine;
use crate::request::Outcome;
use crate::submit::{BreakerRules, Limits, Memory, StopReason, Work};

/// Answers 429 to what comes faster than its pace.
struct Bucket {
    per_second: f64,
    holds: f64,
    /// Tokens, and when there were so many.
    tokens: RefCell<(f64, Instant)>,
    retry_after: Option<u64>,
}

impl Bucket {
    fn new(per_second: f64, holds: f64, retry_after: Option<u64>) -> Self {
        Self { per_second, holds, tokens: RefCell::new((holds, Instant::now())), retry_after }
    }

    fn answer(&self, arrival: &Arrival) -> Answer {
        let (tokens, since) = *self.tokens.borrow();
        let passed = arrival.at.duration_since(since).as_secs_f64();
        let tokens = (tokens + passed * self.per_second).min(self.holds);
        let goes = tokens >= 1.0;
        *self.tokens.borrow_mut() = (if goes { tokens - 1.0 } else { tokens }, arrival.at);
        match (goes, self.retry_after) {
            (true, _) => http(201),
            (false, Some(seconds)) => throttled(seconds),
            (false, None) => http(429),
        }
    }
}

/// How a run went.
struct Went {
    took: Duration,
    n_created: u32,
    n_refused: u64,
}

async fn throttled_run(limits: &Limits, bucket: &Bucket, n_rows: u32, latency: Duration) -> Went {
    let model = Model::new(n_rows);
    let mut server = Server::by(|arrival| bucket.answer(arrival));
    server.takes = latency;
    let begin = Instant::now();
    let report = sent(&model, &server, limits).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    let n_created = u32::try_from(model.created()).unwrap();
    assert_eq!(n_created, n_rows);
    Went { took: begin.elapsed(), n_created, n_refused: report.calls - u64::from(n_created) }
}

async fn gets_its_pace(per_second: f64, n_rows: u32, latency_ms: u64, retry_afters: &[Option<u64>]) {
    for holds in [1.0, per_second] {
        for rate in ["200/s", "unlimited"] {
            for &retry_after in retry_afters {
                let bucket = Bucket::new(per_second, holds, retry_after);
                let went = throttled_run(&limits(rate), &bucket, n_rows, Duration::from_millis(latency_ms)).await;
                let case = format!("{per_second}/s ({holds} at once), {rate}, {retry_after:?}");
                assert!(went.took < Duration::from_secs(40), "{case}: took {:?}", went.took);
                assert!(went.n_refused < u64::from(went.n_created), "{case}: {} refused", went.n_refused);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_throttles_at_5_a_second_gets_its_pace() {
    gets_its_pace(5.0, 60, 20, &[Some(1), None]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_throttles_at_60_a_second_gets_its_pace() {
    gets_its_pace(60.0, 600, 5, &[Some(1), None]).await;
    gets_its_pace(60.0, 600, 200, &[Some(1), None]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_throttles_at_500_a_second_gets_its_pace() {
    gets_its_pace(500.0, 1_500, 10, &[Some(1)]).await;
}

/// The most calls that started in any window of this length.
fn most_in(starts: &[Instant], window: Duration) -> usize {
    let in_window = |first: usize| starts[first..].iter().take_while(|at| **at - starts[first] < window).count();
    (0..starts.len()).map(in_window).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_and_used_whether_or_not_the_server_throttles() {
    for (rate, per_second, n_rows) in [("200/s", 200.0, 1_000), ("50/s", 50.0, 300), ("600/m", 10.0, 60)] {
        for throttles in [false, true] {
            let model = Model::new(n_rows);
            let server = Server::new(|n| if throttles && n % 100 == 40 { throttled(1) } else { http(201) });
            let begin = Instant::now();
            let report = sent(&model, &server, &limits(rate)).await;
            assert!(report.stopped_by.is_none());
            let took = begin.elapsed().as_secs_f64();
            let starts: Vec<Instant> = server.arrivals.borrow().iter().map(|arrival| arrival.at).collect();
            for seconds in [0.1, 1.0, 3.0] {
                let most = most_in(&starts, Duration::from_secs_f64(seconds));
                #[expect(clippy::cast_precision_loss, reason = "small counts")]
                let most = most as f64;
                assert!(most <= 2.0 + per_second * seconds, "{rate}: {most} in {seconds} s");
            }
            let ideal = f64::from(n_rows) / per_second;
            assert!(throttles || took < ideal * 1.08, "{rate}: {took} s, at best {ideal} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_finds_its_way_back_to_its_rate() {
    let model = Model::new(3_000);
    // Throttles for some time, and then no more.
    let begin = Instant::now();
    let server = Server::by(|arrival| {
        let after = (arrival.at - begin).as_secs_f64();
        if (2.0..12.0).contains(&after) { throttled(1) } else { http(201) }
    });
    let sink = Collected::default();
    let (limits, mut memory) = (limits("200/s"), Memory::new(&Machine::system(), &limits("200/s"), known()));
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &sink).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    let arrivals = server.arrivals.borrow();
    let between = |from: f64, to: f64| {
        arrivals.iter().filter(|arrival| (from..to).contains(&(arrival.at - begin).as_secs_f64())).count()
    };
    assert!(between(2.0, 12.0) < 40, "while it throttles: {}", between(2.0, 12.0));
    assert!(between(30.0, 32.0) >= 390, "20 s later: {}", between(30.0, 32.0));
    assert!(sink.count(|kind| matches!(kind, EventKind::RateCut { .. })) >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_503_that_says_when_to_come_again_slows_the_run_and_its_row_stays_in_doubt() {
    let model = Model::new(200);
    let server = Server::new(|n| if n % 50 == 20 { come_again(503, 5) } else { http(201) });
    let sink = Collected::default();
    let (limits, mut memory) = (limits("unlimited"), Memory::new(&Machine::system(), &limits("unlimited"), known()));
    let begin = Instant::now();
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &sink).await;
    assert!(report.stopped_by.is_none());
    assert_eq!((report.calls, report.created), (200, 196));
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_)))), 4);
    assert!(begin.elapsed() >= Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(sink.count(|kind| matches!(kind, EventKind::Throttled { .. })), 4);
    assert_eq!(sink.count(|kind| matches!(kind, EventKind::WindowCut { .. })), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_throttles_without_end_stops_the_run_after_the_stall_time() {
    let model = Model::new(400);
    let limits = Limits { stall: Duration::from_secs(60), breaker: BreakerRules::default(), ..limits("200/s") };
    // Some rows first: the time counts from the last of them.
    let server = Server::new(|n| if n <= 100 { http(201) } else { http(429) });
    let begin = Instant::now();
    let report = sent(&model, &server, &limits).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Stalled { .. })), "{:?}", report.stopped_by);
    assert!(begin.elapsed() < Duration::from_secs(62), "{:?}", begin.elapsed());
    assert_eq!((model.created(), model.count(|place| matches!(place, Place::Fresh | Place::Waiting))), (100, 300));
    assert!(report.calls < 130, "{}", report.calls);
}
