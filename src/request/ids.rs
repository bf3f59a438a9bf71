//! Identifiers, each with a type of its own.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::guid::{Guid, InvalidGuid};

/// The number of a row in a run, from 1, in manifest order over all its manifests; invalid rows count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(NonZeroU32);

impl RowId {
    /// Returns the row of this number, or none for 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number, from 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<NonZeroU32> for RowId {
    fn from(number: NonZeroU32) -> Self {
        Self(number)
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number of an attempt on one row, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptNo(NonZeroU32);

impl AttemptNo {
    /// The first attempt.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Returns the attempt of this number, or none for 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number, from 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Returns the attempt after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The id of a run: 16 random bytes, made when a ledger is loaded and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(Guid);

impl RunId {
    /// Returns a new random id.
    pub fn random() -> Self {
        Self(Guid::random())
    }

    /// Returns the id of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Guid::from_bytes(bytes))
    }

    /// Returns the 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The uuid of a request on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestUuid(Guid);

impl RequestUuid {
    /// Returns the request uuid of this GUID.
    pub const fn new(guid: Guid) -> Self {
        Self(guid)
    }

    /// Returns the GUID.
    pub const fn guid(&self) -> &Guid {
        &self.0
    }
}

impl fmt::Display for RequestUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The URI of a created request as the server gave it, and the uuid in its last path segment.
///
/// The published pages show two forms, `api/v1.0/requests/<guid>` and
/// `/CertificateManagement/api/v1.0/requests/<guid>`; only the last segment is relied on, and the URI is never dereferenced.
///
/// ```
/// use cmbatch::request::RequestUri;
/// let uri: RequestUri = "api/v1.0/requests/a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099".parse().unwrap();
/// assert_eq!(uri.uuid().to_string(), "a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestUri {
    text: String,
    uuid: RequestUuid,
}

impl RequestUri {
    /// The longest URI that is taken, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// Returns the URI that the API's page on creating requests shows for this request, for requests that were not created by
    /// an answer that had one.
    ///
    /// # Errors
    /// The uuid is zero, which is no request's.
    pub fn published(uuid: RequestUuid) -> Result<Self, InvalidGuid> {
        format!("api/v1.0/requests/{uuid}").parse()
    }

    /// Returns the URI as the server wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the uuid of the request.
    pub const fn uuid(&self) -> RequestUuid {
        self.uuid
    }
}

impl FromStr for RequestUri {
    type Err = InvalidGuid;

    /// Takes a URI whose last path segment is a GUID other than zero; a query or fragment is not taken.
    fn from_str(text: &str) -> Result<Self, InvalidGuid> {
        // Of ASCII's characters just the graphic ones are neither control characters nor spaces.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_clean = is_plain || !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if text.len() > Self::MAX_BYTES || !is_clean {
            return Err(InvalidGuid);
        }
        let path = text.trim_end_matches('/');
        let segment = path.rsplit_once('/').map_or(path, |(_, segment)| segment);
        let guid: Guid = segment.parse()?;
        if guid.is_zero() {
            return Err(InvalidGuid);
        }
        Ok(Self { text: text.to_owned(), uuid: RequestUuid(guid) })
    }
}

/// The id under which the server logged an unhandled exception; it stands in the message of a 500
/// (*CM REST API service details*). Kept as text: no page gives its form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// Returns the correlation id of this text, cut to 128 characters.
    pub fn new(text: &str) -> Self {
        Self(text.chars().take(128).collect())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_uris_of_both_published_forms_give_their_uuid() {
        for text in [
            "api/v1.0/requests/0c96d73f-967b-420e-854a-43ad2a1504bc",
            "/CertificateManagement/api/v1.0/requests/0c96d73f-967b-420e-854a-43ad2a1504bc",
            "https://cm.example.test/CertificateManagement/api/v1.0/requests/0C96D73F-967B-420E-854A-43AD2A1504BC/",
            "0c96d73f-967b-420e-854a-43ad2a1504bc",
        ] {
            let uri: RequestUri = text.parse().unwrap();
            assert_eq!(uri.uuid().to_string(), "0c96d73f-967b-420e-854a-43ad2a1504bc");
            assert_eq!(uri.as_str(), text);
        }
        for bad in [
            "",
            "api/v1.0/requests/",
            "api/v1.0/requests/17",
            "api/v1.0/requests/00000000-0000-0000-0000-000000000000",
            "api/v1.0/requests/0c96d73f-967b-420e-854a-43ad2a1504bc?x=1",
            "api /0c96d73f-967b-420e-854a-43ad2a1504bc",
        ] {
            assert!(bad.parse::<RequestUri>().is_err(), "{bad}");
        }
    }
}
