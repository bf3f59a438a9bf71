//! The server: a list with filters. Its memory is the truth.

mod listing;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cmbatch::client::{Answer, HttpAnswer, ReadError, TransportFault};
use cmbatch::request::Guid;
use serde_json::Value;
use tokio::time::Instant;

use crate::marks::Marks;
use crate::step::{Carry, Fate, Fault, History, clock, hash};

/// How long a client waits for an answer, in ms.
const TIME_OUT: u64 = 130_000;
/// The template that the lists' name for one stands for.
pub(crate) const TEMPLATE: Guid =
    Guid::from_bytes([0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0, 0, 0, 0, 0, 0, 0, 1]);
/// The account that runs work with.
pub(crate) const ACCOUNT: Guid =
    Guid::from_bytes([0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0, 0, 0, 0, 0, 0, 0, 1]);
/// How long a tag is.
const TAG: usize = 39;
/// The kinds of rows: type and its number.
pub(crate) const KINDS: [(&str, i64); 3] = [("Enroll", 1), ("Revoke", 4), ("Unblock", 5)];

/// Returns the GUID of a thing: rows' targets, templates, requests and so on have families of their own.
pub(crate) fn guid(family: u8, number: u64) -> Guid {
    let mut bytes = [family; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Guid::from_bytes(bytes)
}

pub(crate) fn target(row: u32) -> Guid {
    guid(0x70, u64::from(row))
}

fn row_of(target: &str) -> Option<u32> {
    let target: Guid = target.parse().ok()?;
    let number = u64::from_be_bytes(target.as_bytes()[8..].try_into().unwrap());
    (target.as_bytes()[0] == 0x70).then_some(u32::try_from(number).unwrap())
}

/// A request that exists.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) uuid: Guid,
    /// The row whose target was asked for.
    pub(crate) row: Option<u32>,
    pub(crate) is_wrong: bool,
    /// Who made it; none for others.
    pub(crate) process: Option<u32>,
    /// Made by a gateway that repeated the call.
    pub(crate) is_repeat: bool,
    pub(crate) call: u64,
    pub(crate) at: u64,
    /// When the call left that made it.
    pub(crate) left: u64,
    pub(crate) kind: i64,
    target: Guid,
    pub(crate) template: String,
    comment: String,
    account: Guid,
    pub(crate) status: i64,
    pub(crate) is_archived: bool,
}

/// The status of a request that an approver refused.
pub(crate) const DENIED: i64 = 4;

struct Due {
    call: u64,
    left: u64,
    process: u32,
    row: Option<u32>,
    is_repeat: bool,
    body: Value,
}

#[derive(Clone, Debug)]
enum Said {
    Created,
    Status(u16),
    Fault(TransportFault),
}

struct Call {
    arrived: u64,
    said: Said,
    partner: Option<u64>,
}

/// The server's state.
pub(crate) struct Server {
    begin: Instant,
    pub(crate) latency: u64,
    n_kinds: usize,
    seed: u64,
    pub(crate) made: Vec<Made>,
    due: BTreeMap<(u64, u64), Due>,
    calls: BTreeMap<u64, Call>,
    n_calls_of: BTreeMap<u32, u32>,
    last_call_of: BTreeMap<(u32, u32), u64>,
    pub(crate) faults: Vec<(Fault, u64)>,
    pub(crate) fates: BTreeMap<(u32, u32), Fate>,
    pub(crate) clock_off: i64,
    /// What the lists showed, with a tag that can be read, that each process was given, and when first.
    pub(crate) shown: BTreeMap<u32, BTreeMap<Guid, u64>>,
    /// What a list hid for reasons of its own.
    pub(crate) hidden: BTreeSet<Guid>,
    /// What a list lacked at its new end.
    pub(crate) not_shown_yet: BTreeSet<Guid>,
    pub(crate) marks: Marks,
    pub(crate) log: Vec<String>,
    unpaired: Option<u64>,
    /// Whether there was no request before the first one of a run.
    began_empty: bool,
}

impl Server {
    pub(crate) fn new(history: &History, begin: Instant) -> Self {
        let setup = &history.setup;
        let mut server = Self {
            begin,
            latency: setup.latency_ms.max(2),
            n_kinds: usize::from(setup.kinds.clamp(1, 3)),
            seed: history.seed,
            made: Vec::new(),
            due: BTreeMap::new(),
            calls: BTreeMap::new(),
            n_calls_of: BTreeMap::new(),
            last_call_of: BTreeMap::new(),
            faults: Vec::new(),
            fates: BTreeMap::new(),
            clock_off: 0,
            shown: BTreeMap::new(),
            hidden: BTreeSet::new(),
            not_shown_yet: BTreeSet::new(),
            marks: Marks::default(),
            log: Vec::new(),
            unpaired: None,
            began_empty: setup.others == 0,
        };
        for number in 0..u64::from(setup.others) {
            server.add_other(None, number, "");
            // Some are done with.
            server.made.last_mut().unwrap().status = if number % 2 == 0 { 8 } else { 3 };
        }
        server
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap()
    }

    fn say(&mut self, text: String) {
        self.log.push(format!("{}            {text}", clock(self.now())));
    }

    /// Somebody else makes a request, of a row or of anything.
    pub(crate) fn add_other(&mut self, row: Option<u32>, number: u64, comment: &str) {
        let of = |row: u32| (target(row), (row as usize - 1) % self.n_kinds);
        let (target, kind) = row.map_or((guid(0x71, number), 0), of);
        self.made.push(Made {
            uuid: guid(0xA0, self.made.len() as u64 + 1),
            row,
            is_wrong: false,
            process: None,
            is_repeat: false,
            call: 0,
            at: self.now(),
            left: self.now(),
            kind: KINDS[kind].1,
            target,
            template: TEMPLATE.to_string(),
            comment: comment.to_owned(),
            account: guid(0xBB, 1),
            status: 3,
            is_archived: false,
        });
    }

    /// Does what is due.
    pub(crate) fn advance(&mut self) {
        let now = self.now();
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), due) = entry.remove_entry();
            let text = |name: &str| due.body[name].as_str().unwrap_or_default().to_owned();
            let is_wrong = self.is_on(|fault| matches!(fault, Fault::WrongTarget));
            let uuid = guid(0xA0, self.made.len() as u64 + 1);
            self.say(format!("row {} created as {} by p{}", due.row.unwrap_or(0), short(&uuid), due.process));
            self.made.push(Made {
                uuid,
                row: due.row,
                is_wrong,
                process: Some(due.process),
                is_repeat: due.is_repeat,
                call: due.call,
                at,
                left: due.left,
                kind: KINDS.iter().find(|kind| kind.0 == text("type")).map_or(9, |kind| kind.1),
                target: if is_wrong { guid(0x72, 0) } else { text("target").parse().unwrap_or(guid(0x72, 1)) },
                template: text("profiletemplateuuid"),
                comment: text("comment"),
                account: ACCOUNT,
                status: 3,
                is_archived: false,
            });
        }
    }

    pub(crate) fn is_on(&self, which: impl Fn(&Fault) -> bool) -> bool {
        let now = self.now();
        self.faults.iter().any(|(fault, until)| *until > now && which(fault))
    }

    fn find<T>(&self, which: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let now = self.now();
        self.faults.iter().filter(|(_, until)| *until > now).find_map(|(fault, _)| which(fault))
    }

    /// Returns whether the list can be read now, and is whole.
    pub(crate) fn list_is_whole(&self) -> bool {
        !self.is_on(|fault| matches!(fault, Fault::Away | Fault::List(_)))
    }

    /// Takes a call; says how long its answer takes.
    pub(crate) fn arrive(&mut self, number: u64, process: u32, body: &[u8]) -> u64 {
        self.advance();
        let now = self.now();
        let body: Value = serde_json::from_slice(body).unwrap();
        let row = body["target"].as_str().and_then(row_of);
        let slow = self.find(|fault| if let Fault::Slow { by_ms } = fault { Some(*by_ms) } else { None }).unwrap_or(0);
        let (mut acts, mut after) = (vec![self.latency / 2], self.latency + slow);
        self.last_call_of.insert((row.unwrap_or(0), process), now);
        let nth = self.n_calls_of.entry(row.unwrap_or(0)).or_default();
        *nth += 1;
        let (nth, key) = (*nth, row.unwrap_or(0));
        let is_corrected = body["profiletemplateuuid"].as_str() == Some(&guid(0x92, 1).to_string());
        let for_good = |(at, fate): (&(u32, u32), &Fate)| match fate {
            Fate::Is404 => (at.0 == key && at.1 <= nth).then_some(*fate),
            Fate::Is400 => (at.0 == key && at.1 <= nth && !is_corrected).then_some(*fate),
            _ => (*at == (key, nth)).then_some(*fate),
        };
        let fate = self.fates.iter().find_map(for_good);
        let hits = |every: u32| number.is_multiple_of(u64::from(every.max(1)));
        let said = if self.is_on(|fault| matches!(fault, Fault::Away)) {
            self.marks.hit("call: away");
            (acts, after) = (vec![], 1);
            Said::Fault(TransportFault::ConnectionRefused)
        } else if let Some(fate) = fate {
            self.marks.hit(&format!("fate: {fate:?}").replace(|c: char| c.is_ascii_digit(), ""));
            match fate {
                Fate::CreatedAndLost => Said::Fault(TransportFault::ConnectionLost),
                Fate::CreatedAnd500 => Said::Status(500),
                Fate::Lost | Fate::Is500 | Fate::Is404 | Fate::Is400 => {
                    acts = vec![];
                    match fate {
                        Fate::Is500 => Said::Status(500),
                        Fate::Is404 => Said::Status(404),
                        Fate::Is400 => Said::Status(400),
                        _ => Said::Fault(TransportFault::ConnectionLost),
                    }
                }
                Fate::Late { by_s } => {
                    acts = vec![by_s.min(120) * 1_000];
                    Said::Fault(TransportFault::ConnectionLost)
                }
                Fate::Repeated => {
                    acts.push(self.latency / 2 + 1);
                    Said::Created
                }
            }
        } else {
            self.said_by_faults(&body, &hits, &mut acts)
        };
        if after > TIME_OUT {
            acts.iter_mut().for_each(|act| *act = (after - self.latency).min(120_000));
        }
        for (n, act) in acts.into_iter().enumerate() {
            let due = Due { call: number, left: now, process, row, is_repeat: n > 0, body: body.clone() };
            self.due.insert((now + act, number * 2 + n as u64), due);
        }
        let is_created = matches!(said, Said::Created);
        let partner =
            if is_created && self.is_on(|fault| *fault == Fault::Swapped) { self.pair(number, now) } else { None };
        self.calls.insert(number, Call { arrived: now, said, partner });
        after.min(TIME_OUT)
    }

    fn said_by_faults(&mut self, body: &Value, hits: &dyn Fn(u32) -> bool, acts: &mut Vec<u64>) -> Said {
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        let now = self.now();
        let faults: Vec<Fault> =
            self.faults.iter().filter(|(_, until)| *until > now).map(|(fault, _)| fault.clone()).collect();
        for fault in faults {
            let said = match fault {
                Fault::Throttled => {
                    acts.clear();
                    Said::Status(429)
                }
                Fault::Lost { every, acts_after_ms } if hits(every) => {
                    *acts = if acts_after_ms == 0 { vec![] } else { vec![acts_after_ms.min(120_000)] };
                    Said::Fault(TransportFault::ConnectionLost)
                }
                Fault::Fails { every, acted, status } if hits(every) => {
                    if !acted {
                        acts.clear();
                    }
                    Said::Status(status)
                }
                Fault::Repeated { every } if hits(every) => {
                    acts.push(acts[0] + 1);
                    Said::Created
                }
                Fault::RefusesKind { kind: refused } if KINDS[usize::from(refused) % KINDS.len()].0 == kind => {
                    acts.clear();
                    Said::Status(403)
                }
                _ => continue,
            };
            self.marks.hit_fault("call", &fault);
            return said;
        }
        Said::Created
    }

    fn pair(&mut self, number: u64, now: u64) -> Option<u64> {
        let other = self
            .unpaired
            .take()
            .filter(|other| self.calls.get(other).is_some_and(|call| call.arrived + self.latency > now));
        match other {
            None => self.unpaired = Some(number),
            Some(other) => {
                self.calls.get_mut(&other).unwrap().partner = Some(number);
                self.marks.hit("call: swapped");
            }
        }
        other
    }

    fn uuid_of(&self, call: u64) -> Option<Guid> {
        self.made.iter().find(|made| made.call == call && made.process.is_some()).map(|made| made.uuid)
    }

    /// Answers a call.
    pub(crate) fn answer(&mut self, number: u64) -> Answer {
        self.advance();
        let now = self.now();
        let call = self.calls.remove(&number).unwrap();
        if now > call.arrived + TIME_OUT + 5_000 {
            return lost(TransportFault::Timeout);
        }
        match call.said {
            Said::Fault(fault) => lost(fault),
            Said::Status(status) => http(status, format!("{{\"Message\":\"it is {status} here\"}}")),
            Said::Created => {
                let swapped = call.partner.and_then(|partner| self.uuid_of(partner));
                let before = |made: &&Made| made.process.is_some() && made.call != number;
                let shared = self
                    .is_on(|fault| *fault == Fault::SharedUuid)
                    .then(|| self.made.iter().rev().find(before))
                    .flatten();
                if shared.is_some() {
                    self.marks.hit("call: shared uuid");
                }
                let Some(uuid) = swapped.or(shared.map(|made| made.uuid)).or_else(|| self.uuid_of(number)) else {
                    return lost(TransportFault::Timeout);
                };
                if now - call.arrived >= TIME_OUT {
                    return lost(TransportFault::Timeout);
                }
                http(201, format!("\"api/v1.0/requests/{uuid}\""))
            }
        }
    }

    /// Returns whether the last call of a run for a row was made that long ago.
    pub(crate) fn is_old(&self, row: u32, ms: u64, is_own: &dyn Fn(u32) -> bool) -> bool {
        let own = self.last_call_of.range((row, 0)..=(row, u32::MAX)).filter(|((_, process), _)| is_own(*process));
        own.map(|(_, at)| *at).max().unwrap_or(0) + ms < self.now()
    }

    /// Returns the request of a row that the person sees, and whether another one is still to come.
    pub(crate) fn of_row(&self, row: u32, is_own: &dyn Fn(u32) -> bool) -> (Option<Guid>, bool) {
        let of_run = |made: &&Made| made.process.is_some_and(is_own);
        let seen = self.made.iter().filter(of_run).find(|made| made.row == Some(row) && !made.is_wrong);
        (seen.map(|made| made.uuid), seen.is_none() && self.due.values().any(|due| due.row == Some(row)))
    }

    /// Returns whether the list still has a request that ended and is older than this time: then it drops some of them and not others.
    pub(crate) fn archives_singly(&self, at: u64) -> bool {
        self.made.iter().any(|made| made.at < at && !made.is_archived && matches!(made.status, 8 | DENIED))
    }

    /// Carries requests on; says whether any was.
    pub(crate) fn carry(&mut self, what: Carry, of_ten: u8) -> bool {
        let mut n = 0;
        for (index, made) in self.made.iter_mut().enumerate() {
            if hash(&[self.seed, index as u64, what as u64]) % 10 < u64::from(of_ten) {
                n += 1;
                match what {
                    Carry::Complete if made.status != DENIED => made.status = 8,
                    Carry::Complete => {}
                    Carry::Deny => made.status = DENIED,
                    Carry::Archive => made.is_archived |= made.status == 8,
                }
            }
        }
        n > 0
    }
}

/// Returns the end of a uuid, enough to tell those of a history apart.
pub(crate) fn short(uuid: &Guid) -> String {
    format!("..{}", &uuid.to_string()[32..])
}

fn http(status: u16, body: String) -> Answer {
    Answer::Http(HttpAnswer {
        status,
        location: None,
        retry_after: None,
        date: None,
        advice: None,
        body: Bytes::from(body),
    })
}

fn lost(fault: TransportFault) -> Answer {
    Answer::None { fault, message: format!("{fault:?}") }
}

pub(crate) fn unread(fault: TransportFault) -> ReadError {
    ReadError::Transport { fault, message: format!("{fault:?}") }
}

fn status_error(status: u16) -> ReadError {
    ReadError::Status { status, message: "no".to_owned(), correlation_id: None, retry_after: None }
}
