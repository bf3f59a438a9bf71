//! What reading a manifest may take, whatever is in it.

/// The most bytes (of UTF-8) that a line or record of a manifest may have: 1 MiB.
///
/// It keeps a quote that is never closed, or a file that is one endless line, from filling the memory.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// The most columns that a CSV manifest may have: as many as a spreadsheet has.
pub const MAX_COLUMNS: usize = 16_384;

/// The most bytes that a compressed manifest may expand to: 16 GiB, some hundred million rows.
///
/// A small file that expands without end would keep validation busy for hours; a real manifest is far below.
pub const MAX_EXPANDED_BYTES: u64 = 16 << 30;

/// The most bytes that are taken from standard input or another pipe, which are kept in a temporary file: 4 GiB.
///
/// A pipe that never ends would else fill the disk; a larger manifest can be given as a file.
pub const MAX_SPOOLED_BYTES: u64 = 4 << 30;

/// The largest window of a zstd frame that is read: 64 MiB, which is the memory that it takes.
///
/// `zstd -19` takes 8 MiB, `--ultra -22` and `--long=27` take 128 MiB.
pub const MAX_ZSTD_WINDOW_BYTES: u64 = 1 << MAX_ZSTD_WINDOW_LOG;

/// The binary logarithm of [`MAX_ZSTD_WINDOW_BYTES`].
pub(super) const MAX_ZSTD_WINDOW_LOG: u32 = 26;

/// The limits as parameters, so that tests can reach them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// About how many bytes a chunk has. 256 KiB stays in a core's cache, and is enough for the hand-over to cost nothing.
    pub(super) chunk_bytes: usize,
    /// How many records a chunk has at most: very short ones would else need more memory for their places than for their text.
    pub(super) chunk_records: usize,
    /// See [`MAX_RECORD_BYTES`].
    pub(super) record_bytes: usize,
    /// See [`MAX_EXPANDED_BYTES`].
    pub(super) expanded_bytes: u64,
    /// How many rows a manifest may have.
    pub(super) n_rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk_bytes: 256 << 10,
            chunk_records: 16 << 10,
            record_bytes: MAX_RECORD_BYTES,
            expanded_bytes: MAX_EXPANDED_BYTES,
            n_rows: u32::MAX,
        }
    }
}
