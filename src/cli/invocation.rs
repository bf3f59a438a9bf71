//! The command as it was typed, for "the exact next command".

use std::ffi::OsString;

use crate::app::{Next, Piece};
use crate::request::moves_or_hides;

/// The words of a command line, without the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation(Vec<String>);

impl Invocation {
    /// Returns the command line after the program's name. No option is a secret, so all of it may be shown; only what was
    /// wrongly written into an address is left out.
    pub(crate) fn new(argv: &[OsString]) -> Self {
        Self(argv.iter().skip(1).map(|arg| without_user(&arg.to_string_lossy())).collect())
    }

    /// Returns the same command, to be typed again: without the options that hold for one time only.
    pub(crate) fn again(&self) -> String {
        self.without(&["--confirm"], &["--new", "--dry-run"]).shown()
    }

    /// Returns the command that does what a dry run showed.
    pub(crate) fn for_real(&self) -> String {
        self.without(&[], &["--dry-run"]).shown()
    }

    /// Returns the command that sends what this replay put back to pending and did not come to.
    pub(crate) fn replaying_the_rest(&self) -> String {
        self.without(&["--confirm", "--state", "--cause"], &[]).shown()
    }

    /// Returns the command without an option, and with further words behind it.
    pub(crate) fn instead(&self, option: &str, words: &[&str]) -> String {
        let mut all = self.without(&[option], &[]);
        all.0.extend(words.iter().map(ToString::to_string));
        all.shown()
    }

    /// Returns the `submit` that goes with a `validate`: the same manifests and options, with further words behind it.
    pub(crate) fn submitting(&self, words: &[&str]) -> String {
        let mut all = self.without(&["--errors", "--rejects"], &["--rules", "--force"]);
        if let Some(command) = all.0.iter_mut().find(|word| *word == "validate") {
            "submit".clone_into(command);
        }
        all.0.extend(words.iter().map(ToString::to_string));
        all.shown()
    }

    /// Returns what to do next, with this command in the places that it has there.
    pub(crate) fn shown_next(&self, next: &Next) -> String {
        let shown = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Again => self.again(),
            Piece::ForReal => self.for_real(),
            Piece::With { option, words } => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.instead(option, &words)
            }
            Piece::Command(words) => Self(words.clone()).shown(),
        };
        next.0.iter().map(shown).collect()
    }

    fn without(&self, with_value: &[&str], flags: &[&str]) -> Self {
        let mut words = Vec::new();
        let mut rest = self.0.iter();
        while let Some(word) = rest.next() {
            if with_value.contains(&word.as_str()) {
                rest.next();
            } else if !flags.contains(&word.as_str())
                && !with_value.iter().any(|option| word.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')))
            {
                words.push(word.clone());
            }
        }
        Self(words)
    }

    fn shown(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|word| quoted(word)).collect();
        format!("cmbatch {}", words.join(" "))
    }
}

/// Returns a word without the user name and password of an address in it (RFC 3986, 3.2.1).
fn without_user(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{}", &rest[user.len() + 1..]),
        None => word.to_owned(),
    }
}

/// Returns a word as a shell takes it; one with characters that would steer the terminal as bash, ksh and zsh take it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(moves_or_hides) {
        let escaped = word.chars().map(|c| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if moves_or_hides(c) => format!("\\U{:08x}", u32::from(c)),
            c => c.to_string(),
        });
        format!("$'{}'", escaped.collect::<String>())
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(words: &[&str]) -> Invocation {
        let argv: Vec<OsString> =
            std::iter::once("/usr/bin/cmbatch").chain(words.iter().copied()).map(Into::into).collect();
        Invocation::new(&argv)
    }

    #[test]
    fn a_password_in_an_address_is_left_out() {
        for (word, shown) in [
            ("http://anna:hunter2@proxy.test:3128", "http://proxy.test:3128"),
            ("--server=https://anna@cm.test/x@y", "--server=https://cm.test/x@y"),
            ("https://cm.test/a@b", "https://cm.test/a@b"),
            ("svc@CONTOSO.COM", "svc@CONTOSO.COM"),
            ("http://a:b@c@d.test", "http://d.test"),
        ] {
            assert_eq!(without_user(word), shown);
        }
    }

    #[test]
    fn the_next_command_is_quoted_and_leaves_one_time_options_out() {
        let typed =
            invocation(&["submit", "my wave.csv", "--confirm", "12", "--new", "--rate=5/s", "--comment", "it's"]);
        assert_eq!(typed.again(), r"cmbatch submit 'my wave.csv' --rate=5/s --comment 'it'\''s'");
        let typed = invocation(&["submit", "wave.csv", "--confirm=12"]);
        assert_eq!(typed.again(), "cmbatch submit wave.csv");
        let typed = invocation(&["validate", "a.csv", "b.csv", "--type", "Enroll", "--errors", "e.csv"]);
        assert_eq!(
            typed.submitting(&["--on-invalid", "skip"]),
            "cmbatch submit a.csv b.csv --type Enroll --on-invalid skip"
        );
        let typed = invocation(&["submit", "wave.csv", "--confirm=12"]);
        assert_eq!(typed.instead("--confirm", &["--confirm", "7"]), "cmbatch submit wave.csv --confirm 7");
        assert_eq!(quoted("a'\u{1b}[31m\n\\.csv"), r"$'a\'\U0000001b[31m\U0000000a\\.csv'");
    }
}
