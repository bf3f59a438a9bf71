//! The table of faults, for help texts and for "did you mean".

use super::parse::Fault;

/// One line of the table of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultHelp {
    /// Its name.
    pub name: &'static str,
    /// How it can be written.
    pub example: &'static str,
    /// What it does, in a sentence without a full stop.
    pub meaning: &'static str,
}

const fn row(name: &'static str, example: &'static str, meaning: &'static str) -> FaultHelp {
    FaultHelp { name, example, meaning }
}

const TABLE: [FaultHelp; 34] = [
    row("503", "503=5%,retry-after=2", "any status from 200 to 599, nothing is created"),
    row("429", "429=first 3,retry-after-date=2", "Retry-After as a date; \"none\" leaves it out"),
    row("drop-before", "drop-before=1%", "the connection is closed, nothing is created"),
    row("html", "html=1%", "a proxy's sign-in page, 200 and HTML, nothing is created"),
    row("api-disabled", "api-disabled", "404 on every route"),
    row("unauthorized", "unauthorized=after 100", "401 that asks for Negotiate"),
    row("token", "token=made-up", "401 without this bearer token"),
    row("throttle", "throttle=60/s,burst=10", "429 above this pace (/s, /m, /h), with Retry-After"),
    row("forbid-type", "forbid-type=Revoke", "403 for this type"),
    row("forbid-template", "forbid-template=a039b4d0-5ce8-4eff-8651-181c6576fda3", "403 for this profile template"),
    row("forbid-target", "forbid-target=97cc3493-f556-4c9b-9d8b-982434201527", "403 for this target user"),
    row("already-revoked", "already-revoked=30%", "500 for this share of all targets, when revoked"),
    row("comment-limit", "comment-limit=64", "comments are cut at so many characters"),
    row("deny", "deny=2%", "created, and Denied when it would be approved"),
    row("fail", "fail=2%", "created, and Failed when it would be completed"),
    row("created-500", "created-500=1%", "created, and answered with this status"),
    row("created-503", "created-503=1%,retry-after=2", "the same by a proxy; any status from 200 to 599"),
    row("drop-after-create", "drop-after-create=1%", "created, and the connection is closed"),
    row("truncate", "truncate=1%", "the answer ends in the middle of its body"),
    row("garbage", "garbage=1%", "201 with something that is no URI"),
    row("empty-201", "empty-201=1%", "201 without a body"),
    row("null-location", "null-location=1%", "201 with null in place of the URI"),
    row("location-only", "location-only=1%", "201 without a body, the URI in Location"),
    row("rooted-uri", "rooted-uri", "201 with /CertificateManagement before the URI"),
    row("latency", "latency=5s..40s,10%", "a wait before the server acts, which it does in any case"),
    row("answer-delay", "answer-delay=5s..40s", "a wait after the server acted"),
    row("slow", "slow=1%,pause=50ms", "the answer comes a byte at a time"),
    row("hang-up", "hang-up=5%", "the connection is closed after the answer, without notice"),
    row("close-idle", "close-idle=2s", "connections that idle so long are closed"),
    row("reboot-after", "reboot-after=1000,reboot-for=5s", "after so many create calls the server is away for a time"),
    row("list-hides", "list-hides=10%", "this share of requests is not in the list"),
    row("list-lags", "list-lags=30s", "requests younger than this are not in the list"),
    row("302", "302=1%", "a redirect, nothing is created"),
    row("500", "list:500=first 2", "create:, list:, get:, put: or any: before a fault say which calls"),
];

/// Returns how a fault of this name can be written.
pub(super) fn example(name: &str) -> &'static str {
    TABLE.iter().find(|row| row.name == name).map_or("503=5%,retry-after=2", |row| row.example)
}

/// Returns all names of the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

impl Fault {
    /// Returns the table of all faults, in the order of the stages of a call.
    pub fn table() -> &'static [FaultHelp] {
        &TABLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_parses_and_has_its_own_name() {
        for row in Fault::table() {
            let fault: Fault = row.example.parse().unwrap_or_else(|error| panic!("{}: {error}", row.example));
            assert!(row.example.contains(row.name), "{}", row.example);
            let shown = if row.name == "token" { "token=..." } else { row.example };
            assert_eq!(fault.to_string(), shown);
            assert!(!row.meaning.ends_with('.') && row.meaning.len() <= 80, "{}", row.meaning);
        }
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), TABLE.len());
    }
}
