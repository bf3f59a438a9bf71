//! What is asked of a list, and what is known before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::ledger::RowState;
use crate::request::{Guid, RequestUuid, RowId, RunId, RunKey, RunMark, Tag};

/// The run whose requests are to be found.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The run's id.
    pub run: RunId,
    /// The run's key, which its tags are made with.
    pub key: RunKey,
    /// Whether its requests carry tags.
    pub tagging: Tagging,
}

/// Whether the requests of a run carry tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagging {
    /// Each carries its row's tag.
    Tagged,
    /// None does (`--no-tag`): a person settles what is in doubt.
    Untagged,
}

impl Identity {
    /// Returns whether a tag is genuine and of this run.
    pub fn is_own(&self, tag: &Tag) -> bool {
        // The mark is cheap to compare, and sorts out the tags of other runs before a hash is made.
        tag.run_mark() == RunMark::of(self.run) && tag.is_of(self.run, &self.key)
    }
}

/// What shows that a request is absent which a list does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// What the list shows around it.
    Proof,
    /// It ended well and was asked for late enough, and a person vouches for it (`--trust-list`).
    List,
}

/// How long it takes until a request that is not in the list will not come into it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// How long a list may lag behind what the server did (`--settle`).
    pub settle: Duration,
    /// How long the server may work on after an attempt started, though its client went away (`--server-limit`).
    pub server_limit: Duration,
}

/// When an attempt of this session was made that ended in doubt. Both by the clock that runs during sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtTimes {
    /// When it started, or could have left last.
    pub started: Duration,
    /// When it ended.
    pub ended: Duration,
}

/// The attempts of this session that ended in doubt.
pub type OwnDoubts = BTreeMap<RowId, DoubtTimes>;

impl Waits {
    /// Returns when a list may be asked for that shows an attempt's request to be absent: `settle` after the attempt ended, and
    /// `server_limit` and `settle` after it started. What an earlier session left had ended when this one `began`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cmbatch::reconcile::{DoubtTimes, Waits};
    /// let s = Duration::from_secs;
    /// let waits = Waits { settle: s(30), server_limit: s(125) };
    /// let quick = DoubtTimes { started: s(1010), ended: s(1011) };
    /// assert_eq!(waits.ripe_at(s(1000), Some(quick)), s(1165));
    /// let slow = DoubtTimes { started: s(1010), ended: s(1140) };
    /// assert_eq!(waits.ripe_at(s(1000), Some(slow)), s(1170));
    /// assert_eq!(waits.ripe_at(s(1000), None), s(1155));
    /// ```
    pub fn ripe_at(&self, began: Duration, own: Option<DoubtTimes>) -> Duration {
        self.acted_by(began, own).saturating_add(self.settle)
    }

    /// Returns by when the server has acted on an attempt, where it did at all.
    pub(super) fn acted_by(&self, began: Duration, own: Option<DoubtTimes>) -> Duration {
        let DoubtTimes { started, ended } = own.unwrap_or(DoubtTimes { started: began, ended: began });
        started.saturating_add(self.server_limit).max(ended)
    }
}

/// A row that this session created lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The row.
    pub row: RowId,
    /// Its request.
    pub uuid: RequestUuid,
    /// When the answer came, by the clock that runs during sleep.
    pub at: Duration,
}

/// The one of several absent rows that is sent before the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// None was found absent yet.
    #[default]
    None,
    /// This one was, and is sent alone; a list has to show it.
    Sent(RowId),
    /// A list showed it: what other rows a list does not have is absent, too.
    Seen,
    /// A list shows that it was there already when the one before did not have it: lists of this server prove no absence.
    Refuted {
        /// The row. It may exist twice.
        row: RowId,
        /// The request that was there.
        uuid: RequestUuid,
    },
}

/// What is known when a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The run.
    pub who: &'a Identity,
    /// What shows that a request is absent.
    pub trust: Trust,
    /// How long that takes.
    pub waits: Waits,
    /// How many counted attempts a row may have and still be sent again.
    pub max_attempts: u32,
    /// This session's number.
    pub session: u32,
    /// The first session whose rows are looked for: this one's, or an earlier one's that died before its last look.
    pub audited_from: u32,
    /// When this session began, by the clock that runs during sleep.
    pub began: Duration,
    /// When the list is asked for, by that clock.
    pub asked_at: Duration,
    /// This session's attempts that ended in doubt.
    pub own_doubts: &'a OwnDoubts,
    /// What this session created last.
    pub recent: &'a [Recent],
    /// How soon after it was created a list of this session showed a request, at best: the list lags by no more than that.
    pub lag: Option<Duration>,
    /// Whether a list of this session lacked what was created more than `settle` before it.
    pub lags: bool,
    /// The server's clock (`Date`) at this session's first list; none before it, or where the server does not say.
    pub first_date: Option<Timestamp>,
    /// The row that is sent before others which are absent, too.
    pub probe: Probe,
    /// The server's clock (`Date`) at the list that did not have it; none where the server does not say.
    pub probe_since: Option<Timestamp>,
    /// In which states rows are that may be sent.
    pub may_send: &'static [RowState],
    /// The accounts whose requests from other runs stand for rows that are absent here: those rows are left out (`--already skip`).
    pub leave_out: &'a BTreeSet<Guid>,
    /// How far back requests of other runs count, by the server's clock; none where nobody asks for them.
    pub look_back: Option<Duration>,
    /// How many created rows on each side of a row in doubt a list must hold: [`Asking::N_AROUND`], but for tests.
    pub n_around: usize,
}

impl Asking<'_> {
    /// How many created rows before and behind a row in doubt a list must hold.
    pub const N_AROUND: usize = 100;
}
