//! What is seen while a list passes by, and what it comes to at its end.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use jiff::Timestamp;

use super::ask::{Asking, Identity, Tagging};
use super::hits::{Strangers, has_ended, stands};
use super::matching::{Disagreement, disagreements};
use super::report::{Double, Firsts, MAX_FOUND, Stray, TakenOver};
use super::tagless::Tagless;
use crate::client::{RequestObject, RequestStatus};
use crate::ledger::{
    CreatedMarks, Finding, FindingKind, FirstLook, LedgerError, OpenFinding, Reader, Resolution, RowFacts, RowState,
    RowVerdict, Source,
};
use crate::request::{Guid, RequestKind, RequestUuid, RowId, RunMark, Tag};

/// One bit a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn set(&mut self, row: RowId) {
        let word = row.get() as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row.get() % 64);
    }

    pub(super) fn has(&self, row: RowId) -> bool {
        self.0.get(row.get() as usize / 64).is_some_and(|word| word & (1 << (row.get() % 64)) != 0)
    }
}

/// A request with a row's tag that the ledger does not have as that row's.
#[derive(Clone, Debug)]
struct Tagged {
    row: RowId,
    uuid: RequestUuid,
    /// When it was submitted, in milliseconds since 1970; the greatest number where the server does not say.
    submitted_ms: i64,
    before: RowState,
    /// The request that the ledger has as the row's.
    known: Option<RequestUuid>,
    /// Whether it was not denied, canceled or the like.
    stands: bool,
    /// Whether another account made it than those that this run's requests are known to be of.
    is_strangers: bool,
    /// In what it is not what the row asked for, in words; nothing where it is.
    differs: Option<Box<str>>,
}

/// A row that a list shows to be created, as this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exists {
    pub(super) row: RowId,
    pub(super) uuid: RequestUuid,
    pub(super) before: RowState,
    /// When it was submitted, in milliseconds since 1970; the greatest number where the server does not say.
    pub(super) submitted_ms: i64,
}

/// A row of which a list says what cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) row: RowId,
    pub(super) reason: Box<str>,
}

/// Reads a list for one run. What it keeps grows with the rows that are not known as created, and hardly with the list.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    asking: &'a Asking<'a>,
    own: RunMark,
    marks: CreatedMarks,
    /// The rows whose known request was seen, with its tag.
    pub(super) seen: Bits,
    /// The rows whose known request was seen without its tag.
    pub(super) untagged: Bits,
    tagged: Vec<Tagged>,
    /// Created rows whose requests are for another target, template or card.
    wrong: Vec<Contradiction>,
    pub(super) strays: Firsts<Stray, MAX_FOUND>,
    pub(super) strangers: Strangers,
    pub(super) tagless: Tagless,
    newest: BinaryHeap<std::cmp::Reverse<(Timestamp, RequestUuid)>>,
    /// Requests that the list is watched for, and that it has not shown yet.
    pub(super) unseen: BTreeSet<RequestUuid>,
    /// Rows that were skipped for these requests of other runs.
    skipped: Vec<(RowId, RequestUuid)>,
    /// What became of the requests for which rows were skipped, and of those that findings are about; none while not shown.
    watched: BTreeMap<RequestUuid, Option<RequestStatus>>,
    /// The submission of the oldest request that has ended.
    pub(super) oldest_ended: Option<Timestamp>,
    /// The account that made this run's requests, as those that it was answered with say.
    pub(super) originator: Option<Guid>,
    /// The accounts that earlier lists said so of.
    accounts: BTreeSet<Guid>,
    /// The rows that are the first of their kind, where they are not looked at yet.
    firsts: BTreeMap<RowId, RequestKind>,
    pub(super) kinds_seen: Vec<RequestKind>,
    /// A request that this session did not send, submitted after its first list.
    pub(super) not_ours: Option<(RowId, RequestUuid)>,
}

/// What a list that ended well says of the rows.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By row, one of each: rows that are created, and created rows that are another request than the ledger has.
    pub(super) exists: Vec<Exists>,
    /// By row, one of each; of rows that are not in `exists`.
    pub(super) contradictions: Vec<Contradiction>,
    pub(super) doubles: Firsts<Double, MAX_FOUND>,
    /// What is not sent any more, because the row that it was to stand for exists.
    pub(super) stood_for: Vec<Resolution>,
    /// Rows that are another request than was answered, which the list does not have.
    pub(super) answered: Firsts<(RowId, [RequestUuid; 2]), MAX_FOUND>,
    /// Rows that the ledger had as not sent.
    pub(super) taken_over: Firsts<TakenOver>,
}

impl<'a> Sight<'a> {
    pub(super) fn new(
        asking: &'a Asking<'a>,
        reader: &Reader,
        tagless: Tagless,
        unseen: BTreeSet<RequestUuid>,
    ) -> Result<Self, LedgerError> {
        let firsts = reader.kinds()?.into_iter().filter(|kind| kind.read_back.is_none());
        let skipped = reader.skipped_elsewhere()?;
        let found = reader.open_findings()?.into_iter().flat_map(|open| open.finding.uuids);
        let watched = skipped.iter().map(|(_, uuid)| *uuid).chain(found).map(|uuid| (uuid, None)).collect();
        Ok(Self {
            asking,
            own: RunMark::of(asking.who.run),
            marks: reader.created_marks()?,
            seen: Bits::default(),
            untagged: Bits::default(),
            tagged: Vec::new(),
            wrong: Vec::new(),
            strays: Firsts::default(),
            strangers: Strangers::default(),
            tagless,
            newest: BinaryHeap::new(),
            unseen,
            skipped,
            watched,
            oldest_ended: None,
            originator: None,
            accounts: reader.originators()?,
            firsts: firsts.map(|kind| (kind.row, kind.kind)).collect(),
            kinds_seen: Vec::new(),
            not_ours: None,
        })
    }

    /// Takes note of a request in the list.
    pub(super) fn take(
        &mut self,
        date: Option<Timestamp>,
        object: &RequestObject,
        reader: &Reader,
    ) -> Result<(), LedgerError> {
        self.note(object);
        let (mut has_tag, mut has_own) = (false, false);
        for tag in Tag::all_in(&object.comment) {
            has_tag = true;
            let is_rows = tag.run_mark() == self.own && self.take_own(&tag, object, reader)?;
            has_own |= is_rows;
            if !is_rows && let Some(look_back) = self.asking.look_back {
                let since = date.and_then(|date| date.checked_sub(look_back).ok());
                self.strangers.take(object, &tag, since, reader)?;
            }
        }
        if !has_own && self.marks.has_uuid(object.uuid) {
            self.take_answered(object, reader)?;
        }
        // Without a tag the request may be anybody's.
        if !has_tag {
            self.tagless.take(object);
        }
        Ok(())
    }

    fn note(&mut self, object: &RequestObject) {
        self.unseen.remove(&object.uuid);
        if let Some(status) = self.watched.get_mut(&object.uuid) {
            *status = Some(object.status);
        }
        if let Some(at) = object.submitted {
            if has_ended(object.status) {
                self.oldest_ended = Some(self.oldest_ended.map_or(at, |oldest| oldest.min(at)));
            }
            self.newest.push(std::cmp::Reverse((at, object.uuid)));
            if self.newest.len() > FirstLook::MAX_NEWEST {
                self.newest.pop();
            }
        }
    }

    /// Takes note of a tag that may be this run's; returns whether it is one of its rows'.
    fn take_own(&mut self, tag: &Tag, object: &RequestObject, reader: &Reader) -> Result<bool, LedgerError> {
        let Identity { tagging, .. } = self.asking.who;
        let Some(row) = tag.row().filter(|_| *tagging == Tagging::Tagged && self.asking.who.is_own(tag)) else {
            return Ok(false);
        };
        if self.marks.has(row, object.uuid, object.target, object.template) && !self.firsts.contains_key(&row) {
            self.seen.set(row);
            self.originator = object.originator.or(self.originator);
            return Ok(true);
        }
        let facts = reader.facts(row)?;
        let request = facts.as_ref().and_then(|facts| facts.request.as_ref());
        let (Some(facts), Some(request)) = (&facts, request) else {
            self.stray(row, object, facts.as_ref());
            return Ok(false);
        };
        if request.fingerprint() != tag.fingerprint() {
            self.stray(row, object, Some(facts));
            return Ok(false);
        }
        let differs = disagreements(request, None, object);
        if facts.uuid == Some(object.uuid) {
            self.originator = object.originator.or(self.originator);
            self.take_known(row, object.uuid, &differs);
            return Ok(true);
        }
        let differs: Vec<String> = differs.iter().map(ToString::to_string).collect();
        self.tagged.push(Tagged {
            row,
            uuid: object.uuid,
            submitted_ms: object.submitted.map_or(i64::MAX, Timestamp::as_millisecond),
            before: facts.state,
            known: facts.uuid,
            stands: stands(object.status),
            is_strangers: !self.accounts.is_empty()
                && object.originator.is_some_and(|account| !self.accounts.contains(&account)),
            differs: (!differs.is_empty()).then(|| differs.join("; ").into()),
        });
        self.is_ours(row, object, Some(facts));
        Ok(true)
    }

    /// Takes note of a request that a row was answered with, and that does not carry the row's tag.
    fn take_answered(&mut self, object: &RequestObject, reader: &Reader) -> Result<(), LedgerError> {
        let Some(row) = reader.row_of_uuid(object.uuid)? else { return Ok(()) };
        let request = reader.facts(row)?.and_then(|facts| facts.request);
        let differs = request.map(|request| disagreements(&request, None, object)).unwrap_or_default();
        self.take_wrong(row, object.uuid, &differs);
        self.untagged.set(row);
        Ok(())
    }

    /// Takes note of the request that a created row is known as. What the server does not say is no sign against its answer.
    fn take_known(&mut self, row: RowId, uuid: RequestUuid, differs: &[Disagreement]) {
        if self.take_wrong(row, uuid, differs) {
            return;
        }
        self.seen.set(row);
        if let Some(kind) = self.firsts.remove(&row).filter(|_| differs.is_empty()) {
            self.kinds_seen.push(kind);
        }
    }

    /// Takes note of a row that is known as a request for something else; returns whether it is.
    fn take_wrong(&mut self, row: RowId, uuid: RequestUuid, differs: &[Disagreement]) -> bool {
        let said = differs.iter().filter(|one| !one.is_unnamed()).map(ToString::to_string).collect::<Vec<_>>();
        if !said.is_empty() {
            let reason = format!("its request {uuid} is not what was asked for: {}", said.join("; ")).into();
            self.wrong.push(Contradiction { row, reason });
        }
        !said.is_empty()
    }

    fn stray(&mut self, row: RowId, object: &RequestObject, facts: Option<&RowFacts>) {
        self.strays.add(Stray { row, uuid: object.uuid, state: facts.map(|facts| facts.state) });
        self.is_ours(row, object, facts);
    }

    /// Takes note of a request that is this run's, was submitted after this session began, and was not sent by it.
    fn is_ours(&mut self, row: RowId, object: &RequestObject, facts: Option<&RowFacts>) {
        let Asking { session, first_date, waits, .. } = self.asking;
        let is_sent_here = facts.is_some_and(|facts| facts.session == Some(*session));
        let late = first_date.and_then(|date| date.checked_add(waits.server_limit).ok());
        let is_late = late.zip(object.submitted).is_some_and(|(late, submitted)| submitted > late);
        if !is_sent_here && is_late {
            self.not_ours.get_or_insert((row, object.uuid));
        }
    }

    /// Returns the newest requests of the list, whoever made them.
    pub(super) fn newest(&self) -> Vec<RequestUuid> {
        let mut newest: Vec<_> = self.newest.iter().map(|std::cmp::Reverse(one)| *one).collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.into_iter().map(|(_, uuid)| uuid).collect()
    }

    /// Returns the requests for which rows were skipped and that came to nothing, or are gone.
    pub(super) fn come_to_nothing(&self) -> Vec<(RowId, RequestUuid, Option<RequestStatus>)> {
        let with_status = self.skipped.iter().map(|(row, uuid)| (*row, *uuid, self.status(*uuid)));
        with_status.filter(|(_, _, status)| status.is_none_or(|status| !stands(status))).collect()
    }

    /// Returns what became of a request that is watched; none where the list does not have it.
    fn status(&self, uuid: RequestUuid) -> Option<RequestStatus> {
        self.watched.get(&uuid).copied().flatten()
    }

    /// Returns the open findings that this list does not close. What it does not show may be hidden, and closes nothing.
    pub(super) fn still_open(&self, open: Vec<OpenFinding>) -> Vec<Finding> {
        let is_over = |uuid: &&RequestUuid| self.status(**uuid).is_some_and(|status| !stands(status));
        let is_open = |finding: &Finding| {
            let uuids = &finding.uuids;
            let n_left = uuids.len() - uuids.iter().filter(is_over).count();
            match finding.kind {
                // Of one that was there before its row was sent again, only the other one is not known.
                FindingKind::Double | FindingKind::Elsewhere => n_left >= uuids.len().clamp(1, 2),
                FindingKind::Unsent => n_left > 0,
                FindingKind::Missing => uuids.iter().any(|uuid| self.status(*uuid).is_none()),
                // Told anew by each list.
                FindingKind::SkippedGone => false,
            }
        };
        open.into_iter().map(|open| open.finding).filter(is_open).collect()
    }

    /// Sums up a list that ended well: tags decide which request is whose.
    pub(super) fn finish(&mut self, reader: &Reader) -> Result<Seen, LedgerError> {
        let mut seen = Seen::default();
        self.drop_copies(reader)?;
        self.tagged.sort_by_key(|tagged| {
            (tagged.row, tagged.differs.is_some(), !tagged.stands, tagged.submitted_ms, tagged.uuid)
        });
        self.tagged.dedup_by_key(|tagged| (tagged.row, tagged.uuid));
        for same in self.tagged.chunk_by(|a, b| a.row == b.row) {
            let [first, ..] = same else { continue };
            let known = first.known.filter(|_| self.seen.has(first.row));
            // One that came to nothing is not too many.
            let standing = same.iter().filter(|tagged| tagged.stands).map(|tagged| tagged.uuid);
            let uuids: Vec<RequestUuid> = known.into_iter().chain(standing).collect();
            if uuids.len() > 1 {
                seen.doubles.add(Double { row: first.row, uuids });
            }
            if known.is_some() {
                continue;
            }
            match &first.differs {
                // One that came to nothing, and is not what was asked for, keeps nobody from asking for that; and whoever copies a
                // comment says nothing of the row that was answered with another one.
                Some(_) if !first.stands && first.before != RowState::InDoubt => {}
                Some(_) if first.before == RowState::Created && first.is_strangers => {}
                Some(differs) => seen.contradictions.push(Contradiction {
                    row: first.row,
                    reason: format!("request {} carries the row's tag and is not the row's: {differs}", first.uuid)
                        .into(),
                }),
                None => {
                    let Tagged { row, uuid, before, submitted_ms, .. } = *first;
                    seen.exists.push(Exists { row, uuid, before, submitted_ms });
                    self.kinds_seen.extend(self.firsts.remove(&first.row));
                }
            }
        }
        let is_settled = |wrong: &Contradiction| seen.speaks_of(wrong.row);
        let wrong: Vec<_> = std::mem::take(&mut self.wrong).into_iter().filter(|wrong| !is_settled(wrong)).collect();
        seen.contradictions.extend(wrong);
        seen.contradictions.sort_by_key(|contradiction| contradiction.row);
        seen.contradictions.dedup_by_key(|contradiction| contradiction.row);
        self.decide_shared(reader, &mut seen)?;
        let mut replaced = Vec::new();
        for Exists { row, uuid, before, .. } in &seen.exists {
            match before {
                // What it was answered with is not there, or is another row's.
                RowState::Created => continue,
                RowState::InDoubt | RowState::Sending => {}
                RowState::Skipped => {
                    let dropped_by = reader.dropped_by(*row)?;
                    seen.taken_over.add(TakenOver { row: *row, uuid: *uuid, was: *before, dropped_by });
                }
                RowState::Replaced => {
                    seen.taken_over.add(TakenOver { row: *row, uuid: *uuid, was: *before, dropped_by: None });
                    replaced.push((*row, *uuid));
                }
                RowState::Pending | RowState::Failed | RowState::Invalid => {
                    seen.taken_over.add(TakenOver { row: *row, uuid: *uuid, was: *before, dropped_by: None });
                }
            }
            self.seen.set(*row);
        }
        for (row, uuid) in replaced {
            seen.stand_in(row, uuid, reader)?;
        }
        Ok(seen)
    }

    /// A comment that was copied from an earlier request holds that one's tag, too: a request belongs to the row that it is known
    /// as or agrees with. Where it agrees with several, it is nobody's.
    fn drop_copies(&mut self, reader: &Reader) -> Result<(), LedgerError> {
        let mut kept = Vec::new();
        for tagged in std::mem::take(&mut self.tagged) {
            let owner = reader.row_of_uuid(tagged.uuid)?.filter(|owner| *owner != tagged.row);
            if owner.is_none_or(|owner| !self.seen.has(owner)) {
                kept.push(tagged);
            }
        }
        kept.sort_by_key(|tagged| (tagged.uuid, tagged.differs.is_some(), tagged.row));
        kept.dedup_by_key(|tagged| (tagged.uuid, tagged.row));
        for same in kept.chunk_by_mut(|a, b| a.uuid == b.uuid) {
            let n_agreeing = same.partition_point(|tagged| tagged.differs.is_none());
            let n_kept = if n_agreeing == 0 { same.len() } else { n_agreeing };
            if n_agreeing > 1 {
                same[..n_kept]
                    .iter_mut()
                    .for_each(|tagged| tagged.differs = Some("it carries several rows' tags".into()));
            }
            self.tagged.extend_from_slice(&same[..n_kept]);
        }
        Ok(())
    }

    /// A created row whose request carries another row's tag is in doubt again, unless its own tag stands on another one.
    fn decide_shared(&self, reader: &Reader, seen: &mut Seen) -> Result<(), LedgerError> {
        for Tagged { row, uuid, known, .. } in &self.tagged {
            if let Some(other) = reader.row_of_uuid(*uuid)?.filter(|other| other != row)
                && !seen.speaks_of(other)
            {
                let reason = format!("its request {uuid} carries the tag of row {row}").into();
                seen.contradictions.push(Contradiction { row: other, reason });
                seen.contradictions.sort_by_key(|contradiction| contradiction.row);
            }
            // What was answered for the row, and is neither seen under its tag nor under another one's, may exist beside it.
            if let Some(known) = known.filter(|_| !self.seen.has(*row))
                && !self.tagged.iter().any(|other| other.uuid == known)
                && seen.exists.iter().any(|exists| exists.row == *row)
            {
                seen.answered.add((*row, [*uuid, known]));
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Takes note that a row exists for which another one stands: that one is not sent any more, or both exist.
    fn stand_in(&mut self, row: RowId, uuid: RequestUuid, reader: &Reader) -> Result<(), LedgerError> {
        let Some(other) = reader.page(row.get() - 1, 1, &[])?.first().and_then(|row| row.replaced_by) else {
            return Ok(());
        };
        let Some(facts) = reader.facts(other)? else { return Ok(()) };
        match facts.state {
            RowState::Created | RowState::InDoubt | RowState::Sending => {
                self.doubles.add(Double { row, uuids: std::iter::once(uuid).chain(facts.uuid).collect() });
            }
            RowState::Pending | RowState::Failed => self.stood_for.push(Resolution {
                row: other,
                verdict: RowVerdict::Elsewhere(uuid),
                source: Source::List,
                reason: Some(format!("row {row}, which it was to stand for, exists as {uuid}")),
            }),
            RowState::Invalid | RowState::Skipped | RowState::Replaced => {}
        }
        Ok(())
    }

    /// Returns the request that the list newly has as a row's.
    pub(super) fn found(&self, row: RowId) -> Option<&Exists> {
        self.exists.binary_search_by_key(&row, |found| found.row).ok().map(|at| &self.exists[at])
    }

    /// Returns whether the list says anything of a row, so that it is not absent.
    pub(super) fn speaks_of(&self, row: RowId) -> bool {
        self.found(row).is_some() || self.contradictions.binary_search_by_key(&row, |found| found.row).is_ok()
    }
}
