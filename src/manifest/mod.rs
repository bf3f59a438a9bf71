//! Reading manifests: bytes in, located raw rows out.
//!
//! **Owns**: formats, compression, encodings, delimiters, where a record starts and ends, on which line it stands.
//!
//! **Must not know**: what makes a row valid, HTTP.
//!
//! **Flow**: takes a file or standard input; gives chunks of records, in order, to `validate`.

mod row;

pub use row::{BadRow, Cells, JsonCell, JsonValue, RawRow, RowFault};
