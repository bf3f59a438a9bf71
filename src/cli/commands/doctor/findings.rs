//! What `doctor` finds, step by step: told when it is found, and summed up at the end.

use serde_json::json;

use crate::app::{Exit, StoppedBy, exit_of};
use crate::cli::output::Shell;
use crate::cli::summary::Summary;
use crate::client::ReadError;
use crate::report::wrapped;
use crate::request::printable_up_to;

/// The longest text of a step, in characters.
const MAX_CHARS: usize = 2_000;

/// The width of the table, and of what stands before its texts.
const WIDTH: usize = 80;
const HEAD_WIDTH: usize = 18;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// Calls work, and something is to be known.
    Note,
    /// Calls do not work.
    Fault(Exit, Option<StoppedBy>),
}

impl Verdict {
    pub(super) const fn fault(exit: Exit) -> Self {
        Self::Fault(exit, StoppedBy::of_exit(exit))
    }

    /// What a run would be stopped by that cannot read this.
    pub(super) fn of_read(error: &ReadError) -> Self {
        Self::Fault(exit_of(error), Some(StoppedBy::of_list(error)))
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Fault(..) => "fault",
        }
    }
}

/// What was found in one step.
#[derive(Clone, Debug)]
struct Finding {
    step: &'static str,
    verdict: Verdict,
    text: String,
}

/// The findings so far; each is told when it is made.
pub(super) struct Findings<'a> {
    shell: &'a Shell,
    as_json: bool,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(shell: &'a Shell, as_json: bool) -> Self {
        Self { shell, as_json, all: Vec::new() }
    }

    pub(super) fn add(&mut self, step: &'static str, verdict: Verdict, text: impl AsRef<str>) {
        // Remedies stand last.
        let text = printable_up_to(text.as_ref(), MAX_CHARS);
        let mut head = format!("{:<6}{step:<12}", verdict.word());
        if self.as_json && self.shell.logs_json() {
            self.shell.say(&format!("{head}{text}"));
        } else {
            for line in wrapped(&text, WIDTH - HEAD_WIDTH) {
                let line = format!("{head}{line}");
                // A script reads the object at the end.
                if self.as_json {
                    self.shell.say(&line);
                } else {
                    self.shell.result_line(&line);
                }
                head = " ".repeat(HEAD_WIDTH);
            }
        }
        self.all.push(Finding { step, verdict, text });
    }

    pub(super) fn fine(&mut self, step: &'static str, text: impl AsRef<str>) {
        self.add(step, Verdict::Fine, text);
    }

    /// Returns the summary: the first fault counts.
    pub(super) fn summary(self, server: &str) -> Summary {
        let fault = self.all.iter().find_map(|finding| match finding.verdict {
            Verdict::Fault(exit, by) => Some((exit, by, finding)),
            Verdict::Fine | Verdict::Note => None,
        });
        let summary = match fault {
            None => Summary::new(Exit::Done, format!("{server} can be worked with")),
            Some((exit, by, finding)) => {
                Summary::new(exit, format!("{}: {}", finding.step, finding.text)).stopped_by(by)
            }
        };
        let checks: Vec<_> = self
            .all
            .iter()
            .map(|finding| json!({ "step": finding.step, "verdict": finding.verdict.word(), "text": finding.text }))
            .collect();
        summary.uncounted().with("checks", checks)
    }
}
