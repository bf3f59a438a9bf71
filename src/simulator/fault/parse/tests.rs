use super::*;

fn parsed(text: &str) -> Fault {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_status_has_a_share_or_a_count_and_may_ask_to_wait() {
    let refusal = |status, retry_after| {
        FaultKind::Refuse(Refusal::Status { status: StatusCode::from_u16(status).unwrap(), retry_after })
    };
    let fault = parsed("503=5%,retry-after=2");
    assert_eq!(fault.kind, refusal(503, RetryAfter::Seconds(2)));
    assert_eq!(fault.when, When::Share(Share::parse("5%").unwrap()));
    assert_eq!(fault.scope, Scope::Only(CallKind::Create));

    let fault = parsed("list:429=first 3,retry-after-date=7");
    assert_eq!(fault.kind, refusal(429, RetryAfter::Date(7)));
    assert_eq!((fault.when, fault.scope), (When::First(3), Scope::Only(CallKind::List)));

    let fault = parsed("any:302");
    assert_eq!((fault.when, fault.scope), (When::Always, Scope::Any));
    assert_eq!(fault.kind, refusal(302, RetryAfter::Absent));
}

#[test]
fn values_and_counts_stand_side_by_side() {
    let fault = parsed("latency=5s..40s,10%");
    assert_eq!(fault.kind, FaultKind::Manner(Manner::Latency("5s..40s".parse().unwrap())));
    assert_eq!(fault.when, When::Share(Share::parse("10%").unwrap()));
    assert_eq!(fault.scope, Scope::Any);

    let fault = parsed("slow=at 2,pause=10ms");
    assert_eq!((fault.kind, fault.when), (FaultKind::Manner(Manner::Slow(Duration::from_millis(10))), When::At(2)));

    let fault = parsed("throttle=60/s");
    let pace = Pace::parse("60/s").unwrap();
    assert_eq!(fault.kind, FaultKind::Refuse(Refusal::Throttle { pace, burst: 60, retry_after: None }));

    let fault = parsed("reboot-after=1000");
    let down = Duration::from_secs(5);
    assert_eq!(fault.kind, FaultKind::Connection(Connection::Reboot { after: 1000, down }));

    let fault = parsed("list-lags=30s, first 2");
    assert_eq!(fault.kind, FaultKind::List(Listing::Lags(Duration::from_secs(30))));
    assert_eq!(fault.when, When::First(2));
}

#[test]
fn the_token_is_never_written_back() {
    let fault = parsed("token=c2VjcmV0PQ==");
    let FaultKind::Refuse(Refusal::Token(token)) = &fault.kind else { panic!("{fault:?}") };
    assert!(token.opens(b"Bearer c2VjcmV0PQ=="));
    assert!(!format!("{fault} {fault:?}").contains("c2VjcmV0"));
}

#[test]
fn what_is_no_fault_is_told_with_the_way_out() {
    for (text, message) in [
        ("drop-after-creat=1%", "fault \"drop-after-creat\" is not known; did you mean \"drop-after-create\"?"),
        ("surprise", "fault \"surprise\" is not known; the help of `cmbatch simulate` lists what there is"),
        ("", "fault \"\" is not known; the help of `cmbatch simulate` lists what there is"),
        (
            "lists:500",
            "scope \"lists\" is not known; write create:, list:, get:, put: or any: before the fault, or nothing",
        ),
        ("list:garbage", "fault \"garbage\" is about create calls only; leave \"list:\" out"),
        ("create:list-hides=1%", "fault \"list-hides\" is about list calls only; leave \"create:\" out"),
        ("throttle", "fault \"throttle\" needs a value, as in \"throttle=60/s,burst=10\""),
        ("token=", "fault \"token\" needs a value, as in \"token=made-up\""),
        (
            "503=5",
            "\"5\" in fault \"503\" says not which calls; write a share (5%), \"first 3\", \"after 100\", \"at 7\" or \"always\"",
        ),
        ("503=5%,first 3", "fault \"503\" does not take \"first 3\" as well; leave it out"),
        ("close-idle=1s,5%", "fault \"close-idle\" does not take \"5%\" as well; leave it out"),
        ("throttle=fast", "\"fast\" is no value for fault \"throttle\"; write it as in \"throttle=60/s,burst=10\""),
        ("503=5%,retry-after=soon", "\"soon\" is no value for fault \"503\"; write it as in \"503=5%,retry-after=2\""),
        (
            "reboot-after=0",
            "\"0\" is no value for fault \"reboot-after\"; write it as in \"reboot-after=1000,reboot-for=5s\"",
        ),
        (
            "201=1%",
            "201 is no status that a fault can answer; use 200 to 599 (201 only as in \"garbage\" or \"truncate\")",
        ),
        ("html=1%,color=red", "fault \"html\" has no parameter \"color\"; write it as in \"html=1%\""),
        ("forbid-type=Revok", "\"Revok\" in fault \"forbid-type\" is no request type; did you mean \"Revoke\"?"),
        (
            "forbid-template=x",
            "\"x\" in fault \"forbid-template\" is not a GUID: 32 hexadecimal digits in groups of 8-4-4-4-12, with or without braces",
        ),
        (
            "list-lags=5",
            "in fault \"list-lags\": \"5\" is not a time span; write a whole number and a unit, as 20ms, 5s, 2m or 1h",
        ),
        (
            "latency=2s..1s",
            "in fault \"latency\": the range \"2s..1s\" runs backwards; write the shorter span first, as 5s..40s",
        ),
    ] {
        assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message, "{text}");
    }
    for bad in ["100", "600", "000", "201", "created-201", "created-x"] {
        assert!(matches!(bad.parse::<Fault>(), Err(FaultError::BadStatus { .. })), "{bad}");
    }
}
