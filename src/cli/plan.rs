//! The plan as people read it: what is about to be sent, where, as whom and how fast. Shown before the first call, always.

use std::path::PathBuf;
use std::time::Duration;

use super::invocation::quoted;
use super::output::shown;
use super::progress::span;
use super::reach::Reach;
use crate::app::Plan;
use crate::app::words::{by_type, rows};
use crate::request::printable;
use crate::submit::Rate;

/// A plan, and the way to the server.
#[derive(Clone, Debug)]
pub(crate) struct ShownPlan<'a> {
    pub(crate) plan: &'a Plan,
    /// The server's base URL, or the simulator.
    pub(crate) server: String,
    pub(crate) label: Option<String>,
    pub(crate) account: String,
    pub(crate) config_files: Vec<PathBuf>,
    pub(crate) rate: Rate,
    pub(crate) concurrency: usize,
}

impl<'a> ShownPlan<'a> {
    pub(crate) fn new(plan: &'a Plan, reach: &Reach, config_files: &[PathBuf], server: &str, account: String) -> Self {
        Self {
            plan,
            server: server.to_owned(),
            label: reach.label.clone(),
            account,
            config_files: config_files.to_vec(),
            rate: reach.limits.rate,
            concurrency: reach.limits.concurrency.get(),
        }
    }

    /// Returns the plan as lines; the first has rows and server.
    pub(crate) fn lines(&self) -> String {
        let plan = self.plan;
        let label = self.label.as_ref().map_or_else(String::new, |label| format!(" [{}]", printable(label)));
        let files: Vec<String> = self.config_files.iter().map(|file| shown(file)).collect();
        let files = if files.is_empty() { "none".to_owned() } else { files.join(", ") };
        let fresh = if plan.ledger_is_new { "new" } else { "continued" };
        let settled = if plan.settled > 0 {
            format!(", {} of this run already settled", rows(plan.settled))
        } else {
            String::new()
        };
        let mut further = String::new();
        if plan.in_doubt > 0 {
            let them = if plan.in_doubt == 1 { "it" } else { "them" };
            let then = if plan.is_without_list {
                let ledger = quoted(&plan.ledger.to_string_lossy());
                format!("left as before; what to look for: cmbatch settle {ledger} --list")
            } else if plan.is_part {
                "settled".to_owned()
            } else {
                format!("settled, and sent again where the server proves not to have {them}")
            };
            further = format!("\n      {} in doubt: {then}", rows(plan.in_doubt));
        }
        for note in &plan.notes {
            further = format!("{further}\n      {note}");
        }
        format!(
            "plan: send {} ({}) to {}{label}{settled}\n      as {}, configuration: {files}\n      ledger: {} ({fresh})\n      \
             rate: {}, at most {} calls at a time, {}{further}",
            rows(plan.n_rows()),
            by_type(&plan.by_type),
            self.server,
            self.account,
            shown(&plan.ledger),
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
                let seconds = self.plan.n_rows() as f64 / rate;
                format!("about {}", span(Duration::from_secs_f64(seconds.max(1.0))))
            }
        }
    }

    /// Returns the question that a person answers on a terminal before certificates are taken away.
    pub(crate) fn question(&self, host: &str) -> String {
        format!(
            "This takes certificates away: {} on {host} as {}. Type {} to send, anything else to stop:",
            by_type(&self.plan.destructive()).replace(", ", " and "),
            self.account,
            self.plan.n_destructive(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestType;

    fn plan() -> Plan {
        Plan {
            by_type: vec![(RequestType::Revoke, 4_310), (RequestType::Enroll, 20)],
            settled: 7,
            ledger: "revocation.ledger".into(),
            ..Plan::default()
        }
    }

    fn shown(plan: &Plan) -> ShownPlan<'_> {
        ShownPlan {
            plan,
            server: "https://cm.contoso.test/CertificateManagement".to_owned(),
            label: Some("PRODUCTION".to_owned()),
            account: "svc-cmbatch".to_owned(),
            config_files: vec!["cmbatch.toml".into()],
            rate: Rate::DEFAULT,
            concurrency: 16,
        }
    }

    #[test]
    fn the_plan_says_what_where_as_whom_and_how_fast() {
        insta::assert_snapshot!(shown(&plan()).lines(), @r"
        plan: send 4,330 rows (4,310 Revoke, 20 Enroll) to https://cm.contoso.test/CertificateManagement [PRODUCTION], 7 rows of this run already settled
              as svc-cmbatch, configuration: cmbatch.toml
              ledger: revocation.ledger (continued)
              rate: 50/s, at most 16 calls at a time, about 1 min 27 s
        ");
    }

    #[test]
    fn rows_in_doubt_are_settled_where_there_is_a_list_to_settle_them_by() {
        let told = |in_doubt, is_without_list| {
            let plan = Plan { in_doubt, is_without_list, ..plan() };
            shown(&plan).lines().lines().last().unwrap_or_default().trim().to_owned()
        };
        assert_eq!(told(1, false), "1 row in doubt: settled, and sent again where the server proves not to have it");
        assert_eq!(told(2, false), "2 rows in doubt: settled, and sent again where the server proves not to have them");
        assert_eq!(
            told(2, true),
            "2 rows in doubt: left as before; what to look for: cmbatch settle revocation.ledger --list"
        );
    }

    #[test]
    fn the_question_counts_only_what_takes_certificates_away() {
        assert_eq!(
            shown(&plan()).question("cm.contoso.test"),
            "This takes certificates away: 4,310 Revoke on cm.contoso.test as svc-cmbatch. \
             Type 4310 to send, anything else to stop:"
        );
        let mut both = plan();
        both.by_type.push((RequestType::Retire, 2));
        let question = shown(&both).question("h");
        assert!(question.contains("4,310 Revoke and 2 Retire on h"), "{question}");
    }
}
