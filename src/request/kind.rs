//! The twelve request types of the API.

use std::fmt;
use std::str::FromStr;

use super::guid::Guid;

/// A request type, as the table of the *Create request* page names it.
///
/// Parsing takes any case; writing gives the exact case of the page.
///
/// ```
/// use cmbatch::request::RequestType;
/// assert_eq!("offlineunblock".parse::<RequestType>().unwrap().as_str(), "OfflineUnblock");
/// assert!("Enrol".parse::<RequestType>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestType {
    /// A first certificate or card for the target.
    Enroll,
    /// A copy of an existing profile.
    Duplicate,
    /// Unblock a card without a connection to the server.
    OfflineUnblock,
    /// Bring a profile in line with its template, on line.
    OnlineUpdate,
    /// Renew the certificates of a profile.
    Renew,
    /// Recover the target's own profile.
    Recover,
    /// Recover a profile on behalf of someone else.
    RecoverOnBehalf,
    /// Bring a suspended profile back.
    Reinstate,
    /// Retire a card or profile. Takes certificates away.
    Retire,
    /// Revoke the certificates of a profile. Takes certificates away.
    Revoke,
    /// Issue temporary cards.
    TemporaryCards,
    /// Unblock a card.
    Unblock,
}

impl RequestType {
    /// All types, in the order of the published table.
    pub const ALL: [Self; 12] = [
        Self::Enroll,
        Self::Duplicate,
        Self::OfflineUnblock,
        Self::OnlineUpdate,
        Self::Renew,
        Self::Recover,
        Self::RecoverOnBehalf,
        Self::Reinstate,
        Self::Retire,
        Self::Revoke,
        Self::TemporaryCards,
        Self::Unblock,
    ];

    /// Returns the name in the exact case of the published page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "Enroll",
            Self::Duplicate => "Duplicate",
            Self::OfflineUnblock => "OfflineUnblock",
            Self::OnlineUpdate => "OnlineUpdate",
            Self::Renew => "Renew",
            Self::Recover => "Recover",
            Self::RecoverOnBehalf => "RecoverOnBehalf",
            Self::Reinstate => "Reinstate",
            Self::Retire => "Retire",
            Self::Revoke => "Revoke",
            Self::TemporaryCards => "TemporaryCards",
            Self::Unblock => "Unblock",
        }
    }

    /// Returns whether the type takes certificates away, so that a run with it needs `--confirm`.
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Revoke | Self::Retire)
    }

    /// Returns the number that a `Request` object carries for this type, where it is confirmed:
    /// 1, 5 and 6 by published examples; no page gives the others.
    pub const fn confirmed_number(self) -> Option<i64> {
        match self {
            Self::Enroll => Some(1),
            Self::Unblock => Some(5),
            Self::Duplicate => Some(6),
            Self::OfflineUnblock
            | Self::OnlineUpdate
            | Self::Renew
            | Self::Recover
            | Self::RecoverOnBehalf
            | Self::Reinstate
            | Self::Retire
            | Self::Revoke
            | Self::TemporaryCards => None,
        }
    }
}

impl fmt::Display for RequestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A request type and the profile template that it is asked for: what rights, policies and a first try are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKind {
    /// The type.
    pub request_type: RequestType,
    /// The profile template; none where the row names none.
    pub template: Option<Guid>,
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.template {
            Some(template) => write!(f, "{} of template {template}", self.request_type),
            None => write!(f, "{} without a template", self.request_type),
        }
    }
}

/// The text is none of the twelve request types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the 12 request types")]
pub struct UnknownType;

impl FromStr for RequestType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_parses_from_any_case_and_prints_the_published_one() {
        for kind in RequestType::ALL {
            let name = kind.as_str();
            for text in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(text.parse(), Ok(kind));
            }
            assert_eq!(kind.to_string(), name);
        }
        assert_eq!("Enroll ".parse::<RequestType>(), Err(UnknownType));
        assert_eq!("".parse::<RequestType>(), Err(UnknownType));
    }

    #[test]
    fn only_revoke_and_retire_take_certificates_away() {
        let destructive: Vec<_> = RequestType::ALL.into_iter().filter(|kind| kind.is_destructive()).collect();
        assert_eq!(destructive, [RequestType::Retire, RequestType::Revoke]);
    }
}
