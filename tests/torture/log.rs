//! The log that a simulator writes as a process of its own (`cmbatch simulate --log`).

use serde_json::Value;

use crate::oracle::Seen;

/// Returns the create calls in the log of a simulator.
pub(crate) fn seen_in(log: &str) -> Vec<Seen> {
    // The last line may be on its way.
    let (whole, _) = log.rsplit_once('\n').unwrap_or_default();
    let calls = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let posts = calls.filter(|call| call["method"] == "POST");
    // A call that a kill cut off in its body was not seen by the server either.
    let read = |call: Value| {
        let body: Value = serde_json::from_str(call["body"].as_str()?).ok()?;
        Some(Seen::new(&body, call["created"].as_str().map(str::to_owned)))
    };
    posts.filter_map(read).collect()
}
