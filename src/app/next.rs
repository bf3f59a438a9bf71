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
    /// The same command once more, as it was typed.
    Again,
    /// The same command with further words, in place of options that it may have.
    With {
        /// The options that are left out of it.
        without: Vec<&'static str>,
        /// The words behind it.
        words: Vec<String>,
    },
    /// Another command that asks no server, without the program's name.
    Command(Vec<String>),
    /// Another command that asks the server, in the same way as this one.
    Asking(Vec<String>),
    /// The command that says what is wrong with the way to this server.
    Doctor(String),
}

impl Next {
    /// The same command once more.
    pub fn again() -> Self {
        Self(vec![Piece::Again])
    }

    /// The same command with further words, in place of an option.
    pub fn with(option: &'static str, words: &[&str]) -> Self {
        Self(vec![Piece::with(&[option], words)])
    }

    /// The same command once more, with the number that confirms its rows which take certificates away; none where there are none.
    pub fn confirming(n_rows: u64) -> Self {
        Self(vec![Piece::confirming(&[], &[], n_rows)])
    }

    /// Another command on a ledger, which asks no server.
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

    /// Adds all pieces of another one.
    pub fn and_all(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Adds words for people.
    pub fn text(self, text: &str) -> Self {
        self.and(Piece::Text(text.to_owned()))
    }
}

impl Piece {
    /// The same command with further words, in place of options.
    pub fn with(without: &[&'static str], words: &[&str]) -> Self {
        Self::With { without: without.to_vec(), words: owned(words) }
    }

    /// The same command with further words, in place of options, and with the number that confirms its rows which take certificates
    /// away.
    pub fn confirming(without: &[&'static str], words: &[&str], n_rows: u64) -> Self {
        let mut words = owned(words);
        if n_rows > 0 {
            words.extend(["--confirm".to_owned(), n_rows.to_string()]);
        }
        Self::With { without: [without, &["--confirm"]].concat(), words }
    }

    /// Another command on a ledger, which asks no server.
    pub fn on_ledger(command: &str, ledger: &Path, words: &[&str]) -> Self {
        Self::Command(of_ledger(command, ledger, words))
    }

    /// Another command on a ledger, which asks the server.
    pub fn asking(command: &str, ledger: &Path, words: &[&str]) -> Self {
        Self::Asking(of_ledger(command, ledger, words))
    }
}

fn of_ledger(command: &str, ledger: &Path, words: &[&str]) -> Vec<String> {
    let mut all = vec![command.to_owned(), ledger.to_string_lossy().into_owned()];
    all.extend(owned(words));
    all
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
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
