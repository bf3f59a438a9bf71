//! What people do by themselves: verdicts, and all that is done once the server is well.

use super::{CORRECTED, World};
use crate::link::Gate;
use crate::oracle::{Broken, Violation};
use crate::process::{self, NOTHING, RowSeen, Said};
use crate::server::target;
use crate::step::{Cmd, Opts, Place, Step};
use cmbatch::ledger::RowState;
use std::rc::Rc;

impl World<'_> {
    /// Returns the number of a ledger's row through all lists.
    fn number_of(&self, row: &RowSeen) -> u32 {
        (1..=self.history.setup.rows * 20).find(|number| target(*number) == row.target).unwrap_or(0)
    }

    /// A person looks at the server and says of a row in doubt what is there; or what is not.
    pub(super) async fn verdict(&mut self, at: Place, nth: u32, truly: bool) -> bool {
        let Some(rows) = self.rows(at) else { return false };
        let mut doubts = rows.iter().filter(|row| row.state == RowState::InDoubt);
        let Some(row) = doubts.nth(nth as usize) else { return false };
        let number = self.number_of(row);
        let run = self.metas.get(&at).map(|meta| meta.run);
        let is_own = |process: u32| self.oracle.known.get(&process).map(|known| known.run) == run;
        let (there, is_coming) = self.server.borrow().of_row(number, &is_own);
        if !truly && there.is_none() {
            return false;
        }
        if !truly || is_coming {
            self.oracle.false_verdicts.insert(number);
        }
        self.n_calm += 1;
        let p = self.n_calm;
        let (order, _control) = self.order(p, at, &Cmd::Reconcile, &Opts::default(), Rc::default());
        let said = process::settle(&order, row.row, there.filter(|_| truly)).await;
        self.say(&format!(
            "settle row {}: {}: {}",
            row.row,
            said.exit,
            said.short.replace(&*self.root.to_string_lossy(), "")
        ));
        said.exit == 0
    }

    /// The server is well, whoever was stopped goes on, and the person does what the program says, until nothing is left or
    /// patience is over.
    pub(super) async fn calm(&mut self) -> Result<(), Violation> {
        self.say("calm");
        self.server.borrow_mut().faults.clear();
        let mut is_first = !self.processes.values().any(|process| process.is_stopped);
        self.processes.values_mut().for_each(|process| process.is_stopped = false);
        self.drive(None).await?;
        let places: Vec<Place> = self.metas.keys().copied().collect();
        for at in places {
            // The notes of those that were at work are gone then.
            let wait = if std::mem::take(&mut is_first) { 10_000 } else { 1_000_000 };
            self.drive(Some(self.now() + wait)).await?;
            self.finish(at).await?;
        }
        for at in self.metas.keys().copied().collect::<Vec<_>>() {
            if let Some(rows) = self.rows(at) {
                self.oracle.audit(&self.server.borrow(), at, &rows, self.metas[&at].no_tag)?;
            }
        }
        self.oracle.named(&self.server.borrow())
    }

    async fn finish(&mut self, at: Place) -> Result<(), Violation> {
        let meta = self.metas[&at].clone();
        let mut opts = Opts { no_tag: meta.no_tag, ..Opts::default() };
        // What was begun is repeated first.
        for cmd in self.corrections(at) {
            let said = self.command(at, &cmd, &opts).await?;
            if matches!(said.exit, 2 | 3 | 7)
                && said.short != NOTHING
                && !said.proposes_skip
                && !self.oracle.is_involved
            {
                let text = format!("{at}: replay --from once more ends with {}: {}", said.exit, said.short);
                return Err(Violation { broken: Broken::Unrepeatable, text });
            }
        }
        for turn in 0..8 {
            let cmd = match turn {
                0 | 2 | 4 => Cmd::Submit { list: meta.list },
                6 => Cmd::From { list: CORRECTED, swap: false },
                _ => Cmd::Replay,
            };
            let said = self.command(at, &cmd, &opts).await?;
            if said.proposes_skip {
                opts.already = crate::step::Already::Skip;
            } else if said.exit == 0 && turn != 6 {
                return Ok(());
            } else if turn >= 3 {
                self.settle_truly(at).await?;
            }
            self.drive(Some(self.now() + 300_000)).await?;
        }
        Ok(())
    }

    /// Returns the correction that was begun, where it was the last command.
    fn corrections(&self, at: Place) -> Vec<Cmd> {
        // What came to pass since may leave no sense in an earlier one.
        let of = |step: &Step| match step {
            Step::Run { p, at: other, cmd, .. } if *other == at => {
                let has_begun = self.oracle.known.get(p).is_some_and(|known| !known.was_refused);
                Some((cmd.clone(), has_begun))
            }
            _ => None,
        };
        let last = self.history.steps.iter().rev().find_map(|step| of(&step.step));
        last.into_iter()
            .filter(|(cmd, has_begun)| *has_begun && matches!(cmd, Cmd::From { .. }))
            .map(|(cmd, _)| cmd)
            .collect()
    }

    async fn settle_truly(&mut self, at: Place) -> Result<(), Violation> {
        let rows = self.rows(at).unwrap_or_default();
        let doubts: Vec<u32> =
            rows.iter().filter(|row| row.state == RowState::InDoubt).map(|row| self.number_of(row)).collect();
        let n = doubts.len();
        // After an hour a server may have archived a request (rule 6 d).
        let run = self.metas.get(&at).map(|meta| meta.run);
        let is_own = |process: u32| self.oracle.known.get(&process).map(|known| known.run) == run;
        let is_young = |number: &u32| !self.server.borrow().is_old(*number, 3_500_000, &is_own);
        // What was sent again and lost again, or exists twice, is a person's, and no other row goes before that is settled. Of a kind of which nothing is known to exist, and nothing is left to be sent, no list proves anything (rule 6 c).
        let is_told = |doubt: &RowSeen| {
            let is_alike = |row: &RowSeen| row.kind == doubt.kind && row.template == doubt.template;
            rows.iter().any(|row| matches!(row.state, RowState::Created | RowState::Pending) && is_alike(row))
        };
        let n_made = |row: &RowSeen| {
            let number = self.number_of(row);
            self.server.borrow().made.iter().filter(|made| made.row == Some(number)).count()
        };
        let is_doubtful = |row: &RowSeen| row.is_again && (row.state == RowState::InDoubt || n_made(row) > 1);
        let is_certain =
            !rows.iter().any(is_doubtful) && rows.iter().any(|row| row.state == RowState::InDoubt && is_told(row));
        if is_certain && doubts.iter().any(is_young) && !self.oracle.is_involved {
            let last = self.oracle.last.get(&at).map(|said| said.short.clone());
            let text = format!(
                "{at}: {n} rows are in doubt for good, though the server is well: {}",
                last.unwrap_or_default()
            );
            return Err(Violation { broken: Broken::Stuck, text });
        }
        for _ in 0..n {
            if !self.verdict(at, 0, true).await {
                break;
            }
        }
        Ok(())
    }

    async fn command(&mut self, at: Place, cmd: &Cmd, opts: &Opts) -> Result<Said, Violation> {
        self.n_calm += 1;
        let p = self.n_calm;
        self.say(&Step::Run { p, at, cmd: cmd.clone(), opts: opts.clone(), dies: None }.to_string());
        self.start(p, at, cmd, opts, Gate::default());
        self.drive(None).await?;
        Ok(self.oracle.last[&at].clone())
    }
}
