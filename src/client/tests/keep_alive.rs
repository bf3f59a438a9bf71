//! Connections that are taken up again, and what happens when the server closes one at each possible moment.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::raw::{Arrival, Log, Peer, RawServer, UUID, created, endpoint};
use crate::client::{Answer, Client, TransportFault};

#[tokio::test]
async fn calls_share_a_connection() {
    let server = RawServer::start(async |mut peer: Peer| peer.serve(created()).await).await;
    let client = server.client();
    for _ in 0..5 {
        assert!(matches!(client.create(b"{}".to_vec(), None).await, Answer::Http(answer) if answer.status == 201));
    }
    assert_eq!(server.log.n_posts(b"{}"), 5);
    assert!(server.log.arrivals().iter().all(|arrival| arrival.connection == 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_rested_for_seconds_is_not_taken_up_again() {
    let server = RawServer::start(async |mut peer: Peer| peer.serve(created()).await).await;
    let client = server.client();
    for pause_s in [0, 2, 5] {
        tokio::time::sleep(Duration::from_secs(pause_s)).await;
        assert!(matches!(client.create(b"{}".to_vec(), None).await, Answer::Http(answer) if answer.status == 201));
    }
    let connections: Vec<_> = server.log.arrivals().into_iter().map(|arrival| arrival.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

/// A server (or a proxy) that answers a call twice must not answer the next call with it: the wrong URI would be recorded.
#[tokio::test]
async fn a_second_answer_to_one_call_is_never_taken_for_the_next_ones() {
    const STALE: &str = "11111111-2222-3333-4444-555555555555";
    for at_once in [true, false] {
        let server = RawServer::start(move |mut peer: Peer| async move {
            while peer.request().await.is_some() {
                let stale = created().replace(UUID, STALE);
                if at_once {
                    peer.write(created() + &stale).await;
                } else {
                    peer.write(created()).await;
                    peer.write(stale).await;
                }
            }
        })
        .await;
        let client = server.client();
        for number in 0..50 {
            let body = format!("{number}").into_bytes();
            match (client.create(body.clone(), None).await, server.log.n_posts(&body)) {
                (Answer::Http(answer), 1) => assert!(!answer.body.windows(36).any(|text| text == STALE.as_bytes())),
                (Answer::None { fault, .. }, 0 | 1) => assert_eq!(fault, TransportFault::ConnectionLost),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// When the server ends the first connection, after it answered one call well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    AfterAnswer,
    FirstByte,
    AfterHead,
    WholeRequest,
    HalfAnHead,
    HalfABody,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
}

const SECOND: &[u8] = br#"{"second":true}"#;

async fn end_at(mut peer: Peer, moment: Moment, end: End, ended: Arc<Notify>) {
    peer.request().await.unwrap();
    peer.write(created()).await;
    match moment {
        Moment::AfterAnswer => {}
        Moment::FirstByte => peer.until_first_byte().await,
        Moment::AfterHead => {
            peer.head().await;
        }
        Moment::WholeRequest => {
            peer.request().await;
        }
        Moment::HalfAnHead => {
            peer.request().await;
            peer.write("HTTP/1.1 201 Cr").await;
        }
        Moment::HalfABody => {
            peer.request().await;
            peer.write("HTTP/1.1 201 Created\r\nContent-Length: 80\r\n\r\n\"api").await;
        }
    }
    match end {
        End::Close => drop(peer),
        End::Reset => peer.reset(),
    }
    ended.notify_one();
}

/// Makes two calls; returns what was seen of the second, and on which connections it arrived whole.
async fn second_call(moment: Moment, end: End) -> (Answer, Vec<usize>) {
    let ended = Arc::new(Notify::new());
    let of_server = Arc::clone(&ended);
    let server = RawServer::start(move |mut peer: Peer| {
        let ended = Arc::clone(&of_server);
        async move {
            if peer.number == 0 {
                end_at(peer, moment, end, ended).await;
            } else {
                peer.serve(created()).await;
            }
        }
    })
    .await;
    let client = server.client();
    assert!(matches!(client.create(b"{}".to_vec(), None).await, Answer::Http(_)));
    if moment == Moment::AfterAnswer {
        ended.notified().await;
    }
    let answer = client.create(SECOND.to_vec(), None).await;
    let arrived = server.log.arrivals().into_iter().filter(|arrival| arrival.body == SECOND);
    (answer, arrived.map(|arrival| arrival.connection).collect())
}

#[tokio::test]
async fn a_connection_closed_before_the_request_costs_nothing_or_leaves_a_doubt() {
    for end in [End::Close, End::Reset] {
        match second_call(Moment::AfterAnswer, end).await {
            // The close was seen in time: the request went over a second connection, and only there.
            (Answer::Http(answer), arrived) => assert_eq!((answer.status, arrived), (201, vec![1]), "{end:?}"),
            // It was not: nobody read the request, which the client cannot know.
            (Answer::None { fault, .. }, arrived) => {
                assert_eq!((fault, arrived), (TransportFault::ConnectionLost, vec![]), "{end:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_closed_once_the_request_was_begun_is_in_doubt_and_nothing_is_sent_again() {
    let lost = [TransportFault::ConnectionLost].as_slice();
    let broken = &[TransportFault::AnswerBroken { status: 201 }, TransportFault::ConnectionLost];
    for (moment, faults, expect) in [
        (Moment::FirstByte, lost, vec![]),
        (Moment::AfterHead, lost, vec![]),
        (Moment::WholeRequest, lost, vec![0]),
        (Moment::HalfAnHead, lost, vec![0]),
        (Moment::HalfABody, broken, vec![0]),
    ] {
        for end in [End::Close, End::Reset] {
            match second_call(moment, end).await {
                (Answer::None { fault, .. }, arrived) => {
                    assert!(faults.contains(&fault), "{moment:?} {end:?}: {fault:?}");
                    assert_eq!(arrived, expect, "{moment:?} {end:?}");
                }
                (Answer::Http(answer), _) => panic!("{moment:?} {end:?}: {answer:?}"),
            }
        }
    }
}

/// Reads one request from a blocking connection and answers it; says whether one came.
fn answer_once(stream: &mut std::net::TcpStream, log: &Log, number: usize) -> bool {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(n_read) if n_read > 0 => read.extend_from_slice(&chunk[..n_read]),
            Ok(_) | Err(_) => return false,
        }
        // The bodies of this test are eight bytes long.
        if let Some(at) = memchr::memmem::find(&read, b"\r\n\r\n").filter(|at| read.len() == at + 12) {
            let body = read.split_off(at + 4);
            log.add(Arrival { connection: number, head: String::from_utf8(read).unwrap(), body });
            return stream.write_all(created().as_bytes()).is_ok();
        }
    }
}

/// The server runs on threads of its own and closes as soon as it answered, without saying so: the close meets the next
/// call at a moment of its own choice.
#[tokio::test]
async fn no_call_is_ever_received_twice_by_a_server_that_closes_at_random() {
    const N_CALLS: usize = 400;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let of_server = log.clone();
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    let server = std::thread::spawn(move || {
        let mut connections = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            if told.load(Ordering::SeqCst) {
                break;
            }
            let log = of_server.clone();
            connections.push(std::thread::spawn(move || {
                // Some connections carry two calls.
                let n_calls = if number % 3 == 0 { 2 } else { 1 };
                (0..n_calls).all(|_| answer_once(&mut stream, &log, number))
            }));
        }
        for connection in connections {
            connection.join().unwrap();
        }
    });
    let client = Client::new(&endpoint(&format!("http://{address}"))).unwrap();
    let mut n_created = 0;
    for number in 0..N_CALLS {
        let body = format!("{number:08}").into_bytes();
        let seen = client.create(body.clone(), None).await;
        match (&seen, log.n_posts(&body)) {
            (Answer::Http(_), 1) => n_created += 1,
            (Answer::None { fault: TransportFault::ConnectionLost, .. }, 0 | 1)
            | (Answer::None { fault: TransportFault::NotConnected, .. }, 0) => {}
            other => panic!("call {number}: {other:?}"),
        }
    }
    // Nothing comes late either. The wait leaves the runtime free to close the client's connections.
    drop(client);
    over.store(true, Ordering::SeqCst);
    drop(std::net::TcpStream::connect(address));
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
    let mut bodies: Vec<_> = log.arrivals().into_iter().map(|arrival| arrival.body).collect();
    let n_arrived = bodies.len();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), n_arrived);
    assert!(n_created > 0 && n_created <= n_arrived, "{n_created} of {n_arrived}");
}
