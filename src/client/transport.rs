//! Which error of the HTTP library means which [`TransportFault`].
//!
//! The first question is whether anything may have been sent; it is answered by [`OnceBody`](super::once::OnceBody), not
//! by the error. Only then the error tells more. What each looks like was read in the sources of reqwest 0.13.5,
//! hyper-util 0.1.21, hyper 1.12.0 and hyper-rustls 0.27.10:
//!
//! | what happened | the error, from the outside in | source | fault |
//! | --- | --- | --- | --- |
//! | no address for the name | `reqwest::Error` (request) > `legacy::Error` (Connect) > `ConnectError` > `DnsError` | reqwest `src/dns/resolve.rs`, hyper-util `src/client/legacy/connect/http.rs` | `NameNotResolved` |
//! | connection refused | … (Connect) > `ConnectError` > `io::Error` of kind `ConnectionRefused` (of several addresses of a family the first one's error) | hyper-util `connect/http.rs` | `ConnectionRefused` |
//! | unreachable, no route, no port left | the same with another kind | the same | `NotConnected` |
//! | connect time-out (TCP, tunnel and TLS together) | … (Connect) > reqwest's `TimedOut` | reqwest `src/connect.rs`, `with_timeout` | `NotConnected` |
//! | TLS handshake refused by either side | … (Connect) > `io::Error` > (its inner, not its source) `io::Error` > `rustls::Error` | hyper-rustls `src/connector.rs`; through a proxy reqwest `src/connect.rs`, one `io::Error` less | `TlsFailed` |
//! | connection lost during the TLS handshake | … (Connect) > `io::Error` directly, without `ConnectError` | the same | `TlsFailed` |
//! | proxy unreachable, CONNECT refused | … (Connect) > `TunnelError` | hyper-util `connect/proxy/tunnel.rs` | `NotConnected` |
//! | 407 to CONNECT | the same | the same | `ProxyRefused` |
//! | fresh connection closed before the request was begun | … (Canceled) > `hyper::Error` (Canceled) | hyper-util `src/client/legacy/client.rs`, `try_send_request` | `NotConnected` |
//! | pooled connection closed before the request was begun | none: hyper-util takes another connection | the same, `send_request` | - |
//! | total time-out before the request was begun | `reqwest::Error` (request) > `TimedOut` | reqwest `src/async_impl/client.rs`, `PendingRequest` | `NotConnected` |
//! | total time-out after | the same | the same | `Timeout` |
//! | end of file or reset after the request was begun | … (SendRequest) > `hyper::Error` (IncompleteMessage, Io, BodyWrite) | hyper `src/proto/h1/{conn,dispatch}.rs` | `ConnectionLost` |
//! | an answer that is not HTTP, or whose head is too large | … (SendRequest) > `hyper::Error` (Parse) | hyper `src/proto/h1/role.rs` | `ConnectionLost` |
//! | TCP gave the peer up (keep-alive probes, user time-out) | … (SendRequest) > `hyper::Error` > `io::Error` of kind `TimedOut`, for which reqwest's `is_timeout` says yes too | reqwest `src/error.rs` | `ConnectionLost` |
//!
//! `is_request` holds for all of these, and `is_body` and `is_decode` only for the answer's body, which is read after its
//! head: that is `AnswerBroken`, made where the body is read.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::answer::TransportFault;
use super::once::Departed;
use super::tls_reason;
use crate::platform::lacks_files;

/// What a 407 means for whoever runs the program.
pub const PROXY_ASKS: &str =
    "the proxy wants to know who calls, or does not take what it was told (407): check --proxy-credentials FILE";

/// What to do where no connection can be made because too many are open.
const TOO_MANY_OPEN: &str =
    "this process has too many files and connections open: raise the limit (ulimit -n), or lower --concurrency";

/// What hyper-util says of a proxy that answers CONNECT by 407, and by anything else but 200. The type of the error is its own
/// secret; what it says is not.
const TUNNEL_407: &str = "tunnel error: proxy authorization required";
const NO_TUNNEL: &str = "tunnel error: unsuccessful";

/// The facts that decide which fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether the request may have left.
    pub(crate) departed: Departed,
    /// The call goes through a proxy: then refused and unresolved are said of the proxy, not of the server.
    pub(crate) proxied: bool,
    /// One of the call's time-outs passed.
    pub(crate) timed_out: bool,
    /// The TLS handshake failed.
    pub(crate) tls: bool,
    /// A name was not resolved.
    pub(crate) dns: bool,
    /// A connection was refused.
    pub(crate) refused: bool,
    /// The proxy answered 407 to CONNECT.
    pub(crate) proxy_asks: bool,
}

impl Seen {
    /// Reads the facts out of an error of [`reqwest`].
    pub(crate) fn of(error: &reqwest::Error, departed: Departed, proxied: bool) -> Self {
        let links = links(error);
        let io_errors = || links.iter().filter_map(|link| link.downcast_ref::<io::Error>());
        // Below reqwest's own error and hyper-util's: an io::Error there comes from the TLS connector, because TCP's are
        // inside of a ConnectError and the tunnel's inside of a TunnelError.
        let first_cause_is_io = links.get(2).is_some_and(|link| link.is::<io::Error>());
        let rustls = links.iter().any(|link| link.is::<rustls::Error>());
        Self {
            departed,
            proxied,
            timed_out: error.is_timeout() && io_errors().next().is_none(),
            tls: error.is_connect() && (rustls || first_cause_is_io),
            dns: error.is_dns(),
            refused: io_errors().any(|error| error.kind() == io::ErrorKind::ConnectionRefused),
            proxy_asks: error.is_connect() && links.iter().any(|link| link.to_string() == TUNNEL_407),
        }
    }

    /// Returns which fault it was.
    pub(crate) const fn fault(self) -> TransportFault {
        match self.departed {
            Departed::Maybe if self.timed_out => TransportFault::Timeout,
            Departed::Maybe => TransportFault::ConnectionLost,
            Departed::TooLate => TransportFault::TooLate,
            Departed::No if self.proxy_asks => TransportFault::ProxyRefused,
            Departed::No if self.tls => TransportFault::TlsFailed,
            Departed::No if self.proxied => TransportFault::NotConnected,
            Departed::No if self.dns => TransportFault::NameNotResolved,
            Departed::No if self.refused => TransportFault::ConnectionRefused,
            Departed::No => TransportFault::NotConnected,
        }
    }
}

/// Returns what an error says, from the outside in, without the address and without saying anything twice.
pub(crate) fn message(error: &reqwest::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for link in links(error) {
        if let Some(error) = link.downcast_ref::<rustls::Error>()
            && let Some(reason) = tls_reason::reason(error)
        {
            // What is this program's own says it all.
            let is_own = matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(_)));
            return if is_own { reason } else { format!("{reason} ({link})") };
        }
        if let Some(error) = link.downcast_ref::<io::Error>().filter(|error| lacks_files(error)) {
            return format!("{TOO_MANY_OPEN} ({error})");
        }
        // These two say no more than that a request failed.
        if link.is::<reqwest::Error>() || link.is::<hyper_util::client::legacy::Error>() {
            continue;
        }
        let text = match link.to_string() {
            text if text == TUNNEL_407 => PROXY_ASKS.to_owned(),
            text if text == NO_TUNNEL => {
                "the proxy does not connect to the server: check --proxy-credentials, and what the proxy allows"
                    .to_owned()
            }
            text => text,
        };
        // An io::Error shows what it wraps.
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    if said.is_empty() {
        return if error.is_timeout() { "operation timed out".to_owned() } else { "the request failed".to_owned() };
    }
    said.join(": ")
}

/// Returns an error and what caused it, outermost first. An [`io::Error`]'s `source` is the source of what it wraps, so
/// the wrapped error itself would be passed over.
fn links<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut links = Vec::new();
    let mut next = Some(error);
    while let Some(link) = next {
        links.push(link);
        next = match link.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => link.source(),
        };
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Seen = Seen {
        departed: Departed::No,
        proxied: false,
        timed_out: false,
        tls: false,
        dns: false,
        refused: false,
        proxy_asks: false,
    };

    #[test]
    fn each_set_of_facts_has_its_fault() {
        let gone = Seen { departed: Departed::Maybe, ..NOTHING };
        for (seen, expect) in [
            (NOTHING, TransportFault::NotConnected),
            (Seen { timed_out: true, ..NOTHING }, TransportFault::NotConnected),
            (Seen { refused: true, ..NOTHING }, TransportFault::ConnectionRefused),
            (Seen { dns: true, ..NOTHING }, TransportFault::NameNotResolved),
            (Seen { tls: true, ..NOTHING }, TransportFault::TlsFailed),
            (Seen { proxied: true, refused: true, ..NOTHING }, TransportFault::NotConnected),
            (Seen { proxied: true, dns: true, ..NOTHING }, TransportFault::NotConnected),
            (Seen { proxied: true, tls: true, ..NOTHING }, TransportFault::TlsFailed),
            (Seen { proxied: true, proxy_asks: true, ..NOTHING }, TransportFault::ProxyRefused),
            (gone, TransportFault::ConnectionLost),
            (Seen { timed_out: true, ..gone }, TransportFault::Timeout),
            (Seen { departed: Departed::TooLate, proxied: true, ..NOTHING }, TransportFault::TooLate),
            // What may have left is never called certain, whatever else the error says.
            (Seen { refused: true, dns: true, tls: true, ..gone }, TransportFault::ConnectionLost),
        ] {
            assert_eq!(seen.fault(), expect, "{seen:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn too_many_open_files_are_no_fault_of_the_server() {
        assert!(lacks_files(&io::Error::from_raw_os_error(nix::libc::EMFILE)));
        assert!(!lacks_files(&io::Error::from_raw_os_error(nix::libc::ENOSPC)));
    }

    #[test]
    fn what_an_io_error_wraps_is_a_link_of_its_own() {
        let inner = io::Error::other(rustls::Error::HandshakeNotComplete);
        let outer = io::Error::other(inner);
        let links = links(&outer);
        assert_eq!(links.len(), 3);
        assert!(links[2].is::<rustls::Error>());
    }
}
