//! What the first list says before anything is sent: whether it can be read, and whether other runs asked for the same before.

use std::collections::BTreeSet;
use std::path::Path;

use super::ending::n_destructive;
use super::exit::{Exit, NO_API_REMEDY};
use super::failure::{Failure, chain, exit_of};
use super::findings;
use super::job::Job;
use super::next::{Next, Piece};
use super::stopped_by::StoppedBy;
use super::words::{grouped, rows};
use crate::client::ReadError;
use crate::ledger::{Finding, Reader, RowState};
use crate::reconcile::{Hit, Hits, RunHits};
use crate::request::{Guid, RequestType, RequestUuid, RowId, RunMark, printable_up_to};

/// The longest reason to stop, in characters: what is to be done stands last.
const MAX_REASON: usize = 1_000;

/// What rows do that were requested from another ledger before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Already {
    /// They stop the run.
    #[default]
    Stop,
    /// They are left out.
    Skip,
    /// They are sent all the same.
    Send,
}

/// What a refusal says of the run that it is about.
#[derive(Clone, Copy)]
pub(super) struct Refused<'a> {
    pub(super) ledger: &'a Path,
    /// The server; none for a rehearsal.
    pub(super) server: Option<&'a str>,
    /// How many rows that take certificates away are to be sent; none where that is not known.
    pub(super) n_destructive: Option<u64>,
}

impl Refused<'_> {
    /// Returns the same command with further words in place of an option, and with the number that it needs.
    fn with(&self, option: &[&'static str], words: &[&str]) -> Piece {
        match self.n_destructive {
            Some(n) => Piece::confirming(option, words, n),
            None => Piece::with(option, words),
        }
    }

    /// Returns what shows what is wrong with the way to the server, and then the same command.
    fn look_into_it(&self) -> Next {
        let first = match self.server {
            Some(server) => Next::from("see what is wrong: ")
                .and(Piece::Doctor(server.to_owned()))
                .text("; then, once that is corrected: "),
            None => Next::from("once that is corrected: "),
        };
        first.and(self.with(&[], &[]))
    }
}

/// Returns why nothing is sent where the list cannot be read.
pub(super) fn no_list(error: &ReadError, of: &Refused<'_>) -> Failure {
    let said = printable_up_to(&chain(error), MAX_REASON);
    let by = StoppedBy::of_list(error);
    let what = match by {
        StoppedBy::ApiNotFound => format!("there is no API at this address; {NO_API_REMEDY}"),
        StoppedBy::SignIn if error.status() == Some(401) => {
            "the sign-in was not accepted; check the token or the account".to_owned()
        }
        StoppedBy::SignIn => "the sign-in was not accepted".to_owned(),
        StoppedBy::Unreachable => "the server cannot be reached".to_owned(),
        _ => "the server's list of requests cannot be read".to_owned(),
    };
    let failure = Failure::new(exit_of(error), format!("{what}: {said}; nothing was sent")).stopping(by);
    if by != StoppedBy::NoList || of.n_destructive == Some(0) {
        return failure.with_next(of.look_into_it());
    }
    failure.with_next(
        of.look_into_it()
            .text("; or, where minutes count and nobody else may have sent these rows: ")
            .and(of.with(&["--without-list"], &["--without-list"]))
            .text(", which sends rows a second time that another ledger or a copy of this one sent; see what exists twice, once the list can be read, with ")
            .and(Piece::asking("settle", of.ledger, &["--all"])),
    )
}

/// Stops the run for requests of other runs that ask for what its rows ask for, leaves those rows out, or sends them beside.
pub(super) async fn others(
    already: Already,
    job: &mut Job,
    hits: Hits,
    own: &BTreeSet<Guid>,
    found_twice: &mut Vec<Finding>,
) -> Result<u64, Failure> {
    let accepted = job.reader().accepted_hits()?;
    let hits = hits.filtered(|hit| accepted.binary_search(&hit.uuid).is_err());
    let found = rows_of(job, &hits)?;
    if already == Already::Skip {
        job.session.leave_out(own.clone());
    }
    if found.is_empty() {
        return Ok(0);
    }
    match already {
        Already::Stop => Err(stop_for(&hits, &found, own, job)?),
        Already::Send => {
            job.ledger.accept_hits(found.iter().flat_map(|row| row.uuids()).collect())?;
            Ok(0)
        }
        Already::Skip => {
            // Anybody can write a comment: only what this account requested is taken for what was asked. Where the server does not
            // say who did, nobody knows.
            let is_strangers = |row: &&Requested| row.hit.originator.is_none_or(|guid| !own.contains(&guid));
            let strangers = found.iter().filter(is_strangers);
            let n_strangers = strangers.count() as u64;
            if n_strangers > 0 {
                return Err(stop_for_strangers(&hits, n_strangers, own, &without(&found, job)?));
            }
            // One request stands for a row; of more than one somebody has to hear.
            let twice = found.iter().filter(|row| !row.others.is_empty());
            found_twice.extend(twice.map(|row| findings::elsewhere_twice(row.row, row.uuids().collect())));
            // What is in doubt may exist besides, and is left out where it does not.
            let unsent = found.iter().filter(|row| row.state != RowState::InDoubt);
            let left_out: Vec<_> = unsent.map(|row| row.hit.leaves_out(row.row)).collect();
            let n_rows = left_out.len() as u64;
            job.ledger.resolve(left_out, None).await?;
            Ok(n_rows)
        }
    }
}

/// A row that may be sent, or may be once it is settled, and that other runs asked for.
struct Requested {
    row: RowId,
    state: RowState,
    /// The request that stands for it, the latest of several.
    hit: Hit,
    others: Vec<RequestUuid>,
}

impl Requested {
    fn uuids(&self) -> impl Iterator<Item = RequestUuid> {
        std::iter::once(self.hit.uuid).chain(self.others.iter().copied())
    }
}

/// Returns the rows that may be sent, or may be once they are settled, and that other runs asked for, each with its requests.
fn rows_of(job: &Job, hits: &Hits) -> Result<Vec<Requested>, Failure> {
    let mut found = Vec::new();
    if hits.is_empty() {
        return Ok(found);
    }
    let states = [job.may_send(), &[RowState::InDoubt]].concat();
    job.reader().for_each_row(&states, |row| -> Result<(), Failure> {
        let mut all = row.request.iter().flat_map(|request| hits.all_of(request));
        if let Some(hit) = all.next() {
            let others = all.map(|other| other.uuid).collect();
            found.push(Requested { row: row.row, state: row.state, hit: *hit, others });
        }
        Ok(())
    })?;
    Ok(found)
}

fn runs(hits: &Hits) -> String {
    let runs: Vec<String> = hits.by_run().iter().map(|run| format!("  {}", of_run(run))).collect();
    runs.join("\n")
}

/// Says that rows were requested before, and the ways on: with the ledger that did, without these rows, or a second time.
fn stop_for(hits: &Hits, found: &[Requested], own: &BTreeSet<Guid>, job: &Job) -> Result<Failure, Failure> {
    let n_rows = found.len() as u64;
    let verb = if n_rows == 1 { "was" } else { "were" };
    let own_run = RunMark::of(job.ledger.run().id);
    let of_runs = hits.by_run();
    let mut elsewhere = of_runs.iter().map(|run| run.run).filter(|run| *run != own_run).peekable();
    // Rows that were taken in behind an older copy of the ledger were sent by a later one of the same run.
    let is_copy = elsewhere.peek().is_none();
    let by = if is_copy { "another copy of this ledger" } else { "another ledger" };
    let message =
        format!("{} of this list {verb} requested before, from {by}; nothing was sent\n{}", rows(n_rows), runs(hits));
    let mut next = match elsewhere.find_map(|run| job.ledger_of(run)) {
        Some(ledger) => Next::from("go on with that ledger: ").and(Piece::on_ledger("status", &ledger, &[])),
        None if is_copy => Next::from("look into that copy, where you have it"),
        None => Next::from("go on with that ledger, where you have it"),
    };
    let of = job.refused()?;
    let strangers: BTreeSet<Option<Guid>> = found
        .iter()
        .map(|row| row.hit.originator)
        .filter(|guid| guid.is_none_or(|guid| !own.contains(&guid)))
        .collect();
    // What nobody is known to have made is left out by a person alone.
    if let Some(strangers) = strangers.into_iter().collect::<Option<Vec<Guid>>>() {
        let strangers: Vec<String> = strangers.iter().map(Guid::to_string).collect();
        let whose = match strangers.as_slice() {
            [] => String::new(),
            [one] => format!(", where user {one} is this account or the site's own,"),
            several => format!(", where users {} are this account or the site's own,", several.join(" and ")),
        };
        let mut words = vec!["--already", "skip"];
        words.extend(strangers.iter().flat_map(|guid| ["--originator", guid.as_str()]));
        next = next
            .text(&format!("; or{whose} leave {} out: ", rows(n_rows)))
            .and(without(found, job)?.with(&["--already"], &words));
    }
    next = next
        .text(&format!("; or send {} a second time: ", rows(n_rows)))
        .and(of.with(&["--already"], &["--already", "send"]));
    Ok(Failure::new(Exit::Usage, message).stopping(StoppedBy::RequestedBefore).with_next(next))
}

/// Returns what is said of the run where these rows are left out.
fn without<'j>(found: &[Requested], job: &'j Job) -> Result<Refused<'j>, Failure> {
    let of = job.refused()?;
    let n_found = n_destructive(&by_type(job.reader(), found)?);
    Ok(Refused { n_destructive: of.n_destructive.map(|n| n.saturating_sub(n_found)), ..of })
}

fn by_type(reader: &Reader, found: &[Requested]) -> Result<Vec<(RequestType, u64)>, Failure> {
    let mut all = Vec::new();
    for row in found {
        all.extend(reader.facts(row.row)?.and_then(|facts| facts.request).map(|request| (request.kind, 1)));
    }
    Ok(all)
}

fn stop_for_strangers(hits: &Hits, n_rows: u64, own: &BTreeSet<Guid>, left: &Refused<'_>) -> Failure {
    let mut originators: Vec<String> =
        hits.by_run().iter().flat_map(|run| &run.originators).map(Guid::to_string).collect();
    originators.sort_unstable();
    originators.dedup();
    let who = if originators.is_empty() {
        "the server does not say whose they are"
    } else if own.is_empty() {
        "it is not known yet which user on the server this account is"
    } else {
        "they are another account's"
    };
    let option: Vec<&str> = originators.iter().flat_map(|guid| ["--originator", guid.as_str()]).collect();
    let verb = if n_rows == 1 { "was requested before, and is" } else { "were requested before, and are" };
    Failure::new(
        Exit::Usage,
        format!(
            "{} of this list {verb} not left out, because {who} (anybody can write a comment); nothing was sent\n{}",
            rows(n_rows),
            runs(hits)
        ),
    )
    .stopping(StoppedBy::RequestedBefore)
    .with_next(if option.is_empty() {
        Next::from("look at these requests in the CM portal, and drop the rows that they stand for")
    } else {
        Next::from("look at these requests in the CM portal; where they are the site's own: ")
            .and(left.with(&[], &option))
    })
}

fn of_run(run: &RunHits) -> String {
    let when = match (run.first_submitted, run.last_submitted) {
        (Some(first), Some(last)) if first == last => format!(", submitted {first:.0}"),
        (Some(first), Some(last)) => format!(", submitted {first:.0} to {last:.0}"),
        _ => String::new(),
    };
    let by: Vec<String> = run.originators.iter().map(ToString::to_string).collect();
    let by = if by.is_empty() { String::new() } else { format!(" by user {}", by.join(", ")) };
    format!("run {}: {}{when}{by}", run.run, rows(run.n_rows))
}

/// Returns what the plan says of rows that are left out, of what the list could not say, and of what is sent without it.
pub(super) fn notes(n_skipped: u64, n_unread: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if n_skipped > 0 {
        notes.push(format!("{} that another ledger requested before are left out (--already skip)", rows(n_skipped)));
    }
    if n_unread > 0 {
        notes.push(format!(
            "{} requests of the server's list cannot be read: what is in doubt stays so while they are there",
            grouped(n_unread)
        ));
    }
    notes
}

/// Returns the uuids of some requests, for people.
pub(super) fn uuids(all: &[RequestUuid]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests;
