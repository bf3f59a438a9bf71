//! The token server has a client of its own: its roots and its proxy are not the API's.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pins::Front;
use super::server::Manner;
use super::{World, further_manifest};
use crate::common::Ran;

/// Answers each connection in a thread of its own, until the test's process ends.
fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Reads a request's first line, its headers and its body.
fn read_request(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let n_bytes = lines.by_ref().take_while(|line| !line.is_empty()).fold(0, |n, line| {
        let length = line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap());
        length.unwrap_or(n)
    });
    assert!(n_bytes == 0 || first.starts_with("POST"), "{first}");
    first
}

fn token_server() -> SocketAddr {
    serve(|mut stream| {
        read_request(&stream);
        let body = r#"{"access_token":"t0ken","token_type":"bearer","expires_in":3600}"#;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
        stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    })
}

/// A proxy, and how many tunnels it made.
fn proxy() -> (SocketAddr, Arc<AtomicUsize>) {
    let n_tunnels = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_tunnels);
    let address = serve(move |mut stream| {
        let first = read_request(&stream);
        let Some(target) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else { return };
        counted.fetch_add(1, Ordering::SeqCst);
        let port = target.rsplit(':').next().unwrap().parse().unwrap();
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut up, mut down) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut up, &mut server));
        let _ = std::io::copy(&mut down, &mut stream);
    });
    (address, n_tunnels)
}

#[test]
fn a_token_server_behind_tls_and_a_proxy_serves_an_api_that_has_neither() {
    let world = World::new(Manner::default());
    let front = Front::before(token_server());
    let (proxy, n_tunnels) = proxy();
    let proxied = format!("http://{proxy}");
    // Only the proxy knows where the second one is.
    let through = [("HTTPS_PROXY", proxied.as_str()), ("HTTP_PROXY", proxied.as_str()), ("NO_PROXY", "127.0.0.1")];
    for (name, host, variables, expected) in
        [("direct", "localhost", &[][..], 0), ("proxied", "tokens.test", &through[..], 1)]
    {
        let token_url = format!("https://{host}:{}/token", front.port);
        let place = world.on_host(name, "host");
        place.write("ca.pem", &front.authority);
        place.write("secret", "s3cret");
        std::fs::set_permissions(place.file("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
        place.write("wave.csv", further_manifest(2, &format!("a1b2c3d{expected}")));
        let words = ["submit", "wave.csv", "--auth", "oauth", "--token-url", &token_url, "--client-id", "cm"];
        let trust = ["--client-secret-file", "secret", "--resource", "https://cm", "--ca-file", "ca.pem"];
        let n_made = world.server.n_made();
        let ran: Ran = place.run_with(&[&words[..], &trust[..]].concat(), variables);
        ran.exits(0);
        assert_eq!((world.server.n_made() - n_made, n_tunnels.load(Ordering::SeqCst)), (2, expected), "{name}");
    }
}
