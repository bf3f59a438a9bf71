//! What a server saw, against what a ledger says of it: never twice, never lost.

use std::collections::BTreeMap;

use cmbatch::request::Tag;
use serde_json::Value;

use crate::common::Folder;

/// A create call as a server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The tag in its comment.
    pub(crate) tag: Option<Tag>,
    pub(crate) target: String,
    /// The uuid of the request that it created, whatever was answered.
    pub(crate) created: Option<String>,
}

impl Seen {
    /// Reads the body of a call.
    pub(crate) fn new(body: &Value, created: Option<String>) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        Self { tag: Tag::find(text("comment")), target: text("target").to_owned(), created }
    }
}

/// A row as a ledger has it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) target: String,
    pub(crate) state: String,
    pub(crate) uuid: Option<String>,
    pub(crate) code: Option<String>,
}

/// Returns the rows of a ledger, as they are exported.
#[track_caller]
pub(crate) fn rows(folder: &Folder, ledger: &str) -> Vec<Row> {
    let ran = folder.run(&["export", ledger, "--format", "jsonl"]).exits(0);
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        Row {
            number: row["row"].as_u64().unwrap(),
            target: text("target").unwrap_or_default(),
            state: text("state").unwrap(),
            uuid: text("request_uuid"),
            code: text("error_code"),
        }
    };
    ran.stdout.lines().map(row).collect()
}

/// Returns every breach of the promise, for a manifest of so many rows with a target each of its own.
pub(crate) fn breaches(rows: &[Row], seen: &[Seen], n_rows: usize) -> Vec<String> {
    let mut found = Vec::new();
    let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
    if numbers != (1..=n_rows as u64).collect::<Vec<_>>() {
        found.push(format!("the ledger has the rows {numbers:?}, and the manifest {n_rows}"));
    }
    let mut created: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut tagged: BTreeMap<String, usize> = BTreeMap::new();
    for call in seen {
        let Some(uuid) = &call.created else { continue };
        created.entry(&call.target).or_default().push(uuid);
        if let Some(tag) = call.tag {
            *tagged.entry(tag.to_string()).or_default() += 1;
        }
    }
    for (target, uuids) in created.iter().filter(|(_, uuids)| uuids.len() > 1) {
        found.push(format!("{target} was created {} times: {uuids:?}", uuids.len()));
    }
    for (tag, n) in tagged.iter().filter(|(_, n)| **n > 1) {
        found.push(format!("{tag} was created {n} times"));
    }
    for row in rows {
        let on_server = created.get(row.target.as_str()).and_then(|uuids| uuids.first().copied());
        match (row.state.as_str(), on_server) {
            ("created", Some(uuid)) if row.uuid.as_deref() == Some(uuid) => {}
            ("created", on_server) => {
                found.push(format!("row {} is created as {:?} and on the server {on_server:?}", row.number, row.uuid));
            }
            ("in_doubt", _) | (_, None) => {}
            (state, Some(uuid)) => found.push(format!("row {} is {state}, and exists as {uuid}", row.number)),
        }
    }
    found.extend(misplaced(rows, seen));
    found
}

/// A tag must name the row whose target it was sent with.
fn misplaced(rows: &[Row], seen: &[Seen]) -> Vec<String> {
    let target_of: BTreeMap<u64, &str> = rows.iter().map(|row| (row.number, row.target.as_str())).collect();
    let wrong = |call: &&Seen| {
        let row = call.tag.and_then(|tag| tag.row()).map(|row| u64::from(row.get()));
        row.and_then(|row| target_of.get(&row).copied()) != Some(call.target.as_str())
    };
    seen.iter().filter(wrong).map(|call| format!("a call with another row's tag, or none: {call:?}")).collect()
}

/// Fails where the promise was broken.
#[track_caller]
pub(crate) fn assert_kept(rows: &[Row], seen: &[Seen], n_rows: usize) {
    let found = breaches(rows, seen, n_rows);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

mod tests {
    use cmbatch::request::{Fingerprint, RowId, RunId, RunKey};

    use super::*;

    fn row(number: u64, state: &str, uuid: Option<&str>) -> Row {
        let (target, uuid) = (format!("t{number}"), uuid.map(str::to_owned));
        Row { number, target, state: state.to_owned(), uuid, code: None }
    }

    fn seen(number: u32, created: Option<&str>) -> Seen {
        let (run, key) = (RunId::from_bytes([1; 16]), RunKey::from_bytes([2; 32]));
        let tag = Tag::new(run, &key, RowId::new(number).unwrap(), Fingerprint::from_bytes([3; 5]));
        Seen { tag: Some(tag), target: format!("t{number}"), created: created.map(str::to_owned) }
    }

    #[test]
    fn the_oracle_sees_each_breach() {
        let rows = [row(1, "created", Some("a")), row(2, "in_doubt", None), row(3, "failed", None)];
        let calls = [seen(1, Some("a")), seen(2, Some("b")), seen(3, None), seen(3, None)];
        assert_eq!(breaches(&rows, &calls, 3), Vec::<String>::new());
        let number_of = |rows: &[Row], calls: &[Seen], n_rows| breaches(rows, calls, n_rows).len();
        // A row is lost; a row is there twice.
        assert_eq!(number_of(&rows, &calls, 4), 1);
        assert_eq!(number_of(&[&rows[..], &rows[..1]].concat(), &calls, 3), 1);
        // A second request for the same row: by its target, and by its tag.
        assert_eq!(number_of(&rows, &[&calls[..], &[seen(2, Some("c"))]].concat(), 3), 2);
        // Another uuid than the server's; created, and not there; failed or pending, and there.
        assert_eq!(number_of(&[row(1, "created", Some("x"))], &calls[..1], 1), 1);
        assert_eq!(number_of(&[row(1, "created", Some("a"))], &[], 1), 1);
        for state in ["failed", "pending", "skipped"] {
            assert_eq!(number_of(&[row(1, state, None)], &calls[..1], 1), 1, "{state}");
        }
        // Another row's tag.
        assert_eq!(number_of(&rows, &[Seen { target: "t9".to_owned(), ..seen(1, None) }], 3), 2);
    }
}
