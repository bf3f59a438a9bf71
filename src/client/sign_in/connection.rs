//! What an answer tells of the connection that it came over.

use std::net::SocketAddr;

use http::header::CONNECTION;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::Response;

/// Returns this end of the connection that an answer came over.
pub(super) fn this_end(response: &Response) -> Option<SocketAddr> {
    response.extensions().get::<HttpInfo>().map(HttpInfo::local_addr)
}

/// Returns whether the server ends the connection behind this answer (RFC 9112, 9.6).
pub(super) fn is_last(response: &Response) -> bool {
    let mut said = response.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    said.any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close")))
}

/// Reads an answer that nobody wants, and returns whether it had an end below the limit; else its connection is closed.
pub(super) async fn read_to_end(mut response: Response, max_bytes: usize) -> bool {
    let mut n_bytes = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if n_bytes + chunk.len() <= max_bytes => n_bytes += chunk.len(),
            Ok(Some(_)) | Err(_) => return false,
            Ok(None) => return true,
        }
    }
}
