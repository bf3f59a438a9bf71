//! What is asked, and for which run.

use std::time::Duration;

use crate::request::{RowId, RunId, RunKey, RunMark, Tag};

/// The run whose rows are to be found.
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
    /// None does (`--no-tag`): rows are found by their properties.
    Untagged,
}

impl Identity {
    /// Returns the row that a comment has a genuine tag of.
    pub fn row_of(&self, comment: &str) -> Option<RowId> {
        let tag = Tag::find(comment)?;
        // The mark is cheap to compare, and sorts out the tags of other runs before a hash is made.
        let is_ours = tag.run_mark() == RunMark::of(self.run) && tag.is_of(self.run, &self.key);
        if is_ours { tag.row() } else { None }
    }
}

/// On which terms rows may be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whether the time has come at which a request that is not in the list will not come into it any more: see
    /// [`ripe_at`].
    pub ripe: bool,
    /// How many counted attempts a row may have and still be sent again.
    pub max_attempts: u32,
    /// What shows that the list is complete.
    pub trust: Trust,
}

/// What shows that a list is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It holds the newest requests that the ledger knows as created.
    Proof,
    /// It ended well, and a person vouches for it (`--trust-list`).
    List,
}

/// How long it takes until a request that is not in the list will not come into it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// After an attempt ended (`--settle`).
    pub settle: Duration,
    /// After an attempt started (`--server-limit`): how long the server may work on after its client went away.
    pub server_limit: Duration,
}

/// Which attempts left rows in doubt. All times by [`since_boot`](crate::platform::since_boot).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Those of earlier sessions, or left open by one: how many rows. Nothing is known of their times on this clock.
    pub n_earlier: u64,
    /// The latest of this session; none where it left none in doubt.
    pub own: Option<OwnDoubts>,
}

/// When the attempts of this session were made that left rows in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnDoubts {
    /// When the last of them started.
    pub last_started: Duration,
    /// When the last of them ended.
    pub last_ended: Duration,
}

/// Returns the time from which on the list may be asked for so that a request that is not in it does not exist: when the
/// session began, where nothing is in doubt.
///
/// `began` is when this session began, by the clock that runs during sleep. An attempt of an earlier session ended before it.
///
/// ```
/// use std::time::Duration;
/// use cmbatch::reconcile::{Doubts, OwnDoubts, Waits, ripe_at};
/// let s = Duration::from_secs;
/// let waits = Waits { settle: s(30), server_limit: s(150) };
/// let own = OwnDoubts { last_started: s(1010), last_ended: s(1140) };
/// assert_eq!(ripe_at(s(1000), &Doubts { n_earlier: 0, own: Some(own) }, &waits), s(1170));
/// assert_eq!(ripe_at(s(1000), &Doubts { n_earlier: 2, own: None }, &waits), s(1150));
/// ```
pub fn ripe_at(began: Duration, doubts: &Doubts, waits: &Waits) -> Duration {
    let ripe = |started: Duration, ended: Duration| {
        ended.saturating_add(waits.settle).max(started.saturating_add(waits.server_limit))
    };
    let earlier = (doubts.n_earlier > 0).then(|| ripe(began, began));
    let own = doubts.own.map(|own| ripe(own.last_started, own.last_ended));
    began.max(earlier.unwrap_or_default()).max(own.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_asked_for_when_both_waits_are_over() {
        let s = Duration::from_secs;
        let own =
            |last_started, last_ended| Some(OwnDoubts { last_started: s(last_started), last_ended: s(last_ended) });
        for (n_earlier, own, expected) in [
            (0, None, 1000),
            (1, None, 1150),
            // A quick failure: the server may work on for long.
            (0, own(1001, 1002), 1151),
            // A call that took its whole time-out.
            (0, own(1001, 1131), 1161),
            // The later of both sessions.
            (1, own(1001, 1002), 1151),
            (1, own(990, 991), 1150),
        ] {
            let doubts = Doubts { n_earlier, own };
            let waits = Waits { settle: s(30), server_limit: s(150) };
            assert_eq!(ripe_at(s(1000), &doubts, &waits), s(expected), "{doubts:?}");
        }
        let long = Waits { settle: s(200), server_limit: s(150) };
        assert_eq!(ripe_at(s(1000), &Doubts { n_earlier: 1, own: None }, &long), s(1200));
        let never = Waits { settle: Duration::MAX, server_limit: s(150) };
        assert_eq!(ripe_at(s(1000), &Doubts { n_earlier: 1, own: None }, &never), Duration::MAX);
    }
}
