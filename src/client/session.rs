//! What tells that a browser's session is over: a gateway answers a call with its sign-in, and not with the API's words.

use std::path::Path;
use std::time::SystemTime;

use http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use http::{HeaderName, StatusCode};
use url::Url;

use crate::request::printable;

/// Returns what an answer does in place of the API's, as the end of a sentence about the server; none where it is the API's.
///
/// The API sends no call on, and what it lets be read is JSON. What another answer is made of tells nothing: IIS writes its errors
/// as pages, too.
pub(crate) fn other_than_api(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        let to = text(&LOCATION).map(place).unwrap_or_default();
        return Some(format!("sends the call on{to} ({})", status.as_u16()));
    }
    (status == StatusCode::OK && is_page(headers))
        .then(|| format!("answers with a page for people ({})", status.as_u16()))
}

/// Returns whether an answer says that it is a page.
pub(crate) fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Returns where a call is sent on to, without what may hold a secret.
pub(crate) fn place(location: &str) -> String {
    match Url::parse(location) {
        Ok(url) => match url.host_str() {
            Some(host) => printable(&format!(" to {}://{host}{}", url.scheme(), url.path())),
            None => String::new(),
        },
        Err(_) => printable(&format!(" to {}", location.split(['?', '#']).next().unwrap_or_default())),
    }
}

/// Returns how long ago a file was written, in brackets; empty where nobody can say.
pub(crate) fn written_ago(path: &Path, now: SystemTime) -> String {
    let written = std::fs::metadata(path).and_then(|seen| seen.modified()).ok();
    let Some(ago) = written.and_then(|written| now.duration_since(written).ok()) else { return String::new() };
    let minutes = ago.as_secs() / 60;
    match minutes {
        0..120 => format!(" (written {minutes} min ago)"),
        _ => format!(" (written {} h ago)", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_sign_in_in_place_of_an_answer_is_known() {
        let of = |status: u16, name: HeaderName, value: &'static str| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            other_than_api(StatusCode::from_u16(status).unwrap(), &headers)
        };
        let to = "https://u:p@adfs.contoso.test/adfs/ls/?wa=wsignin1.0&wctx=secret#x";
        let on = of(302, LOCATION, to).unwrap();
        assert_eq!(on, "sends the call on to https://adfs.contoso.test/adfs/ls/ (302)");
        assert_eq!(of(307, LOCATION, "/login?back=secret").unwrap(), "sends the call on to /login (307)");
        assert_eq!(of(303, CONTENT_TYPE, "text/html").unwrap(), "sends the call on (303)");
        assert_eq!(of(200, CONTENT_TYPE, "Text/HTML; charset=utf-8").unwrap(), "answers with a page for people (200)");
        assert_eq!(of(201, CONTENT_TYPE, "application/json"), None);
        assert_eq!(of(304, CONTENT_TYPE, "text/html"), None);
        for status in [401, 403, 404, 500, 503] {
            assert_eq!(of(status, CONTENT_TYPE, "text/html"), None);
        }
    }

    #[test]
    fn the_age_of_a_file_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = file.path().metadata().unwrap().modified().unwrap();
        let ago = |seconds| written_ago(file.path(), written + Duration::from_secs(seconds));
        assert_eq!((ago(119), ago(9 * 3600)), (" (written 1 min ago)".to_owned(), " (written 9 h ago)".to_owned()));
        assert_eq!(written_ago(Path::new("/nonexistent/file"), written), "");
        assert_eq!(written_ago(file.path(), written - Duration::from_secs(1)), "");
    }
}
