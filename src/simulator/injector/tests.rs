use super::*;

#[test]
fn a_pacer_lets_a_burst_through_and_then_the_pace() {
    let pace = Pace::parse("10/s").unwrap();
    let start = Instant::now();
    let mut pacer = Pacer::default();
    let mut at = |ms: u64| pacer.take(start + Duration::from_millis(ms), pace, 3).err().map(|wait| wait.as_millis());
    assert_eq!([at(0), at(0), at(0)], [None, None, None]);
    assert_eq!(at(0), Some(100));
    assert_eq!(at(60), Some(40));
    assert_eq!(at(100), None);
    assert_eq!(at(100), Some(100));
    // After a rest, no more than the burst again.
    assert_eq!([at(9_000), at(9_000), at(9_000), at(9_000)], [None, None, None, Some(100)]);
}

#[test]
fn the_wait_that_is_told_is_never_too_short() {
    for (ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2)] {
        let Refused::Status { status, retry_after } = throttled(Duration::from_millis(ms), None) else { panic!() };
        assert_eq!((status.as_u16(), retry_after), (429, RetryAfter::Seconds(seconds)), "{ms}");
    }
}

#[test]
fn a_fault_of_a_small_share_picks_from_its_whole_range() {
    let faults = vec!["latency=1s..11s,1%".parse().unwrap()];
    let mut injector = Injector::new(3, LatencyRange::NONE, faults);
    let waits: Vec<Duration> = (0..20_000)
        .map(|_| injector.course(CallKind::Create).latency)
        .filter(|latency| *latency > Duration::ZERO)
        .collect();
    assert!((100..300).contains(&waits.len()), "{}", waits.len());
    let upper = waits.iter().filter(|wait| **wait > Duration::from_secs(6)).count();
    assert!(upper > waits.len() / 4 && upper < waits.len() * 3 / 4, "{upper} of {}", waits.len());
}

#[test]
fn faults_do_not_disturb_each_other() {
    let met = |texts: &[&str]| -> Vec<bool> {
        let faults = texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut injector = Injector::new(3, LatencyRange::NONE, faults);
        (0..500)
            .map(|_| {
                let refused = injector.refuse(CallKind::Create, None, Instant::now());
                injector.course(CallKind::Create);
                injector.deliver(CallKind::Create);
                refused.is_some()
            })
            .collect()
    };
    let alone = met(&["503=5%"]);
    assert_eq!(alone, met(&["503=5%", "garbage=50%", "latency=1s,30%", "list:500=20%"]));
    assert!(alone.contains(&true));
}
