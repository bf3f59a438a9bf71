//! Any bytes as a request object, and any text as a comment with a tag.

#![no_main]

use cmbatch::client::RequestObject;
use cmbatch::request::Tag;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = RequestObject::from_json(bytes) {
        let json = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        // What stands in properties that are passed over need not be UTF-8.
        serde_json::from_slice::<IgnoredAny>(json).expect("what is read is JSON");
        assert_eq!(json.trim_ascii_start().first(), Some(&b'{'));
        let _ = Tag::find(&object.comment);
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(tag) = Tag::find(&text) {
        let written = tag.to_string();
        assert!(text.contains(&written), "a tag that is found stands there");
        assert_eq!(Tag::find(&written), Some(tag));
    }
});
