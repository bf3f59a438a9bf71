//! Whether a list that does not have a row's request proves that there is none. Each row in doubt is looked at by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::anchors::{Anchor, Anchors, Around, FirstLooks};
use super::ask::{Asking, Trust};
use super::report::{Ambiguity, Firsts, Gap, Loss, WhyLeft};
use super::sight::Sight;
use crate::ledger::{DoubtfulRow, LedgerError, Reader, SessionRecord};
use crate::request::{ErrorCode, RowId};

/// An attempt older than this is absent only from a list that still has finished requests from before it.
const OLD: SignedDuration = SignedDuration::from_hours(1);

/// What became of a row in doubt that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be sent again.
    Pending,
    /// It is not sent again by itself.
    Failed,
}

/// Returns what becomes of a row in doubt that is absent, or none where no list settles it.
///
/// After a 500 the server has looked at the row and not done it, so that it is likely to fail again, and a person decides.
pub(super) fn fate(code: Option<ErrorCode>, counted_attempts: u32, max_attempts: u32) -> Option<Fate> {
    match code {
        // Something stood on the server under the row's tag. A list without it shows that the list has changed, not that
        // nothing was done.
        Some(ErrorCode::Contradicted) => None,
        Some(ErrorCode::ServerError) => Some(Fate::Failed),
        _ if counted_attempts >= max_attempts => Some(Fate::Failed),
        _ => Some(Fate::Pending),
    }
}

/// Why an absence is not proven: the points of the proof, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Point {
    Time,
    Account,
    Unread,
    Around,
    Alike,
    OldEnd,
    NewEnd,
    Archived,
    NoTime,
    Tag,
}

/// A list that ended well, before the rows in doubt that it does not have.
pub(super) struct Proof<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) sight: &'a Sight<'a>,
    pub(super) anchors: &'a Anchors,
    pub(super) looks: &'a FirstLooks,
    pub(super) n_unread: u64,
    pub(super) date: Option<Timestamp>,
    /// How soon after it was created a list of this session showed a request, at best.
    pub(super) lag: Option<Duration>,
    /// Whether a list of this session lacked what was created longer before it than a list may lag.
    pub(super) lags: bool,
    /// The rows that a list had absent before, and that were sent again for it.
    pub(super) found_absent: BTreeSet<RowId>,
    /// Whether lists of this server were seen to lack what was there.
    pub(super) is_refuted: bool,
    /// Whether no row is left that could be sent.
    pub(super) is_idle: bool,
    /// The sessions of the run, to tell accounts and times.
    pub(super) sessions: Vec<SessionRecord>,
}

/// What is missing around the rows of which nothing is proven.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    points: Vec<(Point, u64)>,
    loss: Option<Loss>,
    lost_tags: Firsts<Ambiguity>,
    /// When the first of them may be asked for again.
    pub(super) ripe_at: Option<Duration>,
}

impl Proof<'_> {
    /// Returns whether the absence of a row is proven; else it is told why not.
    pub(super) fn is_proven(&self, around: &Around, unproven: &mut Unproven) -> bool {
        let doubt = &around.doubt;
        let ripe_at = self.ripe_at(doubt);
        let point = if self.asking.asked_at < ripe_at {
            unproven.may_be_at(ripe_at);
            Some(Point::Time)
        } else if self.asking.trust == Trust::List {
            None
        } else {
            self.gap(around, unproven)
        };
        match point {
            Some(point) => unproven.add(point),
            None => return true,
        }
        false
    }

    /// Returns whether a row was sent again because a list did not have it, and its answer was lost again. One on which a process
    /// died may not have been sent at all, and a 500 is an answer.
    pub(super) fn is_lost_again(&self, doubt: &DoubtfulRow) -> bool {
        self.asking.trust == Trust::Proof
            && !matches!(doubt.code, Some(ErrorCode::LeftOpen | ErrorCode::ServerError))
            && self.found_absent.contains(&doubt.row)
    }

    fn ripe_at(&self, doubt: &DoubtfulRow) -> Duration {
        let Asking { waits, began, own_doubts, .. } = self.asking;
        waits.ripe_at(*began, own_doubts.get(&doubt.row).copied())
    }

    fn acted_by(&self, doubt: &DoubtfulRow) -> Duration {
        let Asking { waits, began, own_doubts, .. } = self.asking;
        waits.acted_by(*began, own_doubts.get(&doubt.row).copied())
    }

    /// Returns the first point of the proof that fails.
    fn gap(&self, around: &Around, unproven: &mut Unproven) -> Option<Point> {
        let doubt = &around.doubt;
        if !self.is_same_account(doubt) {
            return Some(Point::Account);
        }
        if self.n_unread > 0 {
            return Some(Point::Unread);
        }
        if let Some(loss) = self.loss(around) {
            unproven.loss.get_or_insert(loss);
            return Some(Point::Around);
        }
        let kind = doubt.request.request_kind();
        let mut near = self.anchors.order[around.before.start..around.behind.end].iter();
        // In a run of many kinds the nearest row of this one may stand far off.
        let is_shown = || self.anchors.last_of_kind.get(&kind).is_some_and(|row| self.sight.seen.has(*row));
        if !near.any(|anchor| anchor.kind == kind) && !is_shown() {
            return Some(Point::Alike);
        }
        if around.before.len() < self.asking.n_around && !self.has_old_end(doubt) {
            return Some(Point::OldEnd);
        }
        // Where nothing is left that a list could show, the first of these rows is sent to see it.
        let is_sign = self.is_idle && !self.lags;
        if around.behind.len() < self.asking.n_around && !is_sign && !self.has_new_end(around) {
            // A list that lags by so much has what was done until then when it is asked for that much later.
            let Some(lag) = self.lag else { return Some(Point::NewEnd) };
            let shown_at = self.acted_by(doubt).saturating_add(lag);
            if self.asking.asked_at < shown_at {
                unproven.may_be_at(shown_at);
                return Some(Point::NewEnd);
            }
        }
        match self.server_time(doubt) {
            None => return Some(Point::NoTime),
            Some((at, age)) if self.may_be_archived(at, age) => return Some(Point::Archived),
            Some(_) => {}
        }
        if let Some(candidates) = self.sight.tagless.of(doubt) {
            unproven.lost_tags.add(Ambiguity { row: doubt.row, candidates });
            return Some(Point::Tag);
        }
        None
    }

    fn session(&self, number: u32) -> Option<&SessionRecord> {
        self.sessions.iter().find(|session| session.number == number)
    }

    fn is_same_account(&self, doubt: &DoubtfulRow) -> bool {
        if doubt.session == self.asking.session {
            return true;
        }
        let account = |number| self.session(number).and_then(SessionRecord::account);
        account(doubt.session) == account(self.asking.session)
    }

    /// Returns what the list lacks of the created rows around a row.
    fn loss(&self, around: &Around) -> Option<Loss> {
        let anchors = &self.anchors.order[around.before.start..around.behind.end];
        let mut loss = Loss { n_expected: anchors.len() as u64, ..Loss::default() };
        for Anchor { row, uuid, .. } in anchors.iter().filter(|anchor| !self.sight.seen.has(anchor.row)) {
            loss.missing.add(Gap { row: *row, uuid: *uuid });
        }
        (loss.missing.n > 0).then_some(loss)
    }

    /// Returns whether the list holds what was its newest before this run's requests.
    fn has_old_end(&self, doubt: &DoubtfulRow) -> bool {
        let look = self.looks.of(doubt.session);
        look.is_some_and(|look| look.newest.iter().all(|uuid| !self.sight.unseen.contains(uuid)))
    }

    /// Returns whether the list shows what was created later than the row can have been.
    fn has_new_end(&self, around: &Around) -> bool {
        let server_limit = self.asking.waits.server_limit;
        let elapsed = |since: Timestamp, at: Timestamp| {
            Duration::try_from(at.duration_since(since)).is_ok_and(|passed| passed > server_limit)
        };
        let doubt = &around.doubt;
        self.anchors.order[around.behind.clone()].iter().any(|anchor| {
            let (session, at) = anchor.made;
            // What an earlier session left had ended when the next one began.
            let began = || self.session(session).map(|session| session.info.started_at);
            let since = if session == doubt.session { Some(doubt.sent_at()) } else { began() };
            since.is_some_and(|since| elapsed(since, at))
        })
    }

    /// Returns whether the list may have left out a request of that time and age because it is old and finished.
    fn may_be_archived(&self, at: Timestamp, age: SignedDuration) -> bool {
        age > OLD && self.sight.oldest_ended.is_none_or(|oldest| oldest >= at)
    }

    /// Returns when an attempt was made by the server's clock, and how long that was before the list. It may be some minutes
    /// more recent than it was, for as long as the session's first list took to come.
    fn server_time(&self, doubt: &DoubtfulRow) -> Option<(Timestamp, SignedDuration)> {
        if let Some(own) = self.asking.own_doubts.get(&doubt.row)
            && self.asking.asked_at.saturating_sub(own.started) <= Duration::from_secs(3600)
        {
            return Some((self.date.unwrap_or(Timestamp::MAX), SignedDuration::ZERO));
        }
        let at = self.looks.server_time(doubt)?;
        Some((at, self.date?.duration_since(at)))
    }
}

impl Unproven {
    /// Notes when a row may be asked for again.
    fn may_be_at(&mut self, at: Duration) {
        self.ripe_at = Some(self.ripe_at.map_or(at, |known| known.min(at)));
    }

    fn add(&mut self, point: Point) {
        match self.points.iter_mut().find(|(known, _)| *known == point) {
            Some((_, n)) => *n += 1,
            None => self.points.push((point, 1)),
        }
    }

    /// Returns why, in words for people.
    pub(super) fn why(mut self, n_unread: u64) -> Vec<WhyLeft> {
        self.points.sort_unstable_by_key(|(point, _)| *point);
        let (loss, lost_tags) = (self.loss.unwrap_or_default(), self.lost_tags);
        let why = |(point, n)| match point {
            Point::Time => WhyLeft::NotRipe { n },
            Point::Account => WhyLeft::OtherAccount { n },
            Point::Unread => WhyLeft::Unread { n, n_unread },
            Point::Around => WhyLeft::Incomplete { n, loss: loss.clone() },
            Point::Alike => WhyLeft::NothingAlike { n },
            Point::OldEnd => WhyLeft::OldEnd { n },
            Point::NewEnd => WhyLeft::NewEnd { n },
            Point::Archived => WhyLeft::Archived { n },
            Point::NoTime => WhyLeft::NoTime { n },
            Point::Tag => WhyLeft::LostTag(lost_tags.clone()),
        };
        self.points.into_iter().map(why).collect()
    }

    /// Returns whether a later list may prove more, with nothing else changed: time passes, and a list catches up.
    pub(super) fn may_improve(&self) -> bool {
        self.points.iter().any(|(point, _)| match point {
            Point::Time | Point::Around | Point::OldEnd | Point::NewEnd => true,
            Point::Account | Point::Unread | Point::Alike | Point::Archived | Point::NoTime | Point::Tag => false,
        })
    }
}

/// Reads all rows in doubt.
pub(super) fn read_doubts(reader: &Reader) -> Result<Vec<DoubtfulRow>, LedgerError> {
    const PAGE: u32 = 1000;
    let mut all: Vec<DoubtfulRow> = Vec::new();
    loop {
        let page = reader.in_doubt(all.last().map_or(0, |doubt| doubt.row.get()), PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Returns the rows of a list of rows that are in doubt because a list contradicted them.
pub(super) fn contradicted(anchors: &Anchors) -> Vec<RowId> {
    let is_so = |around: &&Around| around.doubt.code == Some(ErrorCode::Contradicted);
    anchors.around.iter().filter(is_so).map(|around| around.doubt.row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_proven_absent_is_sent_again_unless_the_server_failed_or_its_attempts_are_used_up() {
        for (code, counted, expected) in [
            (None, 0, Some(Fate::Pending)),
            (Some(ErrorCode::Timeout), 1, Some(Fate::Pending)),
            (Some(ErrorCode::Timeout), 4, Some(Fate::Pending)),
            (Some(ErrorCode::Timeout), 5, Some(Fate::Failed)),
            (Some(ErrorCode::LeftOpen), 0, Some(Fate::Pending)),
            (Some(ErrorCode::LeftOpen), 7, Some(Fate::Failed)),
            (Some(ErrorCode::NoUri), 1, Some(Fate::Pending)),
            (Some(ErrorCode::ServerError), 0, Some(Fate::Failed)),
            (Some(ErrorCode::Contradicted), 0, None),
            (Some(ErrorCode::Contradicted), 9, None),
        ] {
            assert_eq!(fate(code, counted, 5), expected, "{code:?} after {counted}");
        }
    }
}
