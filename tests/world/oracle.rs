//! What must hold, judged by the server's memory and by what commands said. It knows no tags and no rule's algorithm.

use std::collections::{BTreeMap, BTreeSet};

use cmbatch::ledger::RowState;
use cmbatch::request::Guid;

use crate::process::{RowSeen, Said};
use crate::server::{DENIED, KINDS, Made, Server, TEMPLATE, short};
use crate::step::{Already, Fate, Opts, Place};

/// How many requests for another target a process may make: two of each kind, one that is looked at and one in doubt.
const MOST_WRONG: usize = 2 * KINDS.len();
/// How old a request is, in ms, before a list may leave it out for being done with (rule 6 d).
const SOONEST_ARCHIVED: u64 = 3_600_000;
/// How long notes of a run that has ended stay with a host, in ms.
const NOTES_STAY: u64 = 900_000;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// S1: two requests for one row, and no excuse.
    Twice,
    /// Two requests for one row, with an excuse, and no last output names both.
    TwiceUnnamed,
    /// S2: a row is said to be created as a request that is not its.
    Wrong,
    /// S5: a call left, and a copy of the ledger does not show its claim.
    Unclaimed,
    /// S3, S4: exit 0, and a row was not created.
    Lost,
    /// L1, L2, L3: the server is well, nothing bears it out, and a row is not created.
    Stuck,
    /// Rule 8: requests for the wrong target went on.
    Flood,
    /// A command that was stopped cannot be repeated.
    Unrepeatable,
    /// The GUID of a template was changed, the run went on with the old one, and nothing says so.
    Unnoticed,
    /// A server that was waited for was not waited for.
    NoWait,
    /// The world came to no end.
    Hang,
    /// The program panicked.
    Panic,
}

/// A violation, in words.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) broken: Broken,
    pub(crate) text: String,
}

/// Why a row may exist twice (rule 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Excuse {
    /// A gateway repeated this call.
    Repeated,
    /// A list hid this request for reasons of its own.
    Hidden,
    /// Two hosts worked at once, and no list that this one was given showed the other's request.
    AtOnce,
    /// Not at once, but by another run, on another host, or by one whose notes were lost; and no list showed it: the server
    /// keeps it from this account, has archived it, or cuts comments.
    Unseen,
    /// It was denied, so that another run may ask again.
    Denied,
    /// A person said so: `--already send`, `--trust-list`, a verdict.
    Person,
    /// Runs without tags know nothing of each other.
    NoTags,
}

/// What is known of a process.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) at: Place,
    /// The run: that of the ledger, which copies keep.
    pub(crate) run: u32,
    pub(crate) opts: Opts,
    pub(crate) started: u64,
    pub(crate) ended: Option<u64>,
    /// Whether it was refused: what it was to do was not begun.
    pub(crate) was_refused: bool,
    /// Whether it ended by itself, and not for the server's sake, while the list was whole: it had its last look.
    pub(crate) has_looked: bool,
}

/// The judge.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) known: BTreeMap<u32, Known>,
    /// Rows of which somebody said what is not true.
    pub(crate) false_verdicts: BTreeSet<u32>,
    /// The rows that exist twice with an excuse, and the requests that the last output must name; those of a call that a gateway
    /// repeated by themselves, with the process that made it.
    to_name: BTreeMap<(u32, Option<u32>), BTreeSet<Guid>>,
    pub(crate) excuses: BTreeSet<Excuse>,
    /// Whether excuses count.
    pub(crate) is_strict: bool,
    /// The last output for each ledger.
    pub(crate) last: BTreeMap<Place, Said>,
    /// When a host last lost its notes.
    pub(crate) forgot: BTreeMap<u8, u64>,
    /// What was said last of each run: other runs may have had its ledger's place since.
    pub(crate) last_of_run: BTreeMap<u32, Said>,
    /// All that was said.
    pub(crate) said: Vec<Said>,
    /// Hosts on which ledgers were cut, copied or put back.
    pub(crate) put_back: BTreeSet<u8>,
    /// Hosts whose ledgers and notes together are older than what was done, or somebody else's too.
    pub(crate) notes_too: BTreeSet<u8>,
    /// Something happened in which rows may stay with a person: see `stuck`.
    pub(crate) is_involved: bool,
    /// Of each run the row that may exist twice because it is the sign that shows how far a list goes.
    signs: BTreeMap<u32, u32>,
    n_seen: usize,
}

impl Oracle {
    pub(crate) fn new(is_strict: bool, is_involved: bool) -> Self {
        Self { is_strict, is_involved, ..Self::default() }
    }

    /// Looks at what the server made since the last look.
    pub(crate) fn look(&mut self, server: &Server) -> Result<(), Violation> {
        for n in self.n_seen..server.made.len() {
            self.n_seen = n + 1;
            let made = &server.made[n];
            let (Some(process), Some(row)) = (made.process, made.row) else { continue };
            if made.is_wrong {
                self.flood(server, process)?;
                continue;
            }
            // Another template is another request; within a run a corrected row takes the place of one that does not exist.
            let is_alike = |other: &Made| other.template == made.template && other.kind == made.kind;
            let is_same = |other: &Made| is_alike(other) || self.run_of(other) == self.run_of(made);
            let is_earlier =
                |other: &&Made| other.process.is_some() && other.row == Some(row) && !other.is_wrong && is_same(other);
            let earlier: Vec<&Made> = server.made[..n].iter().filter(is_earlier).collect();
            for other in earlier {
                let Some(excuse) = self.excuse(server, made, other).filter(|_| !self.is_strict) else {
                    let text = format!("row {row} as {} and {}", short(&other.uuid), short(&made.uuid));
                    return Err(Violation { broken: Broken::Twice, text });
                };
                self.excuses.insert(excuse);
                if matches!(excuse, Excuse::Hidden | Excuse::Unseen)
                    && let Some(run) = self.run_of(made)
                {
                    self.signs.entry(run).or_insert(row);
                }
                let is_untagged = self.known.get(&process).is_some_and(|known| known.opts.no_tag);
                match excuse {
                    // Without tags nothing tells which requests are a row's.
                    Excuse::Repeated if is_untagged => {}
                    Excuse::Repeated | Excuse::Hidden | Excuse::AtOnce => {
                        let by = Some(process).filter(|_| excuse == Excuse::Repeated);
                        self.to_name.entry((row, by)).or_default().extend([other.uuid, made.uuid]);
                    }
                    // What a person said is not told again, and what nothing shows cannot be told.
                    Excuse::Person | Excuse::NoTags | Excuse::Unseen | Excuse::Denied => {}
                }
            }
        }
        Ok(())
    }

    /// Judges requests for another target than was asked for, of kinds of which the run has no right one to go by.
    fn flood(&self, server: &Server, process: u32) -> Result<(), Violation> {
        let run = self.known.get(&process).map(|known| known.run);
        let is_tried =
            |kind| server.made.iter().any(|made| !made.is_wrong && made.kind == kind && self.run_of(made) == run);
        let is_counted = |made: &&Made| made.is_wrong && !made.is_repeat && made.process == Some(process);
        let n = server.made.iter().filter(is_counted).filter(|made| !is_tried(made.kind)).count();
        if n <= MOST_WRONG {
            return Ok(());
        }
        let text = format!("p{process} made {n} requests for another target than asked");
        Err(Violation { broken: Broken::Flood, text })
    }

    /// Returns why a request may exist beside an earlier one.
    fn excuse(&self, server: &Server, made: &Made, other: &Made) -> Option<Excuse> {
        let (this, that) = (self.known.get(&made.process?)?, self.known.get(&other.process?)?);
        let runs_differ = this.run != that.run;
        let is_at_once = that.ended.is_none_or(|ended| ended >= this.started);
        let was_long_ago = that.ended.is_some_and(|ended| ended + NOTES_STAY <= this.started);
        let has_forgotten = self.forgot.get(&this.at.host).is_some_and(|at| *at >= other.at && *at <= this.started);
        // The notes were taken away under a process at work.
        let lost_notes = self.forgot.get(&this.at.host).is_some_and(|at| *at >= this.started.min(that.started));
        let hosts_differ = this.at.host != that.at.host;
        let is_apart = hosts_differ || has_forgotten || (runs_differ && was_long_ago);
        let is_unseen = server.shown.get(&made.process?).is_some_and(|shown| {
            // What was under way when a list showed the other one cannot be called back.
            shown.get(&other.uuid).is_none_or(|at| *at > made.left)
        });
        // What a person said stays with the run.
        let said_so = |known: &Known| known.run == this.run && known.opts.already == Already::Send;
        // A ledger that was put back has other rows under the numbers that were used since: those tags are another run's to it.
        let is_said = (runs_differ || self.put_back.contains(&this.at.host)) && self.known.values().any(said_so);
        let was_put_back = self.put_back.contains(&this.at.host);
        // A ledger that lost what it knew sends one row alone; what shows in no list is nobody's to know.
        let is_sign = runs_differ || self.signs.get(&this.run).is_none_or(|row| made.row == Some(*row));
        let shows_in_no_list = that.opts.no_tag || is_unseen;
        if made.is_repeat && made.call == other.call {
            Some(Excuse::Repeated)
        } else if is_said || this.opts.trust_list || this.opts.without_list || self.false_verdicts.contains(&made.row?)
        {
            Some(Excuse::Person)
        } else if this.opts.no_tag && self.notes_too.contains(&this.at.host)
            || (runs_differ && (this.opts.no_tag || that.opts.no_tag)) && shows_in_no_list && (is_apart || was_put_back)
        {
            Some(Excuse::NoTags)
        } else if runs_differ && other.status == DENIED {
            Some(Excuse::Denied)
        } else if other.is_archived
            && (runs_differ
                || was_put_back
                || made.at < other.at + SOONEST_ARCHIVED
                || server.archives_singly(other.at))
        {
            // No list shows it any more to a ledger that has lost it; and nobody is ready for lists that drop what is minutes old, or
            // some requests and not others.
            Some(Excuse::Unseen)
        } else if server.hidden.contains(&other.uuid)
            // A ledger that was put back knows of nothing that such a list would have to show.
            || server.not_shown_yet.contains(&other.uuid) && (was_put_back || is_sign)
        {
            Some(Excuse::Hidden)
        } else if is_unseen && is_at_once && (hosts_differ || lost_notes) {
            Some(Excuse::AtOnce)
        } else if is_unseen && !is_at_once && (is_apart || was_put_back && is_sign) {
            Some(Excuse::Unseen)
        } else {
            None
        }
    }

    /// Returns the requests made since the last look of which it is checked that their claims are durable: one in 20.
    pub(crate) fn samples(&self, server: &Server) -> Vec<(u32, u32)> {
        let new = server.made[self.n_seen..].iter().enumerate();
        let is_sample = |n: usize, made: &Made| (n + self.n_seen).is_multiple_of(20) && !made.is_repeat;
        new.filter(|(n, made)| is_sample(*n, made)).filter_map(|(_, made)| Some((made.process?, made.row?))).collect()
    }

    /// Judges a command that ended by itself in a history in which nothing but the server's absence happened.
    pub(crate) fn waited(&self, p: u32, said: &Said, longest_s: u64) -> Result<(), Violation> {
        let wait_s = self.known[&p].opts.wait_s;
        let has_waited = matches!(said.exit, 0 | 2 | 8 | 130)
            || said.exit == 1 && !said.short.contains("failed") && !said.short.contains("in doubt");
        if wait_s == 0 || self.is_involved || longest_s * 5 > wait_s * 4 || has_waited {
            return Ok(());
        }
        let text = format!(
            "p{p} waits for {wait_s} s, the server was away for {longest_s} s, exit {}: {}",
            said.exit, said.short
        );
        Err(Violation { broken: Broken::NoWait, text })
    }

    /// Judges a command that was given another GUID for the lists' template.
    pub(crate) fn noticed(&self, server: &Server, p: u32, said: &Said) -> Result<(), Violation> {
        let old = TEMPLATE.to_string();
        let is_old = |made: &Made| made.process == Some(p) && made.template == old;
        let goes_on = self.known[&p].opts.other_template && server.made.iter().any(is_old);
        if !goes_on || said.exit != 0 || said.text.contains(&old) {
            return Ok(());
        }
        Err(Violation { broken: Broken::Unnoticed, text: format!("p{p} went on with the template's old GUID") })
    }

    /// Judges a ledger at the end, when the server has been well for long and a person has given true verdicts.
    pub(crate) fn audit(&self, server: &Server, at: Place, rows: &[RowSeen], no_tag: bool) -> Result<(), Violation> {
        let Some(last) = self.last.get(&at) else { return Ok(()) };
        let broken = |broken, text: String| {
            Err(Violation { broken, text: format!("{at}: {text}; exit {}: {}", last.exit, last.short) })
        };
        let mut targets = BTreeSet::new();
        for row in rows.iter().filter(|row| row.state != RowState::Replaced) {
            let of_row = |made: &&Made| made.row.is_some_and(|number| crate::server::target(number) == row.target);
            let own: Vec<&Made> = server.made.iter().filter(of_row).collect();
            let is_made = own.iter().any(|made| made.process.is_some());
            // Left out for the row that it was to stand for, which came to be.
            let is_stood_for = |other: &RowSeen| other.state == RowState::Created && other.target == row.target;
            if row.state == RowState::Skipped && rows.iter().any(is_stood_for) {
                continue;
            }
            if last.exit == 0 && !targets.insert(row.target) {
                return broken(Broken::Lost, format!("the target of row {} stands there twice", row.row));
            }
            match row.state {
                // Without tags nothing tells that the answers of two rows were exchanged.
                RowState::Created if last.exit == 0 && no_tag => {}
                RowState::Created if last.exit == 0 => {
                    let is_own = |uuid: &Guid| own.iter().any(|made| made.uuid == *uuid && made.process.is_some());
                    if !row.uuid.as_ref().is_some_and(is_own) {
                        return broken(
                            Broken::Wrong,
                            format!("row {} is created as {:?}, which is not its", row.row, row.uuid),
                        );
                    }
                }
                RowState::Skipped if last.exit == 0 && own.is_empty() => {
                    return broken(Broken::Lost, format!("row {} is skipped, and nobody requested it", row.row));
                }
                state if last.exit == 0 && !is_made && state != RowState::Skipped => {
                    return broken(Broken::Lost, format!("row {} is {state}, and does not exist", row.row));
                }
                RowState::Created | RowState::Skipped => {}
                state => {
                    let is_of_run = |made: &&&Made| self.run_of(made) == self.run_at(at);
                    let is_own_fault =
                        own.iter().filter(is_of_run).count() == 0 && self.has_own_fault(server, row.target);
                    // An older ledger whose rows were archived is a person's, who vouches for the list.
                    let is_theirs = last.short.contains("not whole") || last.short.contains("cannot be checked");
                    let is_archived = is_theirs && server.made.iter().any(|made| made.is_archived);
                    // A list that is another one by now, under a ledger that nobody was told to run: a person's, and told.
                    let is_never_begun = last.exit == 2 && last.short.contains("not told to run");
                    // Where copies, strangers and the like have to do with it, it is enough that somebody created it.
                    let is_elsewhere = self.is_involved && (!own.is_empty() || no_tag);
                    // Copies that grew apart are a person's: the program says so, and sends nothing.
                    let is_told_apart = last.exit == 8 && self.put_back.contains(&at.host);
                    // A server that made other requests than it was asked for is a person's to clear up.
                    let is_wrong = server.made.iter().any(|made| made.is_wrong);
                    if !is_elsewhere
                        && !is_told_apart
                        && !is_own_fault
                        && !is_never_begun
                        && !is_archived
                        && !is_wrong
                        && last.exit != 3
                    {
                        return broken(Broken::Stuck, format!("row {} is {state} for no reason", row.row));
                    }
                }
            }
        }
        Ok(())
    }

    fn run_of(&self, made: &Made) -> Option<u32> {
        made.process.and_then(|p| self.known.get(&p)).map(|known| known.run)
    }

    /// Returns the run of the ledger that processes worked on last at a place.
    fn run_at(&self, at: Place) -> Option<u32> {
        self.known.values().rev().find(|known| known.at == at).map(|known| known.run)
    }

    fn has_own_fault(&self, server: &Server, target: Guid) -> bool {
        let is_fault = |(at, fate): (&(u32, u32), &Fate)| *fate == Fate::Is404 && crate::server::target(at.0) == target;
        server.fates.iter().any(is_fault)
    }

    /// Judges what exists twice with an excuse: somebody must have been told, by the last output.
    pub(crate) fn named(&self, server: &Server) -> Result<(), Violation> {
        for ((row, _), uuids) in &self.to_name {
            // Somebody who made one of them looked when all of them were there.
            let all = || server.made.iter().filter(|made| uuids.contains(&made.uuid));
            let last_at = all().map(|made| made.at).max();
            // Of those that were denied nobody has to hear any more.
            let standing: Vec<String> =
                all().filter(|made| made.status != DENIED).map(|made| made.uuid.to_string()).collect();
            if standing.len() < 2 {
                continue;
            }
            let names = |said: &Said| said.exit != 0 && standing.iter().all(|uuid| said.text.contains(uuid));
            let has_looked = |made: &Made| {
                let known = made.process.and_then(|p| self.known.get(&p));
                known.is_some_and(|known| known.has_looked && known.ended >= last_at)
            };
            // What was put back remembers nothing of what was said before.
            let earlier = self.said.iter().filter(|_| !self.put_back.is_empty());
            if all().any(has_looked) && !self.last.values().chain(self.last_of_run.values()).chain(earlier).any(names) {
                let text =
                    format!("row {row} exists {} times with an excuse, and no last output names all", uuids.len());
                return Err(Violation { broken: Broken::TwiceUnnamed, text });
            }
        }
        Ok(())
    }
}
