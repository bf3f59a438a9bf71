//! Manifests for tests, and their rows as plain values.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::chunks::Digest;
use super::error::ManifestError;
use super::limits::Limits;
use super::open::Manifest;
use super::options::ReadOptions;
use super::place::Place;
use super::row::{BadRow, Cells, JsonValue, RawRow, RowFault};
use super::source::Source;

/// A row that owns what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Csv { number: u32, line: u64, raw: Vec<u8>, cells: Vec<Vec<u8>> },
    Json { number: u32, line: u64, raw: Vec<u8>, cells: Vec<(String, String)> },
    Bad(Bad),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) number: u32,
    pub(super) at: (u64, u64),
    pub(super) field: Option<usize>,
    pub(super) raw: Vec<u8>,
    pub(super) cells: Option<Vec<Vec<u8>>>,
    pub(super) fault: RowFault,
}

impl Row {
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Csv { number, .. } | Self::Json { number, .. } => *number,
            Self::Bad(bad) => bad.number,
        }
    }

    pub(super) fn raw(&self) -> &[u8] {
        match self {
            Self::Csv { raw, .. } | Self::Json { raw, .. } => raw,
            Self::Bad(bad) => &bad.raw,
        }
    }

    /// Returns the line of a good row; bad ones have another meaning for it.
    pub(super) fn line(&self) -> Option<u64> {
        match self {
            Self::Csv { line, .. } | Self::Json { line, .. } => Some(*line),
            Self::Bad(_) => None,
        }
    }

    pub(super) fn bad(&self) -> Option<&Bad> {
        match self {
            Self::Bad(bad) => Some(bad),
            Self::Csv { .. } | Self::Json { .. } => None,
        }
    }

    /// Returns the cells of a CSV row as text.
    pub(super) fn texts(&self) -> Vec<String> {
        let cells = match self {
            Self::Csv { cells, .. } => cells,
            Self::Bad(bad) => bad.cells.as_ref().unwrap(),
            Self::Json { .. } => panic!("a CSV row is expected: {self:?}"),
        };
        cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
    }
}

fn owned(record: &csv::ByteRecord) -> Vec<Vec<u8>> {
    record.iter().map(<[u8]>::to_vec).collect()
}

fn of_good(row: &RawRow<'_>) -> Row {
    let (number, line, raw) = (row.number, row.line, row.raw.to_vec());
    match row.cells {
        Cells::Csv(record) => Row::Csv { number, line, raw, cells: owned(record) },
        Cells::Json(cells) => {
            let text = |value: &JsonValue<'_>| match value {
                JsonValue::Text(text) => format!("text {text}"),
                JsonValue::Literal(text) => format!("literal {text}"),
                JsonValue::Null => "null".to_owned(),
                JsonValue::Nested(text) => format!("nested {text}"),
            };
            let cells = cells.iter().map(|cell| (cell.name.to_string(), text(&cell.value))).collect();
            Row::Json { number, line, raw, cells }
        }
    }
}

fn of_bad(bad: &BadRow<'_>) -> Row {
    Row::Bad(Bad {
        number: bad.number,
        at: (bad.line, bad.column),
        field: bad.field,
        raw: bad.raw.to_vec(),
        cells: bad.cells.map(owned),
        fault: bad.fault.clone(),
    })
}

/// Opens these bytes under this name.
pub(super) fn open_as(
    name: &str,
    bytes: &[u8],
    options: &ReadOptions,
    limits: Limits,
) -> Result<Manifest, ManifestError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let source = Source::File(PathBuf::from("/tests").join(name));
    Manifest::of_file(source, Arc::new(file), options, limits)
}

/// Opens these bytes under this name, with nothing said about them.
pub(super) fn open(name: &str, bytes: impl AsRef<[u8]>) -> Result<Manifest, ManifestError> {
    open_as(name, bytes.as_ref(), &ReadOptions::default(), Limits::default())
}

/// Reads one pass to its end.
pub(super) fn read(manifest: &Manifest) -> Result<(Vec<Row>, Digest), ManifestError> {
    let mut rows = Vec::new();
    let mut chunks = manifest.chunks()?;
    while let Some(chunk) = chunks.next_chunk()? {
        let n_before = rows.len();
        assert_eq!(chunk.first_row() as usize, n_before + 1);
        chunk.for_each(|row| {
            rows.push(match row {
                Ok(row) => of_good(&row),
                Err(bad) => of_bad(&bad),
            });
        });
        assert_eq!(chunk.n_rows() as usize, rows.len() - n_before);
        assert_ne!(chunk.n_rows(), 0);
    }
    let digest = chunks.finish()?;
    assert_eq!(digest.n_rows as usize, rows.len());
    Ok((rows, digest))
}

/// Returns the rows of these bytes.
pub(super) fn rows(name: &str, bytes: impl AsRef<[u8]>) -> Vec<Row> {
    read(&open(name, bytes).unwrap()).unwrap().0
}

/// Returns the places of all fields of all good rows.
pub(super) fn places(manifest: &Manifest) -> Vec<Vec<Place>> {
    let mut places = Vec::new();
    let mut chunks = manifest.chunks().unwrap();
    while let Some(chunk) = chunks.next_chunk().unwrap() {
        chunk.for_each(|row| {
            if let Ok(row) = row {
                let n_fields = match row.cells {
                    Cells::Csv(cells) => cells.len(),
                    Cells::Json(cells) => cells.len(),
                };
                places.push((0..n_fields).map(|field| row.place_of(field, manifest.delimiter())).collect());
            }
        });
    }
    places
}

/// Returns the message of an error, without the folder that `open_as` puts before the name.
pub(super) fn message(result: Result<Manifest, ManifestError>) -> String {
    let error = match result {
        Err(error) => error,
        Ok(manifest) => match read(&manifest) {
            Err(error) => error,
            Ok((rows, _)) => panic!("no error, but {rows:?}"),
        },
    };
    error.to_string().replace(&format!("/tests{}", std::path::MAIN_SEPARATOR), "")
}
