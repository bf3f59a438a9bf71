//! The simulated server's mind: from a call to what is answered, without HTTP.

use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::body::NewRequest;
use super::fault::{CallKind, Delivery};
use super::injector::{Course, Injector};
use super::objects::{self, PolicyState};
use super::reply::{Answer, Content, Length, Reply, delivered};
use super::route::{Id, Route};
use super::script::{Life, Template, TemplateKind};
use super::status::{Change, StatusFilter};
use super::store::{CALLER, ChangeError, Filter, Store, Visit};
use crate::request::{Guid, RequestType, RequestUuid};

/// A call, as far as the world is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) query: Option<String>,
    pub(crate) authorization: Option<Bytes>,
    pub(crate) body: Bytes,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) struct Acted {
    pub(crate) reply: Reply,
    /// The request that it created, whatever the reply is.
    pub(crate) created: Option<RequestUuid>,
}

impl From<Answer> for Acted {
    fn from(answer: Answer) -> Self {
        Self { reply: Reply::Answer(answer), created: None }
    }
}

/// The requests, the faults and the templates of a server.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) injector: Injector,
    pub(crate) templates: Vec<Template>,
    pub(crate) life: Life,
}

impl World {
    /// Decides what can be decided when a call arrives: whether it is refused, and how it takes its course.
    pub(crate) fn receive(&mut self, call: &Call, now: Instant) -> (Option<Reply>, Course) {
        let Some(kind) = call.route.call_kind() else { return (None, Course::default()) };
        let course = self.injector.course(kind);
        let refused = self.injector.refuse(kind, call.authorization.as_deref(), now);
        (refused.map(Reply::from), course)
    }

    /// Does what a call asks for.
    pub(crate) fn act(&mut self, call: &Call) -> Acted {
        let query = call.query.as_deref();
        let mut acted = match &call.route {
            Route::CreateRequest => self.create(&call.body),
            Route::ListRequests => self.list(query).into(),
            Route::ReadRequest(id) => self.read(*id).into(),
            Route::ChangeRequest(id) => self.change(*id, &call.body).into(),
            Route::Templates => self.list_templates(query).into(),
            Route::Template(id) => self.template(*id).map_or_else(Answer::from, found_template).into(),
            Route::Policy { template, workflow } => self.policy(*template, workflow).into(),
            Route::Profiles => self.list_profiles(query).into(),
            Route::Profile(id) => owned(*id, objects::PROFILE_UUID, || objects::profiles(&self.templates)).into(),
            Route::ProfileOperations(id) => {
                owned(*id, objects::PROFILE_UUID, || objects::json(&objects::PROFILE_OPERATIONS)).into()
            }
            Route::Smartcards => self.list_smartcards(query).into(),
            Route::Smartcard(id) => owned(*id, objects::CARD_UUID, || objects::smartcard(&self.templates)).into(),
            Route::SmartcardOperations(id) => {
                owned(*id, objects::CARD_UUID, || objects::json(&objects::CARD_OPERATIONS)).into()
            }
            // What ASP.NET answers by itself; the pages list neither status.
            Route::WrongMethod => {
                Answer::message(StatusCode::METHOD_NOT_ALLOWED, "The resource does not support this method.").into()
            }
            Route::Unknown => Answer::message(StatusCode::NOT_FOUND, "No resource was found at this address.").into(),
            Route::Outside => Answer::not_mapped().into(),
            Route::Arrivals => Answer::new(StatusCode::OK, Content::Arrivals).into(),
        };
        if let Some(kind) = call.route.call_kind() {
            self.disturb(kind, &mut acted);
        }
        acted
    }

    /// Lets the answer to a call that was acted on go wrong.
    fn disturb(&mut self, kind: CallKind, acted: &mut Acted) {
        if let Reply::Answer(answer) = &mut acted.reply
            && answer.status.is_success()
            && let Some(delivery) = self.injector.deliver(kind)
        {
            match (acted.created, delivery) {
                (Some(uuid), delivery) => acted.reply = delivered(uuid, delivery),
                (None, Delivery::Truncate) => answer.length = Length::Half,
                // These are about create calls, and those that succeed have created something.
                (
                    None,
                    Delivery::Status { .. }
                    | Delivery::Drop
                    | Delivery::Garbage
                    | Delivery::Empty
                    | Delivery::Null
                    | Delivery::LocationOnly
                    | Delivery::RootedUri,
                ) => {}
            }
        }
        if let Some(down) = self.injector.reboot(kind) {
            acted.reply = Reply::Reboot(down);
        }
    }

    fn create(&mut self, body: &[u8]) -> Acted {
        let mut new = match NewRequest::parse(body) {
            Ok(new) => new,
            Err(bad) => return Answer::internal_error(Some(&bad.to_string())).into(),
        };
        // The page: "you can't specify the Unblock operation on a software profile template"; the status is chosen.
        if needs_card(new.kind) && self.store.is_software(new.template) {
            let why = format!("a software profile template does not support {}", new.kind);
            return Answer::internal_error(Some(&why)).into();
        }
        if let Some(judged) = self.injector.judge(&new) {
            return Answer::from(judged).into();
        }
        let fate = self.injector.make(&mut new);
        let uuid = self.store.create(new, fate);
        Acted { reply: Reply::Answer(Answer::created(uuid)), created: Some(uuid) }
    }

    fn list(&mut self, query: Option<&str>) -> Answer {
        let mut filter = Filter::ALL;
        for (name, value) in pairs(query) {
            match name.as_str() {
                "targetuser" => match current(&value) {
                    Some(caller) => filter.target = Some(caller),
                    None => return unsupported_target(),
                },
                "status" => match value.parse::<StatusFilter>() {
                    Ok(status) => filter.status = Some(status),
                    Err(_) => return Answer::internal_error(Some("the status to filter by does not exist")),
                },
                // What ASP.NET does with parameters that an action does not have.
                _ => {}
            }
        }
        self.injector.list(&mut filter);
        let end = self.store.len();
        let mut is_empty = true;
        let next = self.store.visit(&filter, 0, end, |_| {
            is_empty = false;
            Visit::Enough
        });
        if is_empty {
            return Answer::nothing();
        }
        Answer::new(StatusCode::OK, Content::Requests { filter, from: next - 1, end })
    }

    fn read(&self, id: Id) -> Answer {
        let uuid = match guid(id) {
            Ok(uuid) => uuid,
            Err(answer) => return answer,
        };
        let Some(seen) = self.store.find(&uuid) else { return Answer::nothing() };
        let mut body = Vec::new();
        objects::write_request(seen, &mut body);
        Answer::json(body)
    }

    /// Answers the changed request. A wrong status is an internal error: the page lists nothing nearer.
    fn change(&mut self, id: Id, body: &[u8]) -> Answer {
        let uuid = match guid(id) {
            Ok(uuid) => uuid,
            Err(answer) => return answer,
        };
        let body: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
        let name = body.as_ref().and_then(|body| body.get("status")).and_then(Value::as_str);
        let Some(change) = name.and_then(Change::from_name) else {
            return Answer::internal_error(Some("the status to set is none of Completed, Canceled and Abandoned"));
        };
        match self.store.change(&uuid, change) {
            Ok(seen) => {
                let mut body = Vec::new();
                objects::write_request(seen, &mut body);
                Answer::json(body)
            }
            Err(ChangeError::NotFound) => Answer::nothing(),
            Err(ChangeError::WrongStatus(status)) => {
                let why = format!("the status of the request is {}", status.name());
                Answer::internal_error(Some(&why))
            }
        }
    }

    fn list_templates(&self, query: Option<&str>) -> Answer {
        let targets = pairs(query).filter(|(name, _)| name == "targetuser");
        if targets.into_iter().any(|(_, value)| current(&value).is_none()) {
            return unsupported_target();
        }
        match self.templates.as_slice() {
            [] => Answer::nothing(),
            templates => Answer::json(objects::templates(templates)),
        }
    }

    fn template(&self, id: Id) -> Result<&Template, Missing> {
        let uuid = guid(id).map_err(|_| Missing::BadId)?;
        self.templates.iter().find(|template| template.uuid == uuid).ok_or(Missing::Unknown)
    }

    fn policy(&self, id: Id, workflow: &str) -> Answer {
        let template = match self.template(id) {
            Ok(template) => template,
            Err(missing) => return missing.into(),
        };
        let Some(kind) = workflow_type(workflow) else {
            return Answer::internal_error(Some("the workflow type does not exist"));
        };
        let possible = template.kind != TemplateKind::Software || !needs_card(kind);
        let state = if possible { PolicyState::Enabled } else { PolicyState::Disabled };
        let approvals = u8::from(!self.life.approve_after.is_zero());
        Answer::json(objects::policy(template, approvals, state))
    }

    /// `Active` and the names of request statuses are published filters; the one profile that there is is active.
    fn list_profiles(&self, query: Option<&str>) -> Answer {
        for (_, value) in pairs(query).filter(|(name, _)| name == "status") {
            if value.eq_ignore_ascii_case("Active") {
                continue;
            }
            return match value.parse::<StatusFilter>() {
                Ok(_) => Answer::nothing(),
                Err(_) => Answer::internal_error(Some("the status to filter by does not exist")),
            };
        }
        Answer::json(objects::profiles(&self.templates))
    }

    /// The page says that `cardid` is the uuid; its example shows the serial number without braces. Both find the card.
    fn list_smartcards(&self, query: Option<&str>) -> Answer {
        let serial: Option<Guid> = objects::CARD_SERIAL.parse().ok();
        for (_, value) in pairs(query).filter(|(name, _)| name == "cardid") {
            let card: Option<Guid> = value.parse().ok();
            if card.is_none() || (card != serial && card != Some(objects::CARD_UUID)) {
                return Answer::nothing();
            }
        }
        Answer::json(objects::smartcard(&self.templates))
    }
}

/// Why there is no object to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    BadId,
    Unknown,
}

impl From<Missing> for Answer {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::BadId => bad_id(),
            Missing::Unknown => Self::nothing(),
        }
    }
}

fn found_template(template: &Template) -> Answer {
    Answer::json(objects::template(template))
}

/// Answers with the one object of its kind that there is.
fn owned(id: Id, uuid: Guid, object: impl FnOnce() -> Vec<u8>) -> Answer {
    match id {
        Id::Guid(asked) if asked == uuid => Answer::json(object()),
        Id::Guid(_) => Answer::nothing(),
        Id::Bad => bad_id(),
    }
}

fn guid(id: Id) -> Result<Guid, Answer> {
    match id {
        Id::Guid(guid) => Ok(guid),
        Id::Bad => Err(bad_id()),
    }
}

/// The pages list nothing for an id that is no GUID; *chosen*.
fn bad_id() -> Answer {
    Answer::internal_error(Some("the id is not a GUID"))
}

/// Only the value `current` is supported, says the page; not what another one gives.
fn unsupported_target() -> Answer {
    Answer::internal_error(Some("the target user is not supported"))
}

fn current(value: &str) -> Option<Guid> {
    value.eq_ignore_ascii_case("current").then_some(CALLER)
}

/// The parameters of a query, their names in lower case.
fn pairs(query: Option<&str>) -> impl Iterator<Item = (String, String)> + '_ {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
}

const fn needs_card(kind: RequestType) -> bool {
    matches!(kind, RequestType::Unblock | RequestType::OfflineUnblock | RequestType::TemporaryCards)
}

/// Policies call the type of temporary cards otherwise than requests do.
fn workflow_type(name: &str) -> Option<RequestType> {
    if name.eq_ignore_ascii_case("TemporaryEnroll") {
        return Some(RequestType::TemporaryCards);
    }
    name.parse().ok().filter(|kind| *kind != RequestType::TemporaryCards)
}
