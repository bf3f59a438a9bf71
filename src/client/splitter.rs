//! Cutting a streamed JSON array into its objects.

/// The longest object that is taken, in bytes.
pub(crate) const MAX_OBJECT_BYTES: usize = 1024 * 1024;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Finds the objects of an array in a stream of bytes, wherever the stream is cut; it holds one object at a time.
///
/// It looks for borders only: whether an object is JSON inside is its reader's to say. What stands between the objects is
/// held to JSON's grammar, so that nothing but a whole array (or one object alone) counts as well ended.
#[derive(Debug)]
pub(crate) struct Splitter {
    state: State,
    object: Vec<u8>,
    /// Open braces and brackets, the object's own included.
    depth: usize,
    text: Text,
    /// How many bytes were read.
    at: u64,
    /// How many objects were given.
    n_objects: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first token; so many bytes of a byte order mark were read.
    Start { mark: usize },
    /// After `[`.
    First,
    /// In an object of the array.
    InArray,
    /// In an object that stands alone.
    Alone,
    /// After an object of the array.
    After,
    /// After a comma.
    Next,
    /// After the end.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

/// Why a stream cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitError {
    /// A byte that JSON does not have there.
    Unexpected {
        /// Its place, from 0.
        at: u64,
        /// The byte.
        found: u8,
        /// What could have stood there.
        expected: &'static str,
    },
    /// An object is longer than [`MAX_OBJECT_BYTES`].
    TooLong {
        /// Its number, from 1.
        number: u64,
    },
    /// The stream ended before the array.
    CutOff,
}

impl Splitter {
    pub(crate) const fn new() -> Self {
        Self { state: State::Start { mark: 0 }, object: Vec::new(), depth: 0, text: Text::Outside, at: 0, n_objects: 0 }
    }

    /// Returns how many objects were given.
    pub(crate) const fn n_objects(&self) -> u64 {
        self.n_objects
    }

    /// Returns whether the object that was given last stands in no array.
    pub(crate) fn is_alone(&self) -> bool {
        self.state == State::End
    }

    /// Reads on in a chunk and takes from its front what was read. Returns the next object that ends in it, or none where
    /// the chunk is used up.
    pub(crate) fn next<'a>(&'a mut self, chunk: &mut &[u8]) -> Result<Option<&'a [u8]>, SplitError> {
        while let Some(&byte) = chunk.first() {
            if matches!(self.state, State::InArray | State::Alone) {
                if self.read_object(chunk)? {
                    self.n_objects += 1;
                    self.state = if self.state == State::Alone { State::End } else { State::After };
                    return Ok(Some(&self.object));
                }
                continue;
            }
            self.state = self.between(byte)?;
            if matches!(self.state, State::InArray | State::Alone) {
                // The brace stays in the chunk, for the object.
                self.object.clear();
                continue;
            }
            self.at += 1;
            *chunk = &chunk[1..];
        }
        Ok(None)
    }

    /// Says whether the stream may end here.
    pub(crate) fn finish(&self) -> Result<(), SplitError> {
        if self.state == State::End { Ok(()) } else { Err(SplitError::CutOff) }
    }

    fn between(&self, byte: u8) -> Result<State, SplitError> {
        let white = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let (next, expected) = match (self.state, byte) {
            (State::Start { mark }, _) if mark < BOM.len() && byte == BOM[mark] && self.at == mark as u64 => {
                (Some(State::Start { mark: mark + 1 }), "")
            }
            // Half a mark is none.
            (State::Start { mark: 1 | 2 }, _) => (None, "a list"),
            (State::Start { .. }, b'[') => (Some(State::First), ""),
            (State::Start { .. }, b'{') => (Some(State::Alone), ""),
            (state, _) if white => (Some(state), ""),
            (State::First, b']') | (State::After, b']') => (Some(State::End), ""),
            (State::First | State::Next, b'{') => (Some(State::InArray), ""),
            (State::After, b',') => (Some(State::Next), ""),
            (State::Start { .. }, _) => (None, "a list"),
            (State::First | State::Next, _) => (None, "a request"),
            (State::After, _) => (None, "a comma or the list's end"),
            (State::End | State::InArray | State::Alone, _) => (None, "the answer's end"),
        };
        next.ok_or(SplitError::Unexpected { at: self.at, found: byte, expected })
    }

    /// Reads on in an object; says whether it ended.
    fn read_object(&mut self, chunk: &mut &[u8]) -> Result<bool, SplitError> {
        let mut ended = false;
        let mut n_read = 0;
        while let Some(&byte) = chunk.get(n_read) {
            match (self.text, byte) {
                (Text::Escaped, _) => self.text = Text::Inside,
                (Text::Inside, b'\\') => self.text = Text::Escaped,
                (Text::Inside, b'"') => self.text = Text::Outside,
                (Text::Inside, _) => {
                    // Most of a list is text: what ends it is looked for many bytes at once.
                    n_read += memchr::memchr2(b'"', b'\\', &chunk[n_read..]).unwrap_or(chunk.len() - n_read);
                    continue;
                }
                (Text::Outside, b'"') => self.text = Text::Inside,
                (Text::Outside, b'{' | b'[') => self.depth += 1,
                (Text::Outside, b'}' | b']') => {
                    self.depth -= 1;
                    ended = self.depth == 0;
                }
                (Text::Outside, _) => {}
            }
            n_read += 1;
            if ended {
                break;
            }
        }
        if self.object.len() + n_read > MAX_OBJECT_BYTES {
            return Err(SplitError::TooLong { number: self.n_objects + 1 });
        }
        self.object.extend_from_slice(&chunk[..n_read]);
        self.at += n_read as u64;
        *chunk = &chunk[n_read..];
        Ok(ended)
    }
}

#[cfg(test)]
mod tests;
