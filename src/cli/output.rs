//! The only place that prints.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::MultiProgress;

use crate::app::Exit;
pub(crate) use crate::app::words::{grouped, rows};
use crate::request::{printable_lines, printable_up_to};

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

    /// Returns whether lines are written as JSON.
    pub(crate) const fn logs_json(&self) -> bool {
        self.json_log
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
            let _ = result(&format!("{}\n", printable_lines(text)));
        }
    }

    /// Warns: shown with `--quiet`, too.
    pub(crate) fn warn(&self, text: &str) {
        if self.json_log {
            tracing::warn!("{}", printable_lines(text));
        } else {
            self.line(&format!("warning: {text}"));
        }
    }

    /// Says what even `--quiet` does not silence: diagnostics and the last line.
    pub(crate) fn always(&self, text: &str) {
        if self.json_log {
            tracing::info!("{}", printable_lines(text));
        } else {
            self.line(text);
        }
    }

    /// Says how a command ended: by its exit status this is news, a warning or an error.
    pub(crate) fn ended(&self, exit: Exit, text: &str) {
        match exit {
            _ if !self.json_log => self.line(text),
            Exit::Done => self.always(text),
            Exit::SomeRows => self.warn(text),
            Exit::Usage
            | Exit::InvalidManifest
            | Exit::Server
            | Exit::SignIn
            | Exit::NoApi
            | Exit::Disk
            | Exit::InUse
            | Exit::Interrupted => self.error(text),
        }
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        if self.json_log {
            tracing::error!("{}", printable_lines(text));
        } else {
            self.line(&format!("error: {text}"));
        }
    }

    fn line(&self, text: &str) {
        let text = printable_lines(text);
        self.without_bars(|| {
            // As one write, so that lines of several threads do not mix.
            let _ = Log.write_all(format!("{text}\n").as_bytes());
        });
    }

    /// Does something while no bar is shown; it is drawn again the next time that it has news. (`suspend` would panic where
    /// the terminal is gone.)
    fn without_bars(&self, write: impl FnOnce()) {
        let _ = self.bars.clear();
        write();
    }

    /// Asks a question on the terminal and returns the line that was typed; none at the end of input.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        self.without_bars(|| {
            let _ = write!(Log, "{} ", printable_lines(question));
        });
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(n) if n > 0 => Some(answer.trim().to_owned()),
            Ok(_) | Err(_) => None,
        }
    }
}

/// Standard error, to which writing never fails: a full disk or a reader that went away is no reason to end a run, because
/// what counts is in the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

/// The longest path that is shown, in characters: that of Linux.
const MAX_PATH: usize = 4_096;

/// Returns a path for people, with control characters escaped.
pub(crate) fn shown(path: &Path) -> String {
    printable_up_to(&path.to_string_lossy(), MAX_PATH)
}
