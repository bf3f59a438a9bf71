//! The command as it was typed, for "the exact next command".

use std::ffi::OsString;

use clap::CommandFactory;

use super::args::Cli;
use super::layers::holds_once;
use crate::app::{Next, Piece};
use crate::request::moves_or_hides;

/// The headings of the options that say which server is asked, as whom, how fast and how patiently.
const ON_THE_WAY: [&str; 4] = ["Server", "Sign-in", "Asking the server", "Pace and patience"];

/// The commands on a ledger that ask no server: what they were told of one is not how rows were sent.
const LOCAL: [&str; 3] = ["status", "export", "drop"];

/// The words of a command line, without the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation(Vec<String>);

impl Invocation {
    /// Returns the command line after the program's name. No option is a secret, so all of it may be shown; only what was
    /// wrongly written into an address is left out.
    pub(crate) fn new(argv: &[OsString]) -> Self {
        Self(argv.iter().skip(1).map(|arg| without_user(&arg.to_string_lossy())).collect())
    }

    /// Reads a command line as it is shown.
    pub(crate) fn parse(shown: &str) -> Option<Self> {
        words_of(shown)?.strip_prefix(&["cmbatch".to_owned()]).map(|words| Self(words.to_vec()))
    }

    /// Returns the command of these words, without the program's name.
    pub(crate) const fn of_words(words: Vec<String>) -> Self {
        Self(words)
    }

    /// Returns the command with the state folder that only this process's environment names: whoever types what is next has another.
    pub(crate) fn in_state_folder(self, folder: &str) -> Self {
        let cli = Cli::command();
        let source = self.command().and_then(|name| cli.find_subcommand(name));
        let takes_it =
            source.is_some_and(|source| source.get_arguments().any(|arg| arg.get_long() == Some("state-dir")));
        if !takes_it || self.has("--state-dir") || self.has("--simulate") {
            return self;
        }
        Self([self.0, vec!["--state-dir".to_owned(), folder.to_owned()]].concat())
    }

    /// Returns whether this is one of its words.
    pub(crate) fn names(&self, word: &str) -> bool {
        self.0.iter().any(|known| known == word)
    }

    /// Returns the same command, to be typed again: without the options that hold for one time only.
    pub(crate) fn again(&self) -> String {
        self.without(&["--confirm", "--new", "--dry-run"]).shown()
    }

    /// Returns the command that does what a dry run showed, with the number that confirms.
    pub(crate) fn for_real(&self, n_confirm: u64) -> String {
        self.without(&["--dry-run"]).confirming(n_confirm)
    }

    /// Returns the command that goes on, with the number that confirms.
    pub(crate) fn going_on(&self, n_confirm: u64) -> String {
        self.without(&["--new", "--dry-run"]).confirming(n_confirm)
    }

    /// Returns the command that sends what this replay put back to pending and did not come to, with the number that confirms.
    pub(crate) fn replaying_the_rest(&self, n_confirm: u64) -> String {
        self.without(&["--state", "--cause"]).confirming(n_confirm)
    }

    fn confirming(&self, n_confirm: u64) -> String {
        let number = n_confirm.to_string();
        let words = ["--confirm", number.as_str()];
        self.instead(&["--confirm"], if n_confirm > 0 { &words } else { &[] })
    }

    /// Returns the command without some options, and with further words behind it.
    pub(crate) fn instead(&self, options: &[&str], words: &[&str]) -> String {
        let mut all = self.without(options);
        all.0.extend(words.iter().map(ToString::to_string));
        all.shown()
    }

    /// Returns the `submit` that goes with a `validate`: the same manifests and options, with further words behind it.
    pub(crate) fn submitting(&self, words: &[&str]) -> String {
        let mut all = self.without(&["--errors", "--rejects", "--rules", "--force", "--json"]);
        if let Some(command) = all.0.iter_mut().find(|word| *word == "validate") {
            "submit".clone_into(command);
        }
        all.0.extend(words.iter().map(ToString::to_string));
        all.shown()
    }

    /// Returns another command that asks the same server in the same way.
    pub(crate) fn asking(&self, words: &[String]) -> String {
        let mut all = words.to_vec();
        if let Some(command) = words.first() {
            all.extend(self.on_the_way(command));
        }
        Self(all).shown()
    }

    /// Returns the command's name.
    pub(crate) fn command(&self) -> Option<&str> {
        let cli = Cli::command();
        self.0.iter().find(|word| cli.find_subcommand(word).is_some()).map(String::as_str)
    }

    /// Returns whether an option was typed.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.without(&[option]) != *self
    }

    /// Returns the value of an option, the last one where it was typed more than once.
    pub(crate) fn value_of(&self, option: &str) -> Option<String> {
        let mut found = None;
        self.for_each_option(|name, words| {
            if name.is_some() && name == option.strip_prefix("--") {
                found = match words {
                    [_, value] => Some(value.clone()),
                    [word] => word.split_once('=').map(|(_, value)| value.to_owned()),
                    _ => None,
                };
            }
        });
        found
    }

    /// Returns which of two commands says how the server is asked: this one, where it asks it and was told how, else the one that
    /// sent rows last, where that is recorded.
    pub(crate) fn way<'a>(&'a self, recorded: Option<&'a Self>) -> &'a Self {
        let is_local = self.command().is_some_and(|command| LOCAL.contains(&command));
        let says_how = !is_local && !self.on_the_way("replay").is_empty();
        recorded.filter(|_| !says_how).unwrap_or(self)
    }

    /// Returns the command that says what is wrong with the way to the server, where this one does not take the server from a ledger
    /// and is no such command itself.
    pub(crate) fn doctor(&self) -> Option<String> {
        let finds_server = self.command() == Some("submit") || self.has("--server");
        let is_other = self.command() != Some("doctor");
        (finds_server && is_other).then(|| self.asking(&["doctor".to_owned()]))
    }

    fn doctor_of(&self, server: &str) -> String {
        let along = self.on_the_way("doctor");
        let mut all = vec!["doctor".to_owned()];
        if !along.iter().any(|word| word == "--server" || word.starts_with("--server=")) {
            all.extend(["--server".to_owned(), server.to_owned()]);
        }
        all.extend(along);
        Self(all).shown()
    }

    /// Returns what to do next, with this command in the places that it has there.
    pub(crate) fn shown_next(&self, next: &Next) -> String {
        let shown = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Again => self.shown(),
            Piece::With { without, words } => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.instead(without, &words)
            }
            Piece::Command(words) => Self(words.clone()).shown(),
            Piece::Asking(words) => self.asking(words),
            Piece::Doctor(server) => self.doctor_of(server),
        };
        next.0.iter().map(shown).collect()
    }

    /// Returns the typed options that say how a server is asked, as far as another command has them too. What holds for one command
    /// alone stays with that one.
    fn on_the_way(&self, command: &str) -> Vec<String> {
        let cli = Cli::command();
        let source = self.0.iter().find_map(|word| cli.find_subcommand(word));
        let (Some(source), Some(target)) = (source, cli.find_subcommand(command)) else { return Vec::new() };
        let goes_along = |name: &str| {
            let is_of = |arg: &clap::Arg| arg.get_long() == Some(name);
            let heading = source.get_arguments().find(|arg| is_of(arg)).and_then(clap::Arg::get_help_heading);
            let is_on_the_way = heading.is_some_and(|heading| ON_THE_WAY.contains(&heading));
            let is_kept = is_on_the_way && target.get_arguments().any(is_of) && !holds_once(name);
            is_kept || ["config", "profile"].contains(&name)
        };
        let mut along = Vec::new();
        self.for_each_option(|name, words| {
            if name.is_some_and(goes_along) {
                along.extend_from_slice(words);
            }
        });
        along
    }

    /// Returns the command without some options and their values.
    fn without(&self, options: &[&str]) -> Self {
        let mut left = Vec::new();
        self.for_each_option(|name, words| {
            if !name.is_some_and(|name| options.iter().any(|option| option.strip_prefix("--") == Some(name))) {
                left.extend_from_slice(words);
            }
        });
        Self(left)
    }

    /// Shows each option by its name, with the words that it consists of, and each other word.
    fn for_each_option(&self, mut each: impl FnMut(Option<&str>, &[String])) {
        let mut rest = self.0.as_slice();
        while let Some(word) = rest.first() {
            let (name, n_words) = match word.strip_prefix("--") {
                None => (None, 1),
                Some(option) => match option.split_once('=') {
                    Some((name, _)) => (Some(name), 1),
                    None if takes_value(option) => (Some(option), 2),
                    None => (Some(option), 1),
                },
            };
            let (words, others) = rest.split_at(n_words.min(rest.len()));
            each(name, words);
            rest = others;
        }
    }

    fn shown(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|word| quoted(word)).collect();
        format!("cmbatch {}", words.join(" "))
    }
}

/// Returns whether an option of any command takes a value.
fn takes_value(name: &str) -> bool {
    let cli = Cli::command();
    let all = cli.get_subcommands().flat_map(clap::Command::get_arguments).chain(cli.get_arguments());
    all.filter(|arg| arg.get_long() == Some(name)).any(|arg| arg.get_action().takes_values())
}

/// Returns the words of a command line as [`quoted`] writes them; none where it is not such a line.
fn words_of(shown: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = shown.chars().peekable();
    while rest.peek().is_some() {
        let mut word = String::new();
        while let Some(c) = rest.next_if(|c| *c != ' ') {
            match c {
                '\\' => word.push(rest.next()?),
                '$' if rest.next_if_eq(&'\'').is_some() => loop {
                    match rest.next()? {
                        '\'' => break,
                        '\\' if rest.next_if_eq(&'U').is_some() => {
                            let digits: String = rest.by_ref().take(8).collect();
                            word.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                        }
                        '\\' => word.push(rest.next()?),
                        c => word.push(c),
                    }
                },
                '\'' => loop {
                    match rest.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                },
                c => word.push(c),
            }
        }
        rest.next();
        words.push(word);
    }
    Some(words)
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
        assert_eq!(typed.for_real(7), "cmbatch submit wave.csv --confirm 7");
        assert_eq!(typed.going_on(0), "cmbatch submit wave.csv");
        assert_eq!(quoted("a'\u{1b}[31m\n\\.csv"), r"$'a\'\U0000001b[31m\U0000000a\\.csv'");
    }

    #[test]
    fn another_command_asks_the_same_server_in_the_same_way() {
        let typed = invocation(&[
            "--config",
            "c.toml",
            "submit",
            "wave.csv",
            "--server=cm.test",
            "--token-file",
            "my token",
            "--type",
            "Enroll",
            "--confirm",
            "7",
            "--rate",
            "5/s",
            "--max-attempts",
            "2",
            "--allow-http",
            "--settle",
            "1s",
            "--trust-list",
            "--json",
        ]);
        let next = |piece| typed.shown_next(&Next(vec![piece]));
        let on = std::path::Path::new("wave.ledger");
        let way = "--config c.toml --server=cm.test --token-file 'my token'";
        assert_eq!(
            next(Piece::asking("reconcile", on, &[])),
            format!("cmbatch reconcile wave.ledger {way} --max-attempts 2 --allow-http --settle 1s")
        );
        assert_eq!(
            next(Piece::asking("replay", on, &["--confirm", "9"])),
            format!(
                "cmbatch replay wave.ledger --confirm 9 {way} --rate 5/s --max-attempts 2 --allow-http --settle 1s"
            )
        );
        assert_eq!(next(Piece::Doctor("https://cm.test".to_owned())), format!("cmbatch doctor {way} --allow-http"));
        assert_eq!(next(Piece::on_ledger("status", on, &[])), "cmbatch status wave.ledger");
        let bare = invocation(&["replay", "wave.ledger"]);
        let doctor = Next(vec![Piece::Doctor("https://cm.test".to_owned())]);
        assert_eq!(bare.shown_next(&doctor), "cmbatch doctor --server https://cm.test");
        let status = invocation(&["status", "wave.ledger", "--config", "other.toml"]);
        assert_eq!(typed.way(Some(&bare)), &typed);
        assert_eq!((bare.way(Some(&typed)), status.way(Some(&typed)), bare.way(None)), (&typed, &typed, &bare));
    }

    #[test]
    fn a_shown_command_is_read_as_it_was_typed() {
        let typed =
            invocation(&["submit", "my wave.csv", "it's", "", "a'\u{1b}[31m\n\\.csv", "--server", "https://cm.test/x"]);
        assert_eq!(Invocation::parse(&typed.again()), Some(typed));
        assert_eq!(Invocation::parse("submit x"), None);
        assert_eq!(Invocation::parse("cmbatch 'open"), None);
    }
}
