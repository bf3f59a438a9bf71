//! Reading the list once, and settling rows by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::anchors::{Anchors, FirstLooks};
use super::ask::{Asking, Probe, Recent, Tagging, Trust};
use super::lists::{ListRead, Lists, read_list};
use super::proof::{Fate, Proof, Unproven, contradicted, fate, read_doubts};
use super::report::{Ambiguity, Audit, Firsts, Gap, MAX_FOUND, Report, WhyLeft};
use super::sight::{Contradiction, Exists, Seen, Sight};
use super::tagless::{self, Tagless};
use crate::client::{ListItem, ListTimeouts};
use crate::ledger::{
    Finding, FindingKind, FirstLook, Ledger, LedgerError, Reader, Resolution, RowState, RowVerdict, Source,
};
use crate::request::{RequestUri, RequestUuid, RowId};

/// How many rows are settled at once.
const BATCH: usize = 1000;
/// How many rows are named that are in doubt because of what a list says.
const MAX_NAMED: usize = 5;

/// Reads the server's list once and settles rows by it: those that it has are created; those in doubt that it does not have are
/// absent, where what it shows around them proves that. Tags decide which request is whose.
///
/// A list that cannot be read to its end settles nothing, which is no error: the report says so. What is settled is durable
/// when this returns; it is recorded in batches, so that whatever ends the process on the way leaves some rows settled and the
/// others as they were. No call may be in flight meanwhile.
///
/// Memory hardly grows with the list: 4 bytes and a bit for each created row; a row in doubt and the created ones around it take
/// some kilobytes.
///
/// # Errors
/// The ledger cannot be read or written.
pub async fn look(
    ledger: &Ledger,
    reader: &Reader,
    lists: &impl Lists,
    timeouts: ListTimeouts,
    asking: &Asking<'_>,
) -> Result<Report, LedgerError> {
    let anchors = Anchors::read(reader, read_doubts(reader)?, asking.n_around)?;
    let sessions = reader.sessions()?;
    let looks = FirstLooks::of_sessions(&sessions, &anchors, asking.session);
    let tagless = Tagless::since(anchors.around.iter().map(|around| tagless::since(&around.doubt, &looks)).min());
    let watched = looks.uuids().chain(asking.recent.iter().map(|recent| recent.uuid)).collect();
    let mut sight = Sight::new(asking, reader, tagless, watched)?;
    let list = read_list(lists, timeouts, |date, item| match item {
        ListItem::Request(object) => sight.take(date, object, reader),
        ListItem::Unread { .. } => Ok(()),
    })
    .await?;
    let ListRead { n_read, n_unread, date, end } = list;
    let mut report = Report { read: n_read, unread: n_unread, date, ..Report::default() };
    match end {
        Err(error) => report.unreadable = Some(error),
        Ok(()) => {
            sight.tagless.order();
            let seen = sight.finish(reader)?;
            // A row gives up another one's request before that one is settled by it.
            settle_contradicted(ledger, &seen, &anchors, &mut report).await?;
            settle_found(ledger, &seen, &mut report).await?;
            report.lag = lag(asking, &sight);
            report.lags = asking.lags || lags(asking, &sight);
            report.probe = probe(asking, &sight, &seen);
            let still_open = sight.still_open(reader.open_findings()?);
            let found_absent = reader.found_absent()?;
            let proof = Proof {
                asking,
                sight: &sight,
                anchors: &anchors,
                looks: &looks,
                n_unread,
                date,
                lag: report.lag,
                lags: report.lags,
                is_refuted: is_refuted(report.probe, &still_open, &seen, &found_absent),
                found_absent,
                is_idle: !reader.tallies()?.iter().any(|tally| tally.state == RowState::Pending),
                sessions,
            };
            let states = [asking.may_send, &[RowState::InDoubt]].concat();
            report.hits = sight.strangers.hits(reader, &states)?;
            settle_absent(ledger, &proof, &seen, &mut report).await?;
            let found_absent = proof.found_absent;
            // What it found is in it.
            seen.exists.iter().for_each(|found| sight.seen.set(found.row));
            report.audit = audit(&sight, asking, &found_absent, reader)?;
            report.audit.still_open = still_open;
            report.audit.n_old_end = looks.n_last_in(&sight.unseen);
            report.first_look = FirstLook { date, newest: sight.newest(), account: None, originator: sight.originator };
            report.kinds_seen = std::mem::take(&mut sight.kinds_seen);
            report.not_ours = sight.not_ours;
            report.strays = std::mem::take(&mut sight.strays);
            report.doubles = seen.doubles;
            report.answered = seen.answered;
            report.taken_over = seen.taken_over;
        }
    }
    report.left = reader.n_in_doubt()?;
    Ok(report)
}

/// Records the rows that the list has as created.
async fn settle_found(ledger: &Ledger, seen: &Seen, report: &mut Report) -> Result<(), LedgerError> {
    let exists = |found: &Exists| Resolution {
        row: found.row,
        verdict: RowVerdict::Exists(
            RequestUri::published(found.uuid).expect("the list's reader takes no zero uuid for a request"),
        ),
        source: Source::List,
        reason: Some("found in the server's list by its tag".to_owned()),
    };
    // Created rows may exchange their requests: all of them at once.
    let (corrected, others): (Vec<&Exists>, Vec<&Exists>) =
        seen.exists.iter().partition(|found| found.before == RowState::Created);
    if !corrected.is_empty() {
        ledger.resolve(corrected.iter().map(|found| exists(found)).collect(), None).await?;
    }
    for batch in others.chunks(BATCH) {
        ledger.resolve(batch.iter().map(|found| exists(found)).collect(), None).await?;
    }
    if !seen.stood_for.is_empty() {
        ledger.resolve(seen.stood_for.clone(), None).await?;
    }
    report.corrected = corrected.len() as u64;
    report.found = seen.exists.iter().filter(|found| found.before == RowState::InDoubt).count() as u64;
    Ok(())
}

/// Records the rows of which the list says what cannot be, where that is new, and names those that are in doubt for it, also
/// from an earlier list.
async fn settle_contradicted(
    ledger: &Ledger,
    seen: &Seen,
    anchors: &Anchors,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let known = contradicted(anchors);
    let is_new = |found: &&Contradiction| known.binary_search(&found.row).is_err();
    let resolutions: Vec<_> = seen
        .contradictions
        .iter()
        .filter(is_new)
        .map(|found| Resolution {
            row: found.row,
            verdict: RowVerdict::Contradicted,
            source: Source::List,
            reason: Some(found.reason.to_string()),
        })
        .collect();
    if !resolutions.is_empty() {
        ledger.resolve(resolutions, None).await?;
    }
    report.contradicted = seen.contradictions.len() as u64;
    let unseen = known.into_iter().filter(|row| !seen.speaks_of(*row));
    let rows: Vec<RowId> = seen.contradictions.iter().map(|found| found.row).chain(unseen).collect();
    if !rows.is_empty() {
        let first = rows.iter().copied().take(MAX_NAMED).collect();
        report.why_left.push(WhyLeft::Contradicted { n: rows.len() as u64, first });
    }
    Ok(())
}

/// Returns whether a list shows the request that a row was answered with, as the row's. An older one of the row says nothing of how
/// fresh the list is.
fn is_shown(recent: &Recent, sight: &Sight<'_>) -> bool {
    !sight.unseen.contains(&recent.uuid) && sight.seen.has(recent.row)
}

/// Returns how soon after it was created this list or an earlier one showed a request, at best.
fn lag(asking: &Asking<'_>, sight: &Sight<'_>) -> Option<Duration> {
    let shown = asking.recent.iter().filter(|recent| is_shown(recent, sight));
    shown.map(|recent| asking.asked_at.saturating_sub(recent.at)).chain(asking.lag).min()
}

/// Returns whether this list lacks what was created longer before it than a list may lag.
fn lags(asking: &Asking<'_>, sight: &Sight<'_>) -> bool {
    let is_due = |recent: &&Recent| recent.at.saturating_add(asking.waits.settle) < asking.asked_at;
    asking.recent.iter().filter(is_due).any(|recent| !is_shown(recent, sight))
}

/// Returns what this list says of the row that was sent alone. It is a sign only where its own request shows, and no other: one of an
/// earlier attempt that shows now was missing in the list that had it absent, and so may others be.
fn probe(asking: &Asking<'_>, sight: &Sight<'_>, seen: &Seen) -> Probe {
    let before = asking.probe;
    let was_there =
        |found: &&Exists| asking.probe_since.is_some_and(|since| found.submitted_ms < since.as_millisecond());
    match before {
        Probe::Sent(row) if let Some(Exists { uuid, .. }) = seen.found(row).filter(was_there) => {
            Probe::Refuted { row, uuid: *uuid }
        }
        Probe::Sent(row) if seen.doubles.first.iter().any(|double| double.row == row) => before,
        Probe::Sent(row) if seen.answered.first.iter().any(|(answered, _)| *answered == row) => before,
        // Whichever of its requests that is.
        Probe::Sent(row) if seen.speaks_of(row) => Probe::None,
        Probe::Sent(row) if sight.seen.has(row) => Probe::Seen,
        Probe::None | Probe::Sent(_) | Probe::Seen | Probe::Refuted { .. } => before,
    }
}

/// Returns whether lists of this server were seen to lack what was there, so that a row was sent again: more than one request may
/// be that row's, or none shows.
fn is_refuted(probe: Probe, still_open: &[Finding], seen: &Seen, found_absent: &BTreeSet<RowId>) -> bool {
    let is_of_it = |finding: &Finding| {
        matches!(finding.kind, FindingKind::Double | FindingKind::Missing)
            && finding.row.is_some_and(|row| found_absent.contains(&row))
    };
    matches!(probe, Probe::Refuted { .. })
        || still_open.iter().any(is_of_it)
        || seen.doubles.first.iter().any(|double| found_absent.contains(&double.row))
}

/// Records the rows in doubt that the list does not have as absent, where that is proven; else says why it is not.
///
/// A row is sent again for that once: one whose answer is lost each time, and that no list shows, may come to be each time, too.
///
/// Of several that may be sent again the first goes alone: the list may hide them all for a reason that nobody thought of, and
/// then it hides that one's request, too.
async fn settle_absent(
    ledger: &Ledger,
    proof: &Proof<'_>,
    seen: &Seen,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let asking = proof.asking;
    let not_seen: Vec<_> = proof.anchors.around.iter().filter(|around| !seen.speaks_of(around.doubt.row)).collect();
    if asking.who.tagging == Tagging::Untagged {
        let mut untagged = Firsts::default();
        for around in not_seen {
            let candidates = proof.sight.tagless.of(&around.doubt).unwrap_or_default();
            untagged.add(Ambiguity { row: around.doubt.row, candidates });
        }
        if untagged.n > 0 {
            report.why_left.push(WhyLeft::Untagged(untagged));
        }
        return Ok(());
    }
    let mut unproven = Unproven::default();
    let (mut again, mut failed, mut elsewhere, mut lost_again) =
        (Vec::new(), Vec::new(), Vec::new(), Firsts::default());
    let mut n_refuted = 0;
    // A list that hides one row may hide others: none of them goes before a person has looked at that one.
    let is_refuted = proof.is_refuted && asking.trust == Trust::Proof
        || not_seen.iter().any(|around| proof.is_lost_again(&around.doubt));
    for around in not_seen {
        let doubt = &around.doubt;
        let Some(fate) = fate(doubt.code, doubt.counted_attempts, asking.max_attempts) else { continue };
        if proof.is_proven(around, &mut unproven) {
            let other = report.hits.of(&doubt.request);
            let other = other.filter(|hit| hit.originator.is_some_and(|account| asking.leave_out.contains(&account)));
            match (fate, other) {
                _ if proof.is_lost_again(doubt) => lost_again.add(doubt.row),
                _ if is_refuted => n_refuted += 1,
                (Fate::Pending, Some(hit)) => elsewhere.push(hit.leaves_out(doubt.row)),
                (Fate::Pending, None) => again.push(doubt.row),
                (Fate::Failed, _) => failed.push(doubt.row),
            }
        }
    }
    let may_improve = unproven.may_improve();
    if may_improve {
        report.ask_again_at = Some(unproven.ripe_at.unwrap_or(asking.asked_at + asking.waits.settle));
    }
    report.why_left.extend(unproven.why(proof.n_unread));
    if n_refuted > 0 {
        report.why_left.push(WhyLeft::Refuted { n: n_refuted });
    }
    if let Some(first) = lost_again.first.first() {
        report.why_left.push(WhyLeft::LostAgain { n: lost_again.n, first: *first });
    }
    report.lost_again = lost_again;
    match (report.probe, again.first().copied()) {
        (Probe::None, Some(first)) => {
            report.probe = Probe::Sent(first);
            // The others are looked at again when a list has shown this one.
            again.truncate(1);
        }
        // Its process died on it.
        (Probe::Sent(row), _) if again.contains(&row) => again = vec![row],
        (Probe::Sent(row), Some(_)) => {
            report.why_left.push(WhyLeft::Probe { n: again.len() as u64, row });
            report.ask_again_at.get_or_insert(asking.asked_at + asking.waits.settle);
            again.clear();
        }
        (Probe::None | Probe::Sent(_), None) | (Probe::Seen | Probe::Refuted { .. }, _) => {}
    }
    let reason = match asking.trust {
        Trust::Proof => "the server's list has what was created around it, and not this",
        Trust::List => "the server's list does not have it (trusted without proof)",
    };
    for batch in again.chunks(BATCH) {
        ledger.resolve(batch.iter().map(|row| absent(*row, RowVerdict::Absent, Some(reason))).collect(), None).await?;
    }
    for batch in failed.chunks(BATCH) {
        // What the server said of the last attempt says more than a reason.
        ledger.resolve(batch.iter().map(|row| absent(*row, RowVerdict::AbsentForGood, None)).collect(), None).await?;
    }
    if !elsewhere.is_empty() {
        // They were sent once: what became of that is on record before what stands for them is.
        let rows = elsewhere.iter().map(|one| absent(one.row, RowVerdict::Absent, Some(reason)));
        ledger.resolve(rows.collect(), None).await?;
        ledger.resolve(elsewhere, None).await?;
    }
    report.absent = again.len() as u64;
    report.failed = failed.len() as u64;
    Ok(())
}

fn absent(row: RowId, verdict: RowVerdict, reason: Option<&str>) -> Resolution {
    Resolution { row, verdict, source: Source::List, reason: reason.map(str::to_owned) }
}

/// Looks what the list shows to be wrong that no state of a row tells.
fn audit(
    sight: &Sight<'_>,
    asking: &Asking<'_>,
    found_absent: &BTreeSet<RowId>,
    reader: &Reader,
) -> Result<Audit, LedgerError> {
    let mut audit = Audit { come_to_nothing: sight.come_to_nothing(), ..Audit::default() };
    let has_sent = asking.first_date.is_some() || !asking.recent.is_empty() || asking.audited_from < asking.session;
    if !has_sent || asking.who.tagging == Tagging::Untagged {
        return Ok(audit);
    }
    // Of a row that was sent again, and of which one request was found while the server may still be at work on that, another one may
    // come.
    let own = asking.own_doubts.iter().filter(|(row, _)| found_absent.contains(*row) && sight.seen.has(**row));
    let lag = asking.lag.map_or(asking.waits.settle, |lag| lag.max(asking.waits.settle));
    let ripe = own.map(|(_, times)| asking.waits.acted_by(asking.began, Some(*times)).saturating_add(lag));
    audit.ripe_at = ripe.max().filter(|at| *at > asking.asked_at);
    let is_again = |row| found_absent.contains(&row) || matches!(asking.probe, Probe::Sent(probe) if probe == row);
    // Gaps since the last row that was seen, and all before it that another row was seen before.
    let (mut gaps, mut between, mut outside) = (Vec::new(), Firsts::default(), Firsts::default());
    let (mut n_rows, mut any_seen) = (0_u64, false);
    reader.created_in_order(|created| {
        let is_untagged = sight.untagged.has(created.row) && !sight.seen.has(created.row);
        let is_seen = is_untagged || sight.seen.has(created.row);
        audit.n_lacking += u64::from(!is_seen && created.session != asking.session);
        let gap = Gap { row: created.row, uuid: created.uuid };
        if created.session < asking.audited_from {
            if !is_seen {
                audit.earlier.add(gap);
            }
            return;
        }
        n_rows += 1;
        if is_untagged {
            audit.untagged.add(gap);
        }
        if is_seen {
            // Before the first one that is seen, the list may not reach back far enough.
            gaps.drain(..).for_each(|gap| if any_seen { between.add(gap) } else { outside.add(gap) });
            any_seen = true;
        } else {
            if is_again(gap.row) {
                audit.again.add(gap);
                return;
            }
            gaps.push(gap);
        }
    })?;
    gaps.into_iter().for_each(|gap| outside.add(gap));
    if (outside.n + between.n) * 2 > n_rows {
        between.first.into_iter().for_each(|gap| outside.add(gap));
        outside.n += between.n.saturating_sub(MAX_FOUND as u64);
    } else {
        audit.missing = between;
    }
    audit.not_shown = outside;
    audit.elsewhere = elsewhere(sight, reader)?;
    Ok(audit)
}

/// Returns what other runs requested of what created rows of this one ask for, as far as nobody has accepted that: what was there
/// before this run's first list was accepted, or its rows were left out.
fn elsewhere(
    sight: &Sight<'_>,
    reader: &Reader,
) -> Result<Firsts<(RowId, RequestUuid, Vec<RequestUuid>), MAX_FOUND>, LedgerError> {
    let mut found = Firsts::default();
    let accepted = reader.accepted_hits()?;
    let is_new = |(_, uuid): &(u64, RequestUuid)| accepted.binary_search(uuid).is_err();
    let mut lately: BTreeMap<u64, BTreeSet<RequestUuid>> = BTreeMap::new();
    for (fingerprint, uuid) in sight.strangers.all().filter(is_new) {
        lately.entry(fingerprint).or_default().insert(uuid);
    }
    if lately.is_empty() {
        return Ok(found);
    }
    reader.for_each_row(&[RowState::Created], |row| -> Result<(), LedgerError> {
        if let (Some(request), Some(own)) = (&row.request, row.request_uuid)
            && let Some(uuids) = lately.get(&request.fingerprint().number())
        {
            found.add((row.row, own, uuids.iter().copied().collect()));
        }
        Ok(())
    })?;
    Ok(found)
}
