//! The requests that exist, one compact row for each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::body::NewRequest;
use super::chance::{Dice, Share};
use super::script::{Life, Template, TemplateKind};
use super::status::{Change, Fate, RequestStatus, StatusFilter, status_at_age};
use crate::request::{CreateRequest, Guid, RequestType, RequestUuid};

/// A request that exists when the simulator starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeededRequest {
    /// Its uuid.
    pub uuid: RequestUuid,
    /// What was asked for; its own comment is not used.
    pub request: CreateRequest,
    /// The comment that the server has, with the tag where there is one.
    pub comment: String,
    /// When it was submitted; the start of the simulator where this is not known.
    pub submitted: Option<Timestamp>,
}

/// One item of the data collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataItem {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
}

/// A request that exists on the simulated server.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRequest {
    /// Its uuid.
    pub uuid: RequestUuid,
    /// Its type.
    pub kind: RequestType,
    /// Its status now.
    pub status: RequestStatus,
    /// The profile template, where one was named.
    pub template: Option<Guid>,
    /// The target user; the caller, where none was named.
    pub target: Guid,
    /// The smart card, where one was named.
    pub smartcard: Option<Guid>,
    /// The software profile, where a property that looked like one was sent.
    pub profile: Option<Guid>,
    /// The comment, as far as the server kept it.
    pub comment: String,
    /// 0 (highest) to 255.
    pub priority: u8,
    /// The data collection, in the order in which it was sent.
    pub data: Vec<DataItem>,
    /// The properties that the published page does not name.
    pub extra: Map<String, Value>,
    /// When it was created.
    pub submitted: Timestamp,
}

/// The user that every call is made by. Made up.
pub(crate) const CALLER: Guid = Guid::from_bytes(0x5a1e_0f77_2c3d_4b8a_8e10_9d0c_7b6a_5f02_u128.to_be_bytes());

/// A million of these is what a rehearsal may need, so that absent GUIDs are zero, as the API writes them, and times are
/// milliseconds.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) uuid: Guid,
    pub(crate) template: Guid,
    pub(crate) target: Guid,
    pub(crate) smartcard: Guid,
    pub(crate) profile: Guid,
    /// Since 1970, in UTC.
    pub(crate) submitted_ms: i64,
    ended: Option<Ended>,
    pub(crate) comment: Box<str>,
    pub(crate) data: Box<[DataItem]>,
    extra: Option<Box<Map<String, Value>>>,
    pub(crate) kind: RequestType,
    pub(crate) priority: u8,
    pub(crate) on_card: bool,
    fate: Fate,
}

/// A client ended the request by PUT.
#[derive(Clone, Copy, Debug)]
struct Ended {
    status: RequestStatus,
    at_ms: i64,
}

/// A row with what depends on the time of looking.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) row: &'a Row,
    pub(crate) status: RequestStatus,
    /// When it was completed, in milliseconds since 1970.
    pub(crate) completed_ms: Option<i64>,
}

/// Which requests a list shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    /// Of this target alone.
    pub(crate) target: Option<Guid>,
    /// Of this status alone.
    pub(crate) status: Option<StatusFilter>,
    /// Without this share, rolled by the place of the request in the store.
    pub(crate) hides: Option<(Share, Dice)>,
    /// Without requests younger than this.
    pub(crate) lags: Option<Duration>,
}

/// The stream of the dice that decides which requests a list hides.
const HIDING: u64 = u64::MAX;

/// Why a request is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeError {
    NotFound,
    WrongStatus(RequestStatus),
}

/// The requests that exist. None is ever removed, so that a place in the store stays that of its request.
#[derive(Debug)]
pub(crate) struct Store {
    rows: Vec<Row>,
    places: HashMap<Guid, u32>,
    templates: HashMap<Guid, (TemplateKind, u8)>,
    life: Life,
    clock: Clock,
}

/// A wall clock that never runs backwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    wall: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), wall: Timestamp::now() }
    }

    /// Returns the wall time that belongs to an instant after the start.
    pub(crate) fn wall_at(self, at: Instant) -> Timestamp {
        let since = at.saturating_duration_since(self.started);
        self.wall.checked_add(since).unwrap_or(Timestamp::MAX)
    }

    fn now_ms(self) -> i64 {
        self.wall_at(Instant::now()).as_millisecond()
    }
}

impl Store {
    pub(crate) fn new(templates: &[Template], life: Life, clock: Clock) -> Self {
        let templates = templates.iter().map(|known| (known.uuid, (known.kind, known.default_priority))).collect();
        Self { rows: Vec::new(), places: HashMap::new(), templates, life, clock }
    }

    /// Adds a request that exists already.
    ///
    /// # Errors
    ///
    /// Its uuid, where another request has it.
    pub(crate) fn seed(&mut self, seeded: SeededRequest) -> Result<(), RequestUuid> {
        let uuid = *seeded.uuid.guid();
        if self.places.contains_key(&uuid) {
            return Err(seeded.uuid);
        }
        let request = seeded.request;
        let new = NewRequest {
            kind: request.kind,
            template: request.template,
            target: request.target,
            smartcard: request.smartcard,
            profile: request.profile,
            comment: seeded.comment,
            priority: request.priority,
            data: request
                .data
                .to_vec()
                .into_iter()
                .map(|item| DataItem { name: item.name, value: Some(item.value) })
                .collect(),
            extra: request.body.into_iter().map(|item| (item.name, Value::String(item.value))).collect(),
        };
        let submitted_ms = seeded.submitted.map_or_else(|| self.clock.now_ms(), Timestamp::as_millisecond);
        self.push(uuid, new, Fate::Completed, submitted_ms);
        Ok(())
    }

    /// Creates a request and returns its uuid. Nothing is ever recognized as a repetition: no page tells of it.
    pub(crate) fn create(&mut self, new: NewRequest, fate: Fate) -> RequestUuid {
        let uuid = Guid::random();
        self.push(uuid, new, fate, self.clock.now_ms());
        RequestUuid::new(uuid)
    }

    fn push(&mut self, uuid: Guid, new: NewRequest, fate: Fate, submitted_ms: i64) {
        let known = new.template.and_then(|template| self.templates.get(&template));
        // A template that the simulator does not know is one of the site's: only a named card tells of a smart card.
        let on_card = known.map_or(new.smartcard.is_some(), |(kind, _)| *kind != TemplateKind::Software);
        let default_priority = known.map_or(0, |(_, priority)| *priority);
        let place = u32::try_from(self.rows.len()).expect("memory ends before four billion requests");
        self.places.insert(uuid, place);
        self.rows.push(Row {
            uuid,
            template: new.template.unwrap_or(ZERO),
            target: new.target.unwrap_or(CALLER),
            smartcard: new.smartcard.unwrap_or(ZERO),
            profile: new.profile.unwrap_or(ZERO),
            submitted_ms,
            ended: None,
            comment: new.comment.into_boxed_str(),
            data: new.data.into_boxed_slice(),
            extra: (!new.extra.is_empty()).then(|| Box::new(new.extra)),
            kind: new.kind,
            priority: new.priority.unwrap_or(default_priority),
            on_card,
            fate,
        });
    }

    /// Returns whether the template is known to make software profiles.
    pub(crate) fn is_software(&self, template: Option<Guid>) -> bool {
        let known = template.and_then(|template| self.templates.get(&template));
        known.is_some_and(|(kind, _)| *kind == TemplateKind::Software)
    }

    /// Returns how many requests exist.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Finds a request by its uuid.
    pub(crate) fn find(&self, uuid: &Guid) -> Option<Seen<'_>> {
        let place = *self.places.get(uuid)?;
        Some(self.see(&self.rows[place as usize], self.clock.now_ms()))
    }

    /// Changes the status of a request, as a client asks.
    pub(crate) fn change(&mut self, uuid: &Guid, change: Change) -> Result<Seen<'_>, ChangeError> {
        let now_ms = self.clock.now_ms();
        let place = *self.places.get(uuid).ok_or(ChangeError::NotFound)? as usize;
        let status = self.see(&self.rows[place], now_ms).status;
        let status = change.applied_to(status).ok_or(ChangeError::WrongStatus(status))?;
        self.rows[place].ended = Some(Ended { status, at_ms: now_ms });
        Ok(self.see(&self.rows[place], now_ms))
    }

    /// Visits the requests from a place on that a filter shows, until `visit` has enough; returns the place after the last
    /// one looked at. Places from `end` on are not looked at.
    pub(crate) fn visit(
        &self,
        filter: &Filter,
        from: usize,
        end: usize,
        mut visit: impl FnMut(Seen<'_>) -> Visit,
    ) -> usize {
        let now_ms = self.clock.now_ms();
        for (place, row) in self.rows.iter().enumerate().take(end).skip(from) {
            let seen = self.see(row, now_ms);
            if filter.shows(place, seen, now_ms) && visit(seen) == Visit::Enough {
                return place + 1;
            }
        }
        end.min(self.rows.len())
    }

    /// Returns all requests, as the tests' oracle.
    pub(crate) fn all(&self) -> Vec<StoredRequest> {
        let now_ms = self.clock.now_ms();
        self.rows.iter().map(|row| self.see(row, now_ms).to_stored()).collect()
    }

    fn see<'a>(&self, row: &'a Row, now_ms: i64) -> Seen<'a> {
        if let Some(ended) = row.ended {
            let completed = ended.status == RequestStatus::Completed;
            return Seen { row, status: ended.status, completed_ms: completed.then_some(ended.at_ms) };
        }
        let age = age(row.submitted_ms, now_ms);
        let (status, ended) = status_at_age(self.life, row.fate, age);
        let completed_ms = ended
            .filter(|_| status == RequestStatus::Completed)
            .map(|ended| row.submitted_ms.saturating_add(i64::try_from(ended.as_millis()).unwrap_or(i64::MAX)));
        Seen { row, status, completed_ms }
    }
}

/// Whether a visitor wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    More,
    Enough,
}

const ZERO: Guid = Guid::from_bytes([0; 16]);

fn age(submitted_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(submitted_ms)).unwrap_or(0))
}

impl Filter {
    /// A filter that shows everything.
    pub(crate) const ALL: Self = Self { target: None, status: None, hides: None, lags: None };

    fn shows(&self, place: usize, seen: Seen<'_>, now_ms: i64) -> bool {
        let status = match self.status {
            None => true,
            Some(StatusFilter::Only(status)) => seen.status == status,
            Some(StatusFilter::Nothing) => false,
        };
        status
            && self.target.is_none_or(|target| seen.row.target == target)
            && self.lags.is_none_or(|lag| age(seen.row.submitted_ms, now_ms) >= lag)
            && !self.hides.is_some_and(|(share, dice)| share.takes(dice.roll(HIDING, place as u64)))
    }
}

impl Seen<'_> {
    fn to_stored(self) -> StoredRequest {
        let row = self.row;
        let given = |guid: Guid| (!guid.is_zero()).then_some(guid);
        StoredRequest {
            uuid: RequestUuid::new(row.uuid),
            kind: row.kind,
            status: self.status,
            template: given(row.template),
            target: row.target,
            smartcard: given(row.smartcard),
            profile: given(row.profile),
            comment: row.comment.to_string(),
            priority: row.priority,
            data: row.data.to_vec(),
            extra: row.extra.as_deref().cloned().unwrap_or_default(),
            submitted: Timestamp::from_millisecond(row.submitted_ms).unwrap_or(Timestamp::MIN),
        }
    }
}

#[cfg(test)]
mod tests;
