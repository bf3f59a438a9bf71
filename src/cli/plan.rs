//! The plan: what is about to be sent, where, as whom and how fast. Shown before the first call, always.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::output::{grouped, rows, shown};
use super::progress::span;
use super::reach::Reach;
use crate::request::{RequestType, printable};
use crate::submit::Rate;

/// What is about to happen.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Rows that are pending now, by type.
    pub(crate) by_type: Vec<(RequestType, u64)>,
    /// Rows of the run that are settled already.
    pub(crate) settled: u64,
    /// The server's base URL, or the simulator.
    pub(crate) server: String,
    pub(crate) label: Option<String>,
    pub(crate) account: String,
    pub(crate) config_files: Vec<PathBuf>,
    pub(crate) ledger: PathBuf,
    pub(crate) ledger_is_new: bool,
    pub(crate) rate: Rate,
    pub(crate) concurrency: usize,
    /// Rows whose answer was not seen: they are settled first, and sent again where the server does not have them.
    pub(crate) in_doubt: u64,
    /// Whether only a part of the rows was asked for: others stay as they are.
    pub(crate) is_part: bool,
    /// What else is to be known.
    pub(crate) note: Option<String>,
}

impl Plan {
    /// Returns the plan for rows of a ledger that goes on.
    pub(crate) fn new(
        reach: &Reach,
        config_files: &[PathBuf],
        server: &str,
        ledger: &Path,
        by_type: Vec<(RequestType, u64)>,
    ) -> Self {
        Self {
            by_type,
            settled: 0,
            server: server.to_owned(),
            label: reach.label.clone(),
            account: reach.account.clone(),
            config_files: config_files.to_vec(),
            ledger: ledger.to_owned(),
            ledger_is_new: false,
            rate: reach.limits.rate,
            concurrency: reach.limits.concurrency.get(),
            in_doubt: 0,
            is_part: false,
            note: None,
        }
    }

    /// Returns how many rows are sent.
    pub(crate) fn n_rows(&self) -> u64 {
        self.by_type.iter().map(|(_, n)| n).sum()
    }

    /// Returns the rows that take certificates away, by type.
    pub(crate) fn destructive(&self) -> Vec<(RequestType, u64)> {
        self.by_type.iter().copied().filter(|(kind, n)| kind.is_destructive() && *n > 0).collect()
    }

    /// Returns how many rows take certificates away.
    pub(crate) fn n_destructive(&self) -> u64 {
        self.destructive().iter().map(|(_, n)| n).sum()
    }

    /// Returns the plan as lines; the first has rows and server.
    pub(crate) fn lines(&self) -> String {
        let label = self.label.as_ref().map_or_else(String::new, |label| format!(" [{}]", printable(label)));
        let files: Vec<String> = self.config_files.iter().map(|file| shown(file)).collect();
        let files = if files.is_empty() { "none".to_owned() } else { files.join(", ") };
        let fresh = if self.ledger_is_new { "new" } else { "continued" };
        let settled = if self.settled > 0 {
            format!(", {} of this run already settled", rows(self.settled))
        } else {
            String::new()
        };
        let mut further = String::new();
        if self.in_doubt > 0 {
            let then = if self.is_part { "" } else { ", and sent again where the server proves not to have them" };
            further = format!("\n      {} in doubt: settled{then}", rows(self.in_doubt));
        }
        if let Some(note) = &self.note {
            further = format!("{further}\n      {note}");
        }
        format!(
            "plan: send {} ({}) to {}{label}{settled}\n      as {}, configuration: {files}\n      ledger: {} ({fresh})\n      \
             rate: {}, at most {} calls at a time, {}{further}",
            rows(self.n_rows()),
            by_type(&self.by_type),
            self.server,
            self.account,
            shown(&self.ledger),
            self.rate,
            self.concurrency,
            self.duration(),
        )
    }

    fn duration(&self) -> String {
        match self.rate.per_second() {
            None => "as fast as the server answers".to_owned(),
            Some(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "a time for people")]
                let seconds = self.n_rows() as f64 / rate;
                format!("about {}", span(Duration::from_secs_f64(seconds.max(1.0))))
            }
        }
    }

    /// Returns the question that a person answers on a terminal before certificates are taken away.
    pub(crate) fn question(&self, host: &str) -> String {
        format!(
            "This takes certificates away: {} on {host} as {}. Type {} to send, anything else to stop:",
            by_type(&self.destructive()).replace(", ", " and "),
            self.account,
            self.n_destructive(),
        )
    }
}

/// Returns `4,310 Revoke, 12 Retire`.
pub(crate) fn by_type(counts: &[(RequestType, u64)]) -> String {
    let texts: Vec<String> =
        counts.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{} {kind}", grouped(*n))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            by_type: vec![(RequestType::Revoke, 4_310), (RequestType::Enroll, 20)],
            settled: 7,
            server: "https://cm.contoso.test/CertificateManagement".to_owned(),
            label: Some("PRODUCTION".to_owned()),
            account: "svc-cmbatch".to_owned(),
            config_files: vec!["cmbatch.toml".into()],
            ledger: "revocation.ledger".into(),
            ledger_is_new: false,
            rate: Rate::DEFAULT,
            concurrency: 16,
            in_doubt: 0,
            is_part: false,
            note: None,
        }
    }

    #[test]
    fn the_plan_says_what_where_as_whom_and_how_fast() {
        insta::assert_snapshot!(plan().lines(), @r"
        plan: send 4,330 rows (4,310 Revoke, 20 Enroll) to https://cm.contoso.test/CertificateManagement [PRODUCTION], 7 rows of this run already settled
              as svc-cmbatch, configuration: cmbatch.toml
              ledger: revocation.ledger (continued)
              rate: 50/s, at most 16 calls at a time, about 1 min 27 s
        ");
    }

    #[test]
    fn the_question_counts_only_what_takes_certificates_away() {
        assert_eq!(
            plan().question("cm.contoso.test"),
            "This takes certificates away: 4,310 Revoke on cm.contoso.test as svc-cmbatch. \
             Type 4310 to send, anything else to stop:"
        );
        let mut both = plan();
        both.by_type.push((RequestType::Retire, 2));
        assert!(both.question("h").contains("4,310 Revoke and 2 Retire on h"), "{}", both.question("h"));
        assert_eq!(both.n_destructive(), 4_312);
    }
}
