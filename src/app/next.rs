//! What to do next, as a value: whoever shows it knows how the command was typed.

use std::path::Path;

/// What to do next: texts and commands, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next(pub Vec<Piece>);

/// A piece of what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words for people.
    Text(String),
    /// The same command once more, without what holds for one time only.
    Again,
    /// The same command as a dry run showed it, for real.
    ForReal,
    /// The same command with further words, in place of an option that it may have.
    With {
        /// The option that is left out of it.
        option: &'static str,
        /// The words behind it.
        words: Vec<String>,
    },
    /// Another command, without the program's name.
    Command(Vec<String>),
}

impl Next {
    /// The same command once more.
    pub fn again() -> Self {
        Self(vec![Piece::Again])
    }

    /// The same command with further words, in place of an option.
    pub fn with(option: &'static str, words: &[&str]) -> Self {
        Self(vec![Piece::with(option, words)])
    }

    /// Another command on a ledger.
    pub fn on_ledger(command: &str, ledger: &Path, words: &[&str]) -> Self {
        Self(vec![Piece::on_ledger(command, ledger, words)])
    }

    /// What to do first, and then this.
    pub fn after(self, first: &str) -> Self {
        let mut pieces = vec![Piece::Text(format!("{first}, then: "))];
        pieces.extend(self.0);
        Self(pieces)
    }

    /// Adds a piece.
    pub fn and(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }

    /// Adds words for people.
    pub fn text(self, text: &str) -> Self {
        self.and(Piece::Text(text.to_owned()))
    }
}

impl Piece {
    /// The same command with further words, in place of an option.
    pub fn with(option: &'static str, words: &[&str]) -> Self {
        Self::With { option, words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// Another command on a ledger.
    pub fn on_ledger(command: &str, ledger: &Path, words: &[&str]) -> Self {
        let mut all = vec![command.to_owned(), ledger.to_string_lossy().into_owned()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        Self::Command(all)
    }
}

impl From<String> for Next {
    fn from(text: String) -> Self {
        Self(vec![Piece::Text(text)])
    }
}

impl From<&str> for Next {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
