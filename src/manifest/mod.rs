//! Reading manifests: bytes in, located raw rows out.
//!
//! **Owns**: formats, compression, encodings, delimiters, where a record starts and ends, on which line it stands.
//!
//! **Must not know**: what makes a row valid, HTTP.
//!
//! **Flow**: takes a file or standard input; gives chunks of records, in order, to `validate`. Within: stored bytes are
//! hashed (`source`), expanded (`decompress`), decoded to UTF-8 (`decode`), cut at record ends by one sequential scanner
//! (`scan`, `chunks`), and taken apart by whichever thread has the chunk (`csv_chunk`, `json_chunk`).

mod row;

mod options;
mod source;

mod decode;
mod decompress;
mod detect;
mod header;
mod limits;
mod open;

mod chunks;
mod scan;

mod chunk;
mod csv_chunk;
mod json_chunk;
mod place;

mod error;

#[cfg(test)]
mod testing;

pub use chunk::Chunk;
pub use chunks::{Chunks, Digest};
pub use error::{Compression, ForeignFile, HeaderQuote, ManifestError};
pub use header::Header;
pub use limits::{MAX_COLUMNS, MAX_EXPANDED_BYTES, MAX_RECORD_BYTES, MAX_SPOOLED_BYTES, MAX_ZSTD_WINDOW_BYTES};
pub use open::Manifest;
pub use options::{Delimiter, Format, InvalidDelimiter, ReadOptions, TextEncoding, UnknownEncoding, UnknownFormat};
pub use place::Place;
pub use row::{BadRow, Cells, JsonCell, JsonValue, RawRow, RowFault};
pub use source::Source;
