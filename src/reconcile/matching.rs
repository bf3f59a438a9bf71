//! Whether a request on the server is what a row asked for.

use std::fmt;

use crate::client::RequestObject;
use crate::request::{CreateRequest, Guid, Tag};

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
        }
    }
}

/// Returns in what a request on the server differs from what a row asked for; nothing where it is the row's.
///
/// The comment must hold the tag (where tags are sent). Target and template must be the row's where the row names them.
/// Profile and card are compared where the row names them and the server filled one in: no page says when it does.
pub fn disagreements(request: &CreateRequest, tag: Option<Tag>, found: &RequestObject) -> Vec<Disagreement> {
    let mut all = Vec::new();
    if let Some(sent) = tag
        && Tag::find(&found.comment) != Some(sent)
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
    all
}
