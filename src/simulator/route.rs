//! Which route of the API a path means.

use http::Method;

use super::fault::CallKind;
use crate::request::Guid;

/// The base of all routes.
pub(crate) const BASE: &str = "/CertificateManagement/api/v1.0";

/// Where the arrivals are given as JSON. Outside the base, so that no fault concerns it.
pub(crate) const ARRIVALS: &str = "/__cmbatch/arrivals";

/// An id in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    Guid(Guid),
    /// The segment is no GUID.
    Bad,
}

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    CreateRequest,
    ListRequests,
    ReadRequest(Id),
    ChangeRequest(Id),
    Templates,
    Template(Id),
    Policy {
        template: Id,
        workflow: String,
    },
    Profiles,
    Profile(Id),
    ProfileOperations(Id),
    Smartcards,
    Smartcard(Id),
    SmartcardOperations(Id),
    /// A path of the API with another method than it has.
    WrongMethod,
    /// Below the base, but none of the API.
    Unknown,
    /// The log of arrivals.
    Arrivals,
    /// Anything else.
    Outside,
}

impl Route {
    /// Reads a method and a path. Case does not matter and neither does a slash at the end: both are inferred, the first
    /// from the published pages, which mix cases. A proxy before it may leave its own prefix there.
    pub(crate) fn read(method: &Method, path: &str) -> Self {
        if path == ARRIVALS {
            return Self::Arrivals;
        }
        let Some(rest) = behind_base(path) else { return Self::Outside };
        let Some(rest) = rest.strip_prefix('/') else { return Self::Outside };
        let rest = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let segments: Vec<&str> = rest.split('/').collect();
        let get = *method == Method::GET;
        let route = match segments.as_slice() {
            ["requests"] if *method == Method::POST => return Self::CreateRequest,
            ["requests", one] if *method == Method::PUT => return Self::ChangeRequest(id(one)),
            ["requests"] => Self::ListRequests,
            ["requests", one] => Self::ReadRequest(id(one)),
            ["profiletemplates"] => Self::Templates,
            ["profiletemplates", one] => Self::Template(id(one)),
            // One page has both forms of this path.
            ["profiletemplates", one, "policy", "workflow", kind] | ["profiletemplates", one, "policies", kind] => {
                Self::Policy { template: id(one), workflow: (*kind).to_owned() }
            }
            ["profiles"] => Self::Profiles,
            ["profiles", one] => Self::Profile(id(one)),
            ["profiles", one, "operations"] => Self::ProfileOperations(id(one)),
            ["smartcards"] => Self::Smartcards,
            ["smartcards", one] => Self::Smartcard(id(one)),
            ["smartcards", one, "operations"] => Self::SmartcardOperations(id(one)),
            _ => return Self::Unknown,
        };
        if get { route } else { Self::WrongMethod }
    }

    /// Returns what kind of call this is for faults; none outside the API.
    pub(crate) fn call_kind(&self) -> Option<CallKind> {
        match self {
            Self::CreateRequest => Some(CallKind::Create),
            Self::ListRequests => Some(CallKind::List),
            Self::ReadRequest(_) => Some(CallKind::Get),
            Self::ChangeRequest(_) => Some(CallKind::Put),
            Self::Templates
            | Self::Template(_)
            | Self::Policy { .. }
            | Self::Profiles
            | Self::Profile(_)
            | Self::ProfileOperations(_)
            | Self::Smartcards
            | Self::Smartcard(_)
            | Self::SmartcardOperations(_)
            | Self::WrongMethod
            | Self::Unknown => Some(CallKind::Other),
            Self::Arrivals | Self::Outside => None,
        }
    }
}

fn behind_base(path: &str) -> Option<&str> {
    match path.split_at_checked(BASE.len()) {
        Some((base, rest)) if base.eq_ignore_ascii_case(BASE) => Some(rest),
        _ => {
            let at = path.to_ascii_lowercase().find(&BASE.to_ascii_lowercase())?;
            path.get(at + BASE.len()..)
        }
    }
}

fn id(segment: &str) -> Id {
    segment.parse().map_or(Id::Bad, Id::Guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_any_case_lead_to_their_route() {
        let guid = Guid::from_bytes([0xAB; 16]);
        let id = Id::Guid(guid);
        let enroll = || Route::Policy { template: id, workflow: "enroll".to_owned() };
        for (method, path, route) in [
            (Method::POST, "/requests".to_owned(), Route::CreateRequest),
            (Method::GET, "/Requests/".to_owned(), Route::ListRequests),
            (Method::GET, format!("/requests/{guid}"), Route::ReadRequest(id)),
            (Method::GET, format!("/requests/{}", guid.to_string().to_uppercase()), Route::ReadRequest(id)),
            (Method::GET, "/requests/17".to_owned(), Route::ReadRequest(Id::Bad)),
            (Method::PUT, format!("/requests/{guid}"), Route::ChangeRequest(id)),
            (Method::DELETE, format!("/requests/{guid}"), Route::WrongMethod),
            (Method::GET, "/profiletemplates".to_owned(), Route::Templates),
            (Method::GET, format!("/profiletemplates/{guid}"), Route::Template(id)),
            (Method::GET, format!("/profiletemplates/{guid}/policies/Enroll"), enroll()),
            (Method::GET, format!("/profileTemplates/{guid}/policy/workflow/enroll"), enroll()),
            (Method::GET, "/profiles".to_owned(), Route::Profiles),
            (Method::GET, format!("/profiles/{guid}"), Route::Profile(id)),
            (Method::GET, format!("/profiles/{guid}/operations"), Route::ProfileOperations(id)),
            (Method::GET, "/smartcards".to_owned(), Route::Smartcards),
            (Method::GET, format!("/smartcards/{guid}"), Route::Smartcard(id)),
            (Method::GET, format!("/smartcards/{guid}/operations"), Route::SmartcardOperations(id)),
            (Method::GET, "/certificates".to_owned(), Route::Unknown),
            (Method::GET, "/".to_owned(), Route::Unknown),
            (Method::GET, String::new(), Route::Outside),
            (Method::GET, "x/requests".to_owned(), Route::Outside),
        ] {
            for base in [BASE.to_owned(), BASE.to_lowercase()] {
                assert_eq!(Route::read(&method, &format!("{base}{path}")), route, "{method} {path}");
            }
        }
        let prefixed = "/krb/certificatemanagement/api/v1.0/requests";
        assert_eq!(Route::read(&Method::POST, prefixed), Route::CreateRequest);
        assert_eq!(Route::read(&Method::POST, "/api/v1.0/requests"), Route::Outside);
        assert_eq!(Route::read(&Method::POST, "/CertificateManagement/api/v1.\u{e9}"), Route::Outside);
        assert_eq!(Route::read(&Method::GET, ARRIVALS), Route::Arrivals);
    }
}
