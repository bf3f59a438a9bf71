//! The `--fault` syntax: `[scope:]name[=value][,when][,parameter=value]`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use super::error::FaultError;
use super::kind::{
    CallKind, Connection, Delivery, FaultKind, Judgment, Listing, Making, Manner, Refusal, RetryAfter, Scope, Token,
};
use super::table;
use crate::request::{Guid, RequestType};
use crate::simulator::chance::{Share, When};
use crate::simulator::script::LatencyRange;
use crate::simulator::units::{Pace, parse_span};

/// One thing that goes wrong on the simulated server.
///
/// ```
/// use cmbatch::simulator::Fault;
/// for text in ["503=5%,retry-after=2", "list:500=first 2", "drop-after-create=at 7", "reboot-after=1000,reboot-for=5s"] {
///     assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
/// }
/// let error = "drop-befor=1%".parse::<Fault>().unwrap_err();
/// assert!(error.to_string().contains("did you mean \"drop-before\""));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) scope: Scope,
    pub(crate) when: When,
    text: String,
}

impl fmt::Display for Fault {
    /// Writes the fault as it was given, but never a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Finds the name that a mistyped one is nearest to, where one is near at all.
fn near<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(&text.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, name)| name)
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (scope, bare) = split_scope(text)?;
        let mut words = Words::split(bare)?;
        let kind = kind(&mut words)?;
        words.expect_no_more()?;
        let when = words.when.map_or(When::Always, |(when, _)| when);
        let scope = resolve_scope(&kind, scope, words.name)?;
        let text = if words.name == "token" { "token=...".to_owned() } else { text.to_owned() };
        Ok(Self { kind, scope, when, text })
    }
}

/// A scope with its name.
type WrittenScope<'a> = (&'a str, Scope);

/// Takes `list:` off `list:500=first 2`. A colon behind the first `=` is part of a value.
fn split_scope(text: &str) -> Result<(Option<WrittenScope<'_>>, &str), FaultError> {
    let name_end = text.find('=').unwrap_or(text.len());
    let Some(colon) = text[..name_end].find(':') else { return Ok((None, text)) };
    let (scope, bare) = (&text[..colon], &text[colon + 1..]);
    match Scope::NAMES.into_iter().find(|(name, _)| *name == scope) {
        Some((_, known)) => Ok((Some((scope, known)), bare)),
        None => Err(FaultError::UnknownScope { scope: scope.to_owned() }),
    }
}

/// Where a fault looks: at these calls unless another scope is written, or at these alone.
enum ScopeRule {
    Unless(Scope),
    Fixed(CallKind, &'static str),
}

fn scope_rule(kind: &FaultKind) -> ScopeRule {
    let create = ScopeRule::Fixed(CallKind::Create, "create");
    match kind {
        FaultKind::Refuse(Refusal::ApiDisabled | Refusal::Unauthorized | Refusal::Token(_))
        | FaultKind::Manner(Manner::Latency(_))
        | FaultKind::Connection(Connection::CloseIdle(_)) => ScopeRule::Unless(Scope::Any),
        FaultKind::Refuse(Refusal::Status { .. } | Refusal::Drop | Refusal::Html | Refusal::Throttle { .. })
        | FaultKind::Deliver(Delivery::Truncate)
        | FaultKind::Manner(Manner::AnswerDelay(_) | Manner::Slow(_) | Manner::HangUp) => {
            ScopeRule::Unless(Scope::Only(CallKind::Create))
        }
        FaultKind::Judge(_)
        | FaultKind::Make(_)
        | FaultKind::Deliver(
            Delivery::Status { .. }
            | Delivery::Drop
            | Delivery::Garbage
            | Delivery::Empty
            | Delivery::Null
            | Delivery::LocationOnly
            | Delivery::RootedUri,
        )
        | FaultKind::Connection(Connection::Reboot { .. }) => create,
        FaultKind::List(_) => ScopeRule::Fixed(CallKind::List, "list"),
    }
}

fn resolve_scope(kind: &FaultKind, written: Option<WrittenScope<'_>>, name: &str) -> Result<Scope, FaultError> {
    match (scope_rule(kind), written) {
        (ScopeRule::Unless(scope), None) => Ok(scope),
        (ScopeRule::Unless(_), Some((_, scope))) => Ok(scope),
        (ScopeRule::Fixed(call, belongs), Some((text, scope))) if scope != Scope::Only(call) => {
            Err(FaultError::WrongScope { name: name.to_owned(), scope: text.to_owned(), belongs })
        }
        (ScopeRule::Fixed(call, _), _) => Ok(Scope::Only(call)),
    }
}

/// A fault's text in its parts; each part is taken out as it is understood.
struct Words<'a> {
    name: &'a str,
    value: Option<&'a str>,
    when: Option<(When, &'a str)>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn split(text: &'a str) -> Result<Self, FaultError> {
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let (name, value) = match first.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (first, None),
        };
        let mut words = Self { name, value, when: None, parameters: Vec::new() };
        for part in parts {
            match part.split_once('=') {
                Some(parameter) => words.parameters.push(parameter),
                None => words.set_when(part)?,
            }
        }
        Ok(words)
    }

    fn set_when(&mut self, text: &'a str) -> Result<(), FaultError> {
        let when = When::parse(text)
            .ok_or_else(|| FaultError::BadWhen { name: self.name.to_owned(), text: text.to_owned() })?;
        match self.when.replace((when, text)) {
            None => Ok(()),
            Some((_, other)) => Err(FaultError::NoWhen { name: self.name.to_owned(), text: other.to_owned() }),
        }
    }

    /// The value says which calls: `503=5%`; without one, all.
    fn value_is_when(&mut self) -> Result<(), FaultError> {
        match self.value.take() {
            Some(text) => self.set_when(text),
            None => Ok(()),
        }
    }

    fn example(&self) -> &'static str {
        table::example(self.name)
    }

    fn value(&self) -> Result<&'a str, FaultError> {
        self.value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| FaultError::NoValue { name: self.name.to_owned(), example: self.example() })
    }

    fn bad_value(&self, value: &str) -> FaultError {
        FaultError::BadValue { name: self.name.to_owned(), value: value.to_owned(), example: self.example() }
    }

    /// Reads the value, or says how it is written.
    fn value_as<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, FaultError> {
        let value = self.value()?;
        parse(value).ok_or_else(|| self.bad_value(value))
    }

    fn guid(&self) -> Result<Guid, FaultError> {
        let value = self.value()?;
        value.parse().map_err(|reason| FaultError::BadGuid {
            name: self.name.to_owned(),
            value: value.to_owned(),
            reason,
        })
    }

    fn span(&self, text: &str) -> Result<Duration, FaultError> {
        parse_span(text).map_err(|reason| FaultError::BadSpan { name: self.name.to_owned(), reason })
    }

    fn latency(&self) -> Result<LatencyRange, FaultError> {
        self.value()?.parse().map_err(|reason| FaultError::BadLatency { name: self.name.to_owned(), reason })
    }

    fn parameter(&mut self, name: &str) -> Option<&'a str> {
        let place = self.parameters.iter().position(|(known, _)| *known == name)?;
        Some(self.parameters.remove(place).1)
    }

    fn retry_after(&mut self) -> Result<Option<RetryAfter>, FaultError> {
        let seconds = |text: &str| text.parse::<u32>().map_err(|_| self.bad_value(text));
        if let Some(place) = self.parameters.iter().position(|(name, _)| name.starts_with("retry-after")) {
            let (name, text) = self.parameters[place];
            let read = match name {
                "retry-after" if text == "none" => RetryAfter::Absent,
                "retry-after" => RetryAfter::Seconds(seconds(text)?),
                "retry-after-date" => RetryAfter::Date(seconds(text)?),
                _ => return Ok(None),
            };
            self.parameters.remove(place);
            return Ok(Some(read));
        }
        Ok(None)
    }

    /// For faults that happen once, or all the time.
    fn refuse_when(&self) -> Result<(), FaultError> {
        match self.when {
            None => Ok(()),
            Some((_, text)) => Err(FaultError::NoWhen { name: self.name.to_owned(), text: text.to_owned() }),
        }
    }

    fn expect_no_more(&self) -> Result<(), FaultError> {
        match self.parameters.first() {
            None => Ok(()),
            Some((parameter, _)) => Err(FaultError::UnknownParameter {
                name: self.name.to_owned(),
                parameter: (*parameter).to_owned(),
                example: self.example(),
            }),
        }
    }
}

fn kind(words: &mut Words<'_>) -> Result<FaultKind, FaultError> {
    if words.name.len() == 3 && words.name.bytes().all(|byte| byte.is_ascii_digit()) {
        let status = status(words.name)?;
        words.value_is_when()?;
        let retry_after = words.retry_after()?.unwrap_or(RetryAfter::Absent);
        return Ok(FaultKind::Refuse(Refusal::Status { status, retry_after }));
    }
    if let Some(number) = words.name.strip_prefix("created-") {
        let status = status(number)?;
        words.value_is_when()?;
        let retry_after = words.retry_after()?.unwrap_or(RetryAfter::Absent);
        return Ok(FaultKind::Deliver(Delivery::Status { status, retry_after }));
    }
    if let Some(kind) = bare_kind(words.name) {
        words.value_is_when()?;
        return Ok(kind);
    }
    valued_kind(words)
}

/// The faults whose value, if there is one, only says which calls they meet.
fn bare_kind(name: &str) -> Option<FaultKind> {
    Some(match name {
        "drop-before" => FaultKind::Refuse(Refusal::Drop),
        "html" => FaultKind::Refuse(Refusal::Html),
        "api-disabled" => FaultKind::Refuse(Refusal::ApiDisabled),
        "unauthorized" => FaultKind::Refuse(Refusal::Unauthorized),
        "deny" => FaultKind::Make(Making::Deny),
        "fail" => FaultKind::Make(Making::Fail),
        "drop-after-create" => FaultKind::Deliver(Delivery::Drop),
        "truncate" => FaultKind::Deliver(Delivery::Truncate),
        "garbage" => FaultKind::Deliver(Delivery::Garbage),
        "empty-201" => FaultKind::Deliver(Delivery::Empty),
        "null-location" => FaultKind::Deliver(Delivery::Null),
        "location-only" => FaultKind::Deliver(Delivery::LocationOnly),
        "rooted-uri" => FaultKind::Deliver(Delivery::RootedUri),
        "hang-up" => FaultKind::Manner(Manner::HangUp),
        _ => return None,
    })
}

/// The faults with a value of their own.
fn valued_kind(words: &mut Words<'_>) -> Result<FaultKind, FaultError> {
    Ok(match words.name {
        "token" => FaultKind::Refuse(Refusal::Token(Token::new(words.value()?))),
        "throttle" => throttle(words)?,
        "forbid-type" => FaultKind::Judge(Judgment::ForbidType(request_type(words)?)),
        "forbid-template" => FaultKind::Judge(Judgment::ForbidTemplate(words.guid()?)),
        "forbid-target" => FaultKind::Judge(Judgment::ForbidTarget(words.guid()?)),
        "already-revoked" => FaultKind::Judge(Judgment::AlreadyRevoked(words.value_as(Share::parse)?)),
        "comment-limit" => FaultKind::Make(Making::CommentLimit(words.value_as(|text| text.parse().ok())?)),
        "latency" => FaultKind::Manner(Manner::Latency(words.latency()?)),
        "answer-delay" => FaultKind::Manner(Manner::AnswerDelay(words.latency()?)),
        "slow" => {
            words.value_is_when()?;
            let pause = match words.parameter("pause") {
                Some(text) => words.span(text)?,
                None => DEFAULT_PAUSE,
            };
            FaultKind::Manner(Manner::Slow(pause))
        }
        "list-hides" => FaultKind::List(Listing::Hides(words.value_as(Share::parse)?)),
        "list-lags" => FaultKind::List(Listing::Lags(words.span(words.value()?)?)),
        "reboot-after" => {
            words.refuse_when()?;
            let after = words.value_as(|text| text.parse().ok().filter(|calls| *calls > 0))?;
            let down = match words.parameter("reboot-for") {
                Some(text) => words.span(text)?,
                None => DEFAULT_DOWN,
            };
            FaultKind::Connection(Connection::Reboot { after, down })
        }
        "close-idle" => {
            words.refuse_when()?;
            FaultKind::Connection(Connection::CloseIdle(words.span(words.value()?)?))
        }
        name => {
            let near = near(name, table::names());
            return Err(FaultError::UnknownName { name: name.to_owned(), near });
        }
    })
}

/// The pause between two bytes of a slow answer: a whole one takes about three seconds.
const DEFAULT_PAUSE: Duration = Duration::from_millis(50);

/// How long a reboot lasts.
const DEFAULT_DOWN: Duration = Duration::from_secs(5);

fn throttle(words: &mut Words<'_>) -> Result<FaultKind, FaultError> {
    let pace = words.value_as(Pace::parse)?;
    let burst = match words.parameter("burst") {
        Some(text) => text.parse::<NonZeroU32>().map_err(|_| words.bad_value(text))?.get(),
        None => pace.per_second(),
    };
    Ok(FaultKind::Refuse(Refusal::Throttle { pace, burst, retry_after: words.retry_after()? }))
}

fn request_type(words: &Words<'_>) -> Result<RequestType, FaultError> {
    let value = words.value()?;
    value.parse().map_err(|_| FaultError::BadType {
        name: words.name.to_owned(),
        value: value.to_owned(),
        near: near(value, RequestType::ALL.iter().map(|kind| kind.as_str())),
    })
}

/// Takes the statuses that end a call. 201 is what a create call hopes for.
fn status(text: &str) -> Result<StatusCode, FaultError> {
    let bad = || FaultError::BadStatus { status: text.to_owned() };
    let status: StatusCode = text.parse().map_err(|_| bad())?;
    let answers = (200..=599).contains(&status.as_u16()) && status != StatusCode::CREATED;
    if answers { Ok(status) } else { Err(bad()) }
}

#[cfg(test)]
mod tests;
