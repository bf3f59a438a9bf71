//! Connections: reused, closed, refused, and what goes on without them.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use super::raw::Ended;
use super::*;

/// Looks until something is so; fails when it is not after a long time.
#[track_caller]
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if let Some(found) = look() {
            return found;
        }
        yield_now();
    }
    panic!("it did not come about");
}

#[test]
fn a_connection_is_reused() {
    let simulator = start(quick());
    let mut raw = Raw::connect(&simulator);
    raw.post(&enroll("x")).unwrap();
    raw.get("/requests").unwrap();
    create(&simulator, "x");
    let seen: Vec<_> = simulator.arrivals().iter().map(|arrival| arrival.connection).collect();
    assert_eq!(seen, [1, 1, 2]);
}

#[test]
fn a_hang_up_comes_after_the_whole_answer() {
    let simulator = with_faults(&["any:hang-up"]);
    let mut raw = Raw::connect(&simulator);
    let answer = raw.post(&enroll("x")).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (201, None));
    assert!(raw.ends_silently());
    let mut raw = Raw::connect(&simulator);
    assert_eq!(raw.get("/requests").unwrap().json().as_array().unwrap().len(), 1);
    assert!(raw.ends_silently());
}

#[test]
fn an_idle_connection_is_closed_but_not_one_that_waits_for_its_answer() {
    let simulator = with_faults(&["close-idle=30ms", "latency=150ms"]);
    let mut raw = Raw::connect(&simulator);
    assert_eq!(raw.post(&enroll("x")).unwrap().status, 201);
    assert!(raw.ends_silently());
}

#[test]
fn the_server_works_on_when_the_client_has_gone() {
    let simulator = with_faults(&["latency=50ms"]);
    let mut raw = Raw::connect(&simulator);
    raw.send("POST", &path("/requests"), "", &enroll("x"));
    until(|| simulator.arrivals().pop());
    drop(raw);
    let arrival = until(|| simulator.arrivals().pop().filter(|arrival| arrival.acted));
    assert_eq!(arrival.created, Some(simulator.requests()[0].uuid));
    assert_eq!(arrival.answered, Some(201));
}

#[test]
fn a_body_that_breaks_off_creates_nothing() {
    let simulator = start(quick());
    let body = enroll("x");
    let tcp = TcpStream::connect(simulator.address()).unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{body}", path("/requests"));
    std::io::Write::write_all(&mut &tcp, head.as_bytes()).unwrap();
    tcp.shutdown(std::net::Shutdown::Write).unwrap();
    let arrival = until(|| simulator.arrivals().pop().filter(|arrival| arrival.acted));
    assert_eq!((arrival.answered, arrival.created, arrival.body.len()), (None, None, 0));
    assert_eq!(Raw::over(tcp).answer().unwrap_err(), Ended(String::new()));
}

#[test]
fn a_reboot_refuses_connections_and_comes_back_with_its_requests() {
    let simulator = with_faults(&["reboot-after=2,reboot-for=600ms"]);
    let mut idle = Raw::connect(&simulator);
    assert_eq!(create(&simulator, "x").status, 201);
    let mut last = Raw::connect(&simulator);
    assert_eq!(last.post(&enroll("x")).unwrap_err(), Ended(String::new()), "its answer is lost");
    let refused = TcpStream::connect(simulator.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(idle.ends_silently());

    let back = until(|| TcpStream::connect(simulator.address()).ok());
    let list = Raw::over(back).get("/requests").unwrap().json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(statuses(&simulator, 3), [201, 201, 201], "once is enough");
    let created = simulator.arrivals().iter().filter(|arrival| arrival.created.is_some()).count();
    assert_eq!(created, simulator.requests().len());
}

#[test]
fn what_a_reboot_finds_undone_is_never_done() {
    let simulator = with_faults(&["latency=1h,at 1", "reboot-after=1,reboot-for=1ms"]);
    let mut slow = Raw::connect(&simulator);
    slow.send("POST", &path("/requests"), "", &enroll("slow"));
    until(|| simulator.arrivals().pop());
    assert_eq!(Raw::connect(&simulator).post(&enroll("quick")).unwrap_err(), Ended(String::new()));
    assert_eq!(slow.answer().unwrap_err(), Ended(String::new()));
    let first = until(|| simulator.arrivals().into_iter().next().filter(|arrival| arrival.acted));
    assert_eq!((first.answered, first.created), (None, None));
    let comments: Vec<_> = simulator.requests().into_iter().map(|request| request.comment).collect();
    assert_eq!(comments, ["quick"]);
}

#[test]
fn the_port_is_free_when_it_has_stopped() {
    let simulator = start(quick());
    let address = simulator.address();
    let mut open = Raw::connect(&simulator);
    open.get("/requests").unwrap();
    simulator.stop();
    assert!(open.ends_silently());
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let again = Simulator::start(quick(), address, Vec::new()).unwrap();
    assert_eq!(again.address(), address);
}
