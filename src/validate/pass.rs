//! One pass over the manifests: read, check in parallel, take the results in order.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::columns::{Form, Layout};
use super::rules::Rules;
use crate::manifest::{Chunk, Chunks, Delimiter, Digest, Manifest, ManifestError};

/// The most chunks that are read ahead at once. Three groups are alive together: one being read, one being checked, one
/// whose results are taken.
const MAX_GROUP: usize = 32;

/// A manifest of the run, with what all its rows share.
#[derive(Debug)]
pub(super) struct Part {
    /// The part's number in the run, from 1.
    pub(super) number: u32,
    pub(super) name: String,
    /// The columns, where one header line gives them for all rows.
    pub(super) layout: Option<Layout>,
    pub(super) delimiter: Delimiter,
    /// The number of its first row in the run.
    pub(super) first_row: u32,
}

impl Part {
    pub(super) fn new(number: u32, manifest: &Manifest, rules: &Rules, first_row: u32) -> Self {
        let delimiter = manifest.delimiter();
        let layout = manifest.header().map(|header| {
            Layout::resolve(Form::Csv, header.names().iter().map(String::as_str), rules)
                .delimited_by(char::from(delimiter.as_byte()))
        });
        Self { number, name: manifest.name().to_owned(), layout, delimiter, first_row }
    }

    /// Returns the run-wide number of a row of this part. It saturates; the survey refuses so many rows.
    pub(super) const fn run_row(&self, part_row: u32) -> u32 {
        self.first_row.saturating_add(part_row.saturating_sub(1))
    }
}

/// Why a pass over one manifest ended early.
#[derive(Debug)]
pub(super) enum PassEnd<E> {
    /// It could not be read.
    Manifest(ManifestError),
    /// The results were not wanted.
    Taker(E),
}

/// Reads one manifest and works on its chunks in parallel; `take` gets the results on this thread, in the order of the
/// manifest. Returns the digest of what was read, or none where `take` broke off.
///
/// While `take` has one group, the next is worked on and the one after it read.
pub(super) fn over_manifest<T: Send, E>(
    manifest: &Manifest,
    work: impl Fn(&Chunk) -> T + Sync,
    mut take: impl FnMut(T) -> Result<ControlFlow<()>, E>,
) -> Result<Option<Digest>, PassEnd<E>> {
    let mut chunks = manifest.chunks().map_err(PassEnd::Manifest)?;
    let mut ready: Vec<T> = Vec::new();
    let mut unread = read_group(&mut chunks).map_err(PassEnd::Manifest)?;
    loop {
        let group = std::mem::take(&mut unread);
        let is_last = group.is_empty();
        let results = std::mem::take(&mut ready);
        let mut read = Ok(Vec::new());
        // The results are taken here and nowhere else, because their taker may be bound to this thread.
        let taken = rayon::in_place_scope(|scope| {
            if !is_last {
                scope.spawn(|_| {
                    let worked = || group.par_iter().map(&work).collect();
                    (read, ready) = rayon::join(|| read_group(&mut chunks), worked);
                });
            }
            take_all(results, &mut take)
        });
        if taken.map_err(PassEnd::Taker)?.is_break() {
            return Ok(None);
        }
        if is_last {
            return chunks.finish().map(Some).map_err(PassEnd::Manifest);
        }
        unread = read.map_err(PassEnd::Manifest)?;
    }
}

fn take_all<T, E>(
    results: Vec<T>,
    take: &mut impl FnMut(T) -> Result<ControlFlow<()>, E>,
) -> Result<ControlFlow<()>, E> {
    for result in results {
        if take(result)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn read_group(chunks: &mut Chunks) -> Result<Vec<Chunk>, ManifestError> {
    let mut group = Vec::new();
    while group.len() < (4 * rayon::current_num_threads()).min(MAX_GROUP) {
        match chunks.next_chunk()? {
            Some(chunk) => group.push(chunk),
            None => break,
        }
    }
    Ok(group)
}
