use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;

use super::*;

const TEXT: &str = r#"[{"Comment":"Zoë €"}]"#;

fn headers(coding: &str, kind: &str) -> HeaderMap {
    let pairs = [(CONTENT_ENCODING, coding), (CONTENT_TYPE, kind)];
    pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())).collect()
}

/// Decodes it cut into chunks of this length.
fn decoded(headers: &HeaderMap, bytes: &[u8], n: usize) -> Result<String, String> {
    let mut decoder = Decoder::of(headers)?;
    let mut out = Vec::new();
    for chunk in bytes.chunks(n) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while !chunk.is_empty() {
            out.extend(decoder.next(&mut chunk)?);
        }
    }
    out.extend(decoder.finish()?);
    Ok(String::from_utf8(out).unwrap())
}

fn packed(coding: &str, text: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        "gzip" => {
            let mut out = GzEncoder::new(Vec::new(), level);
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        "zlib" => {
            let mut out = ZlibEncoder::new(Vec::new(), level);
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        _ => {
            let mut out = DeflateEncoder::new(Vec::new(), level);
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
    }
}

fn utf16(text: &str, mark: bool, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some('\u{feff}').into_iter().map(|mark| mark as u16);
    mark.chain(text.encode_utf16()).flat_map(to_bytes).collect()
}

#[test]
fn each_coding_and_charset_is_undone_wherever_the_chunks_are_cut() {
    let (le, be) = (u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes as fn(u16) -> [u8; 2]);
    let json = "application/json";
    let western = b"[{\"Comment\":\"Zo\xeb \x80\"}]".to_vec();
    for (coding, kind, bytes) in [
        ("", json, TEXT.as_bytes().to_vec()),
        ("identity", "application/json; charset=\"UTF-8\"", TEXT.as_bytes().to_vec()),
        ("gzip", json, packed("gzip", TEXT.as_bytes())),
        ("X-GZIP", json, [packed("gzip", &TEXT.as_bytes()[..9]), packed("gzip", &TEXT.as_bytes()[9..])].concat()),
        ("deflate", json, packed("zlib", TEXT.as_bytes())),
        ("deflate", json, packed("deflate", TEXT.as_bytes())),
        ("", json, utf16(TEXT, true, le)),
        ("", json, utf16(TEXT, true, be)),
        ("", json, utf16(TEXT, false, le)),
        ("", json, utf16(TEXT, false, be)),
        ("", "application/json; Charset=utf-16", utf16(TEXT, false, be)),
        ("", "text/html;charset=utf-16le", utf16(TEXT, false, le)),
        ("", "application/json;odata=x; charset=windows-1252", western.clone()),
        ("gzip", "application/json; charset=iso-8859-1", packed("gzip", &western)),
        ("deflate", json, packed("zlib", &utf16(TEXT, true, le))),
        // A mark says more than the header.
        ("", "application/json; charset=utf-8", utf16(TEXT, true, be)),
    ] {
        for n in [1, 2, 3, 7, 4096] {
            let seen = decoded(&headers(coding, kind), &bytes, n);
            assert_eq!(seen.as_deref(), Ok(TEXT), "{coding} {kind} in chunks of {n}");
        }
    }
    for coding in ["", "gzip", "deflate"] {
        assert_eq!(decoded(&headers(coding, "text/plain; charset="), b"", 1).as_deref(), Ok(""), "{coding}");
    }
    assert_eq!(decoded(&headers("", ""), b"x", 1).as_deref(), Ok("x"));
}

#[test]
fn what_is_not_understood_or_damaged_is_named() {
    for (coding, kind, says) in [
        ("br", "", "Content-Encoding: br"),
        ("gzip, gzip", "", "Content-Encoding: gzip, gzip"),
        ("", "text/html; charset=klingon", "charset=klingon"),
        ("", "text/html; charset=utf-7", "charset=utf-7"),
    ] {
        let said = decoded(&headers(coding, kind), b"[]", 9).unwrap_err();
        assert!(said.contains(says), "{said}");
    }
    let gzip = packed("gzip", TEXT.as_bytes());
    let damaged = [&gzip[..gzip.len() - 8], &[0; 8]].concat();
    let zlib = packed("zlib", TEXT.as_bytes());
    for (coding, bytes) in [
        ("gzip", &gzip[..gzip.len() - 1]),
        ("gzip", &damaged),
        ("gzip", b"[{\"plain\":1}]"),
        ("deflate", &zlib[..zlib.len() - 6]),
        ("deflate", b"[{\"plain\":1}]"),
        ("deflate", b"x"),
    ] {
        let said = decoded(&headers(coding, ""), bytes, 5).unwrap_err();
        assert!(said.contains("damaged") || said.contains("too early"), "{coding}: {said}");
    }
}

#[test]
fn a_little_that_grows_to_much_comes_in_pieces() {
    for (coding, packing) in [("gzip", "gzip"), ("deflate", "zlib"), ("deflate", "deflate")] {
        let bomb = packed(packing, &vec![b' '; 20_000_000]);
        let mut decoder = Decoder::of(&headers(coding, "")).unwrap();
        let (mut chunk, mut n_out) = (Bytes::from(bomb), 0);
        while !chunk.is_empty() {
            let piece = decoder.next(&mut chunk).unwrap();
            assert!(piece.len() <= 1100 * PIECE_BYTES, "{} bytes at once", piece.len());
            n_out += piece.len();
        }
        assert_eq!(n_out + decoder.finish().unwrap().len(), 20_000_000, "{packing}");
    }
}
