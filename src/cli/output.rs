//! The only place that prints.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;

pub(crate) use crate::app::words::{grouped, rows};

/// The longest reason to stop, in characters: what is to be done stands last.
pub(crate) const MAX_REASON: usize = 1_000;

/// Standard output and standard error, with what the user wants to hear.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    quiet: bool,
    json_log: bool,
    /// Lines to standard error go through it, so that they do not tear the progress bar.
    bars: MultiProgress,
}

impl Shell {
    pub(crate) fn new(quiet: bool, json_log: bool) -> Self {
        Self { quiet, json_log, bars: MultiProgress::new() }
    }

    /// Returns the bars, for a progress bar to be added.
    pub(crate) const fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Returns whether a progress bar makes sense: a terminal, and nobody asked for silence or for JSON lines.
    pub(crate) fn shows_bar(&self) -> bool {
        !self.quiet && !self.json_log && io::stderr().is_terminal()
    }

    /// Returns whether a person can be asked: both ends are a terminal.
    pub(crate) fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Says something that is not a result, unless `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.always(text);
        }
    }

    /// Writes one line of a result to standard output, unless `--quiet`.
    pub(crate) fn result_line(&self, text: &str) {
        if !self.quiet {
            // Who closed standard output wants no more lines; the last one says how it ended.
            let _ = result(&format!("{text}\n"));
        }
    }

    /// Warns: shown with `--quiet`, too.
    pub(crate) fn warn(&self, text: &str) {
        if self.json_log {
            tracing::warn!("{text}");
        } else {
            self.line(&format!("warning: {text}"));
        }
    }

    /// Says what even `--quiet` does not silence: diagnostics and the last line.
    pub(crate) fn always(&self, text: &str) {
        if self.json_log {
            tracing::info!("{text}");
        } else {
            self.line(text);
        }
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        if self.json_log {
            tracing::error!("{text}");
        } else {
            self.line(&format!("error: {text}"));
        }
    }

    fn line(&self, text: &str) {
        // A closed standard error is no reason to stop a run: what counts is in the ledger.
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// Asks a question on the terminal and returns the line that was typed; none at the end of input.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "{question} ");
            let _ = stderr.flush();
        });
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(n) if n > 0 => Some(answer.trim().to_owned()),
            Ok(_) | Err(_) => None,
        }
    }
}

/// Writes a result to standard output. A closed pipe is a quiet end.
///
/// # Errors
/// Anything else that keeps the result from being written, such as a full disk.
pub(crate) fn result(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
