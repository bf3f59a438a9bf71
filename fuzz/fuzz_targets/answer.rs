//! Any answer: only a 201 with a usable URI is created, and nothing that may have happened is called certain.

#![no_main]

use cmbatch::client::{Answer, HttpAnswer, On503, classify};
use cmbatch::request::{Outcome, RequestUri};
use libfuzzer_sys::fuzz_target;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 4096;

fn check(status: u16, outcome: &Outcome, on_503: On503) {
    match outcome {
        Outcome::Created(uri) => {
            assert_eq!(status, 201);
            let again: RequestUri = uri.as_str().parse().expect("a URI that was taken is taken again");
            assert_eq!(again.uuid(), uri.uuid());
        }
        Outcome::InDoubt(_) => assert!(!matches!(status, 400 | 401 | 403 | 404 | 429)),
        Outcome::Failed(_) => {
            assert!((400..500).contains(&status) && !matches!(status, 401 | 404 | 407 | 408 | 429 | 499))
        }
        Outcome::Pending(_) => {
            assert!(matches!(status, 401 | 404 | 407 | 429) || (status == 503 && on_503 == On503::NotActedOn));
        }
    }
    if let Some(fault) = outcome.fault() {
        assert_eq!(fault.http_status, Some(status));
        assert!(fault.message.len() <= MAX_MESSAGE);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [high, low, flags, rest @ ..] = bytes else { return };
    // Half of the answers are of the statuses that mean something.
    let known = [200, 201, 204, 302, 400, 401, 403, 404, 407, 408, 409, 429, 499, 500, 502, 503, 504];
    let status = if high & 1 == 0 { known[usize::from(*low) % known.len()] } else { 100 + u16::from(*low) * 2 };
    let on_503 = if flags & 1 == 0 { On503::InDoubt } else { On503::NotActedOn };
    let (location, body) = if flags & 2 == 0 { (&[][..], rest) } else { rest.split_at(rest.len() / 2) };
    let location = std::str::from_utf8(location).ok().filter(|text| !text.is_empty()).map(str::to_owned);
    let answer = HttpAnswer { status, location, retry_after: None, body: body.to_vec().into() };
    check(status, &classify(&Answer::Http(answer), on_503), on_503);
});
