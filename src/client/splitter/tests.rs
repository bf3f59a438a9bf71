use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

type Object = Map<String, Value>;

/// What became of a stream: its objects, as far as they could be read, and whether it ended well.
#[derive(Debug, PartialEq)]
struct Read {
    objects: Vec<Object>,
    well_ended: bool,
}

fn read(json: &[u8], cuts: &[usize]) -> Read {
    let mut splitter = Splitter::new();
    let mut objects = Vec::new();
    let mut rest = json;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let at = cuts.next().map_or(rest.len(), |cut| cut % rest.len() + 1);
        let (mut chunk, after) = rest.split_at(at);
        rest = after;
        loop {
            match splitter.next(&mut chunk) {
                Ok(Some(object)) => match serde_json::from_slice(object) {
                    Ok(object) => objects.push(object),
                    Err(_) => return Read { objects, well_ended: false },
                },
                Ok(None) => break,
                Err(_) => return Read { objects, well_ended: false },
            }
        }
    }
    Read { objects, well_ended: splitter.finish().is_ok() }
}

fn arb_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\"\\\\{}\\[\\], a-zü\u{0}-\u{1f}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[\"\\\\{}a-z]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn arb_objects() -> impl Strategy<Value = Vec<Object>> {
    proptest::collection::vec(proptest::collection::btree_map("[\"\\\\{}a-z]{0,4}", arb_value(), 0..4), 0..6)
        .prop_map(|maps| maps.into_iter().map(|map| map.into_iter().collect()).collect())
}

fn arb_cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0_usize..40, 1..6)
}

proptest! {
    #[test]
    fn a_list_is_the_same_however_the_stream_is_cut(
        objects in arb_objects(),
        pretty in any::<bool>(),
        marked in any::<bool>(),
        cuts in arb_cuts(),
    ) {
        let mut json = if marked { BOM.to_vec() } else { Vec::new() };
        json.extend(if pretty { serde_json::to_vec_pretty(&objects) } else { serde_json::to_vec(&objects) }.unwrap());
        prop_assert_eq!(read(&json, &cuts), Read { objects, well_ended: true });
    }

    #[test]
    fn a_damaged_list_is_taken_exactly_when_serde_takes_it(
        objects in arb_objects(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b','), Just(b'"'), Just(b'\\'), Just(b' '), any::<u8>(),
        ], 0_u8..3), 0..3),
        cuts in arb_cuts(),
    ) {
        let mut json = serde_json::to_vec(&objects).unwrap();
        for (index, byte, how) in changes {
            match how {
                0 => json.insert(index.index(json.len() + 1), byte),
                1 if !json.is_empty() => {
                    let at = index.index(json.len());
                    json[at] = byte;
                }
                _ => json.truncate(index.index(json.len() + 1)),
            }
            if json.is_empty() {
                break;
            }
        }
        let whole = serde_json::from_slice::<Vec<Object>>(&json).ok();
        let alone = serde_json::from_slice::<Object>(&json).ok().map(|object| vec![object]);
        let read = read(&json, &cuts);
        match whole.or(alone) {
            Some(objects) => prop_assert_eq!(read, Read { objects, well_ended: true }),
            None => prop_assert!(!read.well_ended, "{:?} was taken: {:?}", String::from_utf8_lossy(&json), read),
        }
    }
}

#[test]
fn what_is_no_list_says_where_and_what_was_expected() {
    let fault = |json: &[u8]| {
        let mut splitter = Splitter::new();
        let mut chunk = json;
        loop {
            match splitter.next(&mut chunk) {
                Ok(Some(_)) => {}
                Ok(None) => return splitter.finish(),
                Err(error) => return Err(error),
            }
        }
    };
    let unexpected = |at, found, expected| Err(SplitError::Unexpected { at, found, expected });
    assert_eq!(fault(b"<html>"), unexpected(0, b'<', "a list"));
    assert_eq!(fault(b" null"), unexpected(1, b'n', "a list"));
    assert_eq!(fault(b"\xEF\xBB["), unexpected(2, b'[', "a list"));
    assert_eq!(fault(b" \xEF\xBB\xBF[]"), unexpected(1, 0xEF, "a list"));
    assert_eq!(fault(b"[7]"), unexpected(1, b'7', "a request"));
    assert_eq!(fault(b"[{},]"), unexpected(4, b']', "a request"));
    assert_eq!(fault(b"[{}{}]"), unexpected(3, b'{', "a comma or the list's end"));
    assert_eq!(fault(b"[] x"), unexpected(3, b'x', "the answer's end"));
    assert_eq!(fault(b"{}{}"), unexpected(2, b'{', "the answer's end"));
    for cut in ["", " ", "[", "[{", "[{\"a\":\"}", "[{}", "[{},", "{"] {
        assert_eq!(fault(cut.as_bytes()), Err(SplitError::CutOff), "{cut}");
    }
    assert_eq!(fault(b" [ ] \r\n\t"), Ok(()));
}

#[test]
fn a_long_object_is_refused_before_it_is_held() {
    let mut splitter = Splitter::new();
    assert_eq!(splitter.next(&mut b"[{},{\"a\":\"".as_slice()).unwrap(), Some(b"{}".as_slice()));
    assert_eq!(splitter.next(&mut b",{\"a\":\"".as_slice()).unwrap(), None);
    let chunk = vec![b'x'; 64 * 1024];
    let mut n_chunks = 0;
    let error = loop {
        match splitter.next(&mut chunk.as_slice()) {
            Ok(found) => assert_eq!(found, None),
            Err(error) => break error,
        }
        n_chunks += 1;
    };
    assert_eq!(error, SplitError::TooLong { number: 2 });
    assert_eq!(n_chunks, MAX_OBJECT_BYTES / chunk.len() - 1);
    assert!(splitter.object.capacity() <= 2 * MAX_OBJECT_BYTES);
}

#[test]
fn a_long_list_is_cut_in_the_memory_of_one_object() {
    let object = br#"{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":1,"Status":3},"#;
    let mut splitter = Splitter::new();
    assert_eq!(splitter.next(&mut b"[".as_slice()).unwrap(), None);
    for _ in 0..100_000 {
        let mut chunk = object.as_slice();
        assert_eq!(splitter.next(&mut chunk).unwrap().unwrap().len(), object.len() - 1);
        assert_eq!(splitter.next(&mut chunk).unwrap(), None);
    }
    assert_eq!(splitter.n_objects(), 100_000);
    assert!(splitter.object.capacity() < 1024);
}
