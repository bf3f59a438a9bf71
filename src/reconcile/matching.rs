//! Whether a request on the server is what a row asked for.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::client::RequestObject;
use crate::request::{CreateRequest, Guid, RequestType, Tag};

/// How far the server's clock may be from this machine's where a request keeps a row from being absent: a wrong clock or a
/// wrong time zone must not make that a request is sent twice.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(26);

/// Returns the time that is so much earlier, or the earliest there is.
pub(super) fn before(at: Timestamp, leeway: SignedDuration) -> Timestamp {
    at.saturating_sub(leeway).unwrap_or(Timestamp::MIN)
}

/// A property in which a request on the server is not what its row asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// Its comment has no tag, or another one: the server cuts or rewrites comments.
    Tag {
        /// The tag that was sent.
        sent: Tag,
        /// The comment that the server has. Text from outside.
        found: String,
    },
    /// A GUID is another one.
    Guid {
        /// The property as manifests name it: `target`, `profiletemplateuuid`, `smartcard`, `profile`.
        property: &'static str,
        /// The row's.
        sent: Guid,
        /// The server's.
        found: Option<Guid>,
    },
    /// Its type is another one. Looked at only where the numbers of types are confirmed.
    Type {
        /// The row's.
        sent: RequestType,
        /// The number that the server has; none where it has none.
        found: Option<i64>,
    },
}

impl Disagreement {
    /// Returns whether the server says nothing of the property, rather than something else.
    pub(super) const fn is_unnamed(&self) -> bool {
        matches!(self, Self::Guid { found: None, .. })
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { sent, found } => {
                let found = crate::request::printable(found);
                write!(f, "its comment is \"{found}\" and does not have the tag {sent} that was sent")
            }
            Self::Guid { property, sent, found: Some(found) } => {
                write!(f, "its {property} is {found}, and the row's is {sent}")
            }
            Self::Guid { property, sent, found: None } => {
                write!(f, "it has no {property}, and the row's is {sent}")
            }
            Self::Type { sent, found: Some(found) } => {
                write!(f, "its type is number {found}, and the row's is {sent}")
            }
            Self::Type { sent, found: None } => write!(f, "its type cannot be read, and the row's is {sent}"),
        }
    }
}

/// Returns in what a request on the server differs from what a row asked for; nothing where it is the row's.
///
/// The comment must hold the tag (where tags are sent). Target and template must be the row's where the row names them, and the type
/// where its number is known. Profile and card are compared where the row names them and the server filled one in: no page says when it does.
pub fn disagreements(request: &CreateRequest, tag: Option<Tag>, found: &RequestObject) -> Vec<Disagreement> {
    let mut all = Vec::new();
    if let Some(sent) = tag
        && Tag::all_in(&found.comment).all(|tag| tag != sent)
    {
        all.push(Disagreement::Tag { sent, found: found.comment.clone() });
    }
    let mut compare = |property, sent: Option<Guid>, found: Option<Guid>| {
        if let Some(sent) = sent
            && found != Some(sent)
        {
            all.push(Disagreement::Guid { property, sent, found });
        }
    };
    compare("target", request.target, found.target);
    compare("profiletemplateuuid", request.template, found.template);
    if found.old_smartcard.is_some() {
        compare("smartcard", request.smartcard, found.old_smartcard);
    }
    if found.old_profile.is_some() {
        compare("profile", request.profile, found.old_profile);
    }
    if !type_may_be(request.kind, found.request_type) {
        all.push(Disagreement::Type { sent: request.kind, found: found.request_type });
    }
    all
}

/// Checks the request that a person says is the row's (`cmbatch settle --created`): all that [`disagreements`] looks at, and that
/// it has a type.
///
/// # Errors
/// In what the request is not the row's.
///
/// ```
/// use cmbatch::client::RequestObject;
/// use cmbatch::reconcile::{Disagreement, check_person};
/// use cmbatch::request::{CreateRequest, RequestType};
/// let found = br#"{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":5,"Status":3,"Comment":""}"#;
/// let found = RequestObject::from_json(found).unwrap();
/// assert_eq!(check_person(&CreateRequest::new(RequestType::Unblock), None, &found), Ok(()));
/// let wrong = check_person(&CreateRequest::new(RequestType::Enroll), None, &found);
/// assert_eq!(wrong, Err(vec![Disagreement::Type { sent: RequestType::Enroll, found: Some(5) }]));
/// ```
pub fn check_person(request: &CreateRequest, tag: Option<Tag>, found: &RequestObject) -> Result<(), Vec<Disagreement>> {
    let mut all = disagreements(request, tag, found);
    if found.request_type.is_none() {
        all.push(Disagreement::Type { sent: request.kind, found: found.request_type });
    }
    if all.is_empty() { Ok(()) } else { Err(all) }
}

/// Returns whether a request whose type has this number on the server may be of this type. The numbers of most types are not
/// known; what is known is that a number which is another type's is not theirs. Where the server gives none, it may be any.
pub(super) fn type_may_be(sent: RequestType, found: Option<i64>) -> bool {
    let Some(found) = found else { return true };
    match sent.confirmed_number() {
        Some(number) => number == found,
        None => !RequestType::ALL.iter().any(|known| known.confirmed_number() == Some(found)),
    }
}

#[cfg(test)]
mod tests;
