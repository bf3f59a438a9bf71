//! What the server shows: its list, as it is filtered now, and single requests.

use cmbatch::client::{ReadError, TransportFault};
use cmbatch::request::Guid;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{KINDS, Made, Server, TAG, status_error, unread};
use crate::host::wall;
use crate::step::{Fault, ListFault, ReadFault, hash};

impl Server {
    fn object(&self, made: &Made, cut: Option<usize>, with_older_tag: bool) -> Value {
        let comment: String = made.comment.chars().take(cut.unwrap_or(usize::MAX)).collect();
        let older = format!("[cmb:{:A<24}-{:A<8}] ", "OLDERTAG", "OLD");
        let at = wall(self.begin) - SignedDuration::from_millis(i64::try_from(self.now() - made.at).unwrap())
            + SignedDuration::from_secs(self.clock_off);
        json!({
            "Uuid": made.uuid.to_string(), "RequestType": made.kind, "Status": made.status,
            "OriginatorUserUuid": made.account.to_string(), "TargetUserUuid": made.target.to_string(),
            "ProfileTemplateUuid": if made.template.is_empty() { Value::Null } else { made.template.clone().into() },
            "Submitted": at.to_string(), "Priority": 0,
            "Comment": if with_older_tag { older + &comment } else { comment },
        })
    }

    /// Gives the time by the server's clock, as `Date` says it.
    pub(crate) fn date(&self) -> Timestamp {
        let now = wall(self.begin) + SignedDuration::from_secs(self.clock_off);
        Timestamp::from_second(now.as_second()).unwrap()
    }

    /// Gives the list as it is shown now, and how long each object takes.
    pub(crate) fn list(&mut self, process: u32) -> Result<(Vec<String>, u64), ReadError> {
        self.advance();
        let now = self.now();
        let faults: Vec<ListFault> = self
            .faults
            .iter()
            .filter(|(_, until)| *until > now)
            .filter_map(|(fault, _)| if let Fault::List(fault) = fault { Some(fault.clone()) } else { None })
            .collect();
        if self.is_on(|fault| *fault == Fault::Away) {
            return Err(unread(TransportFault::ConnectionRefused));
        }
        let mut shown: Vec<Made> = self.made.iter().filter(|made| !made.is_archived).cloned().collect();
        let (mut cut, mut older, mut bare, mut odd, mut pause) = (None, None, None, None, 0);
        for fault in &faults {
            let before = shown.len();
            match *fault {
                ListFault::CutOld { keep } => {
                    let gone = shown.drain(..before.saturating_sub(keep)).map(|made| made.uuid);
                    // Where the server had nothing before the run, nothing shows that the list's old end is missing.
                    if self.began_empty { self.hidden.extend(gone) } else { drop(gone) }
                }
                ListFault::CutNew { lacks } => {
                    let gone = shown.split_off(before.saturating_sub(lacks));
                    self.not_shown_yet.extend(gone.iter().map(|made| made.uuid));
                }
                ListFault::WithoutKind { kind } => {
                    shown.retain(|made| made.kind != KINDS[usize::from(kind) % KINDS.len()].1)
                }
                ListFault::Since { ago_s } => {
                    let (left, gone): (Vec<_>, Vec<_>) =
                        shown.into_iter().partition(|made| made.at + ago_s * 1_000 > now);
                    shown = left;
                    if self.began_empty {
                        self.hidden.extend(gone.iter().map(|made| made.uuid));
                    }
                }
                ListFault::OtherAccountsOnly => shown.retain(|made| made.process.is_none()),
                ListFault::Lags { by_s } => shown.retain(|made| made.at + by_s * 1_000 <= now),
                ListFault::HidesEvery { nth } => {
                    let number = |made: &Made| u64::from_be_bytes(made.uuid.as_bytes()[8..].try_into().unwrap());
                    let is_hidden = |made: &Made| hash(&[self.seed, number(made)]).is_multiple_of(nth.max(2) as u64);
                    self.hidden.extend(shown.iter().filter(|made| is_hidden(made)).map(|made| made.uuid));
                    shown.retain(|made| !is_hidden(made));
                }
                ListFault::HidesRow { row } => {
                    self.hidden.extend(shown.iter().filter(|made| made.row == Some(row)).map(|made| made.uuid));
                    shown.retain(|made| made.row != Some(row));
                }
                ListFault::Repeats => shown.extend(shown.clone()),
                ListFault::CutsComments { to } => cut = Some(to),
                ListFault::OlderTags { row } => older = Some(row),
                ListFault::Bare { row } => bare = Some(row),
                ListFault::Odd { every } => odd = Some(every.max(1)),
                ListFault::Trickles => pause = 1_000,
                ListFault::Unreadable => return Err(self.refuse_list(503)),
                ListFault::Forbidden => return Err(self.refuse_list(403)),
            }
            self.marks
                .hit_fault(if shown.len() == before { "list" } else { "list, told" }, &Fault::List(fault.clone()));
        }
        self.marks.hit("list: read");
        let has_tag = |made: &&Made| cut.is_none_or(|to| to >= TAG) && (bare.is_none() || bare != made.row);
        let readable = shown.iter().filter(has_tag).map(|made| made.uuid);
        let shown_to = self.shown.entry(process).or_default();
        for uuid in readable {
            shown_to.entry(uuid).or_insert(now);
        }
        let objects = shown.iter().enumerate().map(|(n, made)| {
            let mut object = self.object(made, cut, older.is_some_and(|row| row == 0 || made.row == Some(row)));
            if bare.is_some() && bare == made.row {
                object["Comment"] = Value::Null;
                object["ProfileTemplateUuid"] = Value::Null;
            }
            if odd.is_some_and(|every| (n + 1) % every == 0) {
                object["Submitted"] = json!(17);
            }
            object.to_string()
        });
        Ok((objects.collect(), pause))
    }

    fn refuse_list(&mut self, status: u16) -> ReadError {
        self.marks.hit(&format!("list: {status}"));
        status_error(status)
    }

    pub(crate) fn read(&mut self, uuid: &Guid) -> Result<String, ReadError> {
        self.advance();
        if self.is_on(|fault| *fault == Fault::Away) {
            return Err(unread(TransportFault::ConnectionRefused));
        }
        let fault = self.find(|fault| if let Fault::Reads(fault) = fault { Some(*fault) } else { None });
        if let Some(fault) = &fault {
            self.marks.hit(&format!("read: {fault:?}"));
        }
        let object = self.made.iter().find(|made| made.uuid == *uuid).map(|made| self.object(made, None, false));
        match fault {
            Some(ReadFault::Reset) => Err(unread(TransportFault::ConnectionLost)),
            Some(ReadFault::NotFound) => Err(status_error(404)),
            Some(ReadFault::Forbidden) => Err(status_error(403)),
            Some(ReadFault::Fails) => Err(status_error(500)),
            Some(ReadFault::Odd) => Ok("{\"Uuid\":17}".to_owned()),
            None => object.map(|object| object.to_string()).ok_or_else(|| status_error(404)),
        }
    }
}
