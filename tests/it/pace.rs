//! The pace that the server sees.

use crate::chaos::{Chaos, Script};
use crate::common::{Folder, enrollments, posts, simulator};

/// Returns the most arrivals in any window of so many seconds.
fn most_in(times: &[f64], window: f64) -> usize {
    let in_window = |first: usize| times[first..].iter().take_while(|at| **at - times[first] < window).count();
    (0..times.len()).map(in_window).max().unwrap_or(0)
}

#[test]
fn calls_keep_the_rate() {
    for (rate, per_second, burst, n_rows) in [("40/s", 40.0, 2, 80), ("1000/s", 1_000.0, 10, 1_500)] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(n_rows));
        let simulator = simulator(&[]);
        folder.run(&["submit", "wave.csv", "--server", &simulator.base_url(), "--rate", rate]).exits(0);
        let arrivals = posts(&simulator);
        let first = arrivals[0].at;
        let times: Vec<f64> = arrivals.iter().map(|arrival| (arrival.at - first).as_secs_f64()).collect();
        assert_eq!(times.len(), n_rows as usize);
        // Arrivals jitter by what the machine does between start and arrival: allow for 50 ms of it.
        for window in [0.5, 1.0] {
            let most = most_in(&times, window);
            let allowed = f64::from(burst) + per_second * (window + 0.05);
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let most = most as f64;
            assert!(most <= allowed, "{rate}: {most} calls in {window} s");
        }
    }
}

#[test]
fn no_window_holds_more_than_burst_and_rate_and_no_time_is_lost() {
    for (rate, per_second, burst, n_rows) in [("200/s", 200.0, 2.0, 700), ("1000/s", 1_000.0, 10.0, 3_500)] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(n_rows));
        let server = Chaos::start(Script::default());
        folder.run(&["submit", "wave.csv", "--server", &server.base_url(), "--rate", rate]).exits(0);
        let arrivals = server.times();
        let times: Vec<f64> = arrivals.iter().map(|at| (*at - arrivals[0]).as_secs_f64()).collect();
        assert_eq!(times.len(), n_rows as usize);
        for window in [0.1, 0.2, 0.5, 1.0, 2.0, 3.0] {
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let most = most_in(&times, window) as f64;
            // What a call takes from its start to its arrival differs by what the machine does meanwhile.
            let allowed = burst + per_second * (window + JITTER_S);
            assert!(most <= allowed, "{rate}: {most} calls in {window} s, {allowed} are allowed");
        }
        let took = times.last().unwrap();
        let least = f64::from(n_rows) / per_second;
        assert!(*took <= least * 1.08, "{rate}: {took} s, and {least} s are enough");
    }
}

/// By how much calls are bunched on their way from this machine to itself, in seconds.
const JITTER_S: f64 = 0.02;
