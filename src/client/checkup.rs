//! Looking at a server without changing anything there, for a person who wants to know why calls fail.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::header;
use reqwest::Response;
use reqwest::tls::TlsInfo;
use serde::de::IgnoredAny;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::answer::TransportFault;
use super::body::{self, Broken};
use super::call::Client;
use super::error::ReadError;
use super::message;

/// The most that is read of the list of profile templates, in bytes.
const MAX_TEMPLATES_BYTES: usize = 16 * 1024 * 1024;

/// What one call that only reads showed.
#[derive(Debug)]
pub struct Look {
    /// The status of the answer.
    pub status: u16,
    /// How long its head took.
    pub took: Duration,
    /// The server's clock when it answered (`Date`).
    pub date: Option<SystemTime>,
    /// The server's certificate, where the call went over TLS.
    pub certificate: Option<ServerCertificate>,
    /// What the answer says where it is an error, at most 4 KiB; text from outside.
    pub said: String,
    /// Why the answer is not the list that it should be, where it says that it is.
    pub unread: Option<ReadError>,
}

/// What a server's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Whose it is.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// How many days it is good yet; negative where it is over.
    pub days_left: i64,
}

impl ServerCertificate {
    fn of_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let left = certificate.validity().not_after.timestamp().checked_sub(i64::try_from(now).ok()?)?;
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            days_left: left.div_euclid(24 * 3600),
        })
    }
}

/// Returns the addresses that a name has.
///
/// # Errors
/// It has none, or nobody could be asked.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
}

/// Connects to the first of these addresses that answers, and returns it with the time it took.
///
/// # Errors
/// None does within `timeout`; the last one's error.
pub async fn connect(addresses: &[SocketAddr], timeout: Duration) -> io::Result<(SocketAddr, Duration)> {
    let mut last = io::Error::other("there is no address");
    for address in addresses {
        let begin = Instant::now();
        match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok((*address, begin.elapsed())),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {timeout:?}")),
        }
    }
    Err(last)
}

impl Client {
    /// Calls the list of profile templates (`GET …/api/v1.0/profiletemplates`), which changes nothing. The certificate is told
    /// where the endpoint says so ([`keep_certificate`](super::Endpoint::keep_certificate)).
    ///
    /// # Errors
    /// No answer came. A status is none.
    pub async fn look(&self) -> Result<Look, ReadError> {
        let begin = Instant::now();
        let response = match self.templates().await {
            // A proxy may end a connection behind its answer without a word, just when the next call takes it up.
            Err(error) if error.is_connection_lost() => self.templates().await?,
            answered => answered?,
        };
        let look = look_of(&response, begin.elapsed());
        if response.status().is_success() {
            return Ok(Look { unread: read_templates(response).await.err(), ..look });
        }
        let said = match self.status_error(response).await {
            ReadError::Status { message, .. } => message,
            _ => String::new(),
        };
        Ok(Look { said, ..look })
    }

    /// Makes the same call without signing in, for what any answer shows.
    ///
    /// # Errors
    /// No answer came. A status is none.
    pub async fn look_as_nobody(&self) -> Result<Look, ReadError> {
        let begin = Instant::now();
        let response = self.templates_as_nobody().await?;
        Ok(look_of(&response, begin.elapsed()))
    }
}

/// Reads the list of profile templates as far as to know that it is one.
async fn read_templates(response: Response) -> Result<(), ReadError> {
    let status = response.status().as_u16();
    let body = body::read(response, MAX_TEMPLATES_BYTES).await.map_err(|broken| match broken {
        Broken::TooLong => ReadError::TooLong { number: 1 },
        Broken::Lost(message) => ReadError::Transport { fault: TransportFault::AnswerBroken { status }, message },
        Broken::NotUnderstood(why) => ReadError::NotUnderstood(why),
    })?;
    let json = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&body);
    match serde_json::from_slice::<Vec<IgnoredAny>>(json) {
        Ok(_) => Ok(()),
        Err(_) if status == 204 => Ok(()),
        Err(_) if message::is_page(json) => Err(ReadError::Page(message::of_body(json))),
        Err(error) => Err(ReadError::NotUnderstood(format!("it is no list in JSON ({error})"))),
    }
}

fn look_of(response: &Response, took: Duration) -> Look {
    let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let der = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    Look {
        status: response.status().as_u16(),
        took,
        date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
        certificate: der.and_then(ServerCertificate::of_der),
        said: String::new(),
        unread: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_whose_it_is_and_how_long() {
        let mut params = rcgen::CertificateParams::new(vec!["cm.contoso.test".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "cm.contoso.test");
        params.not_after = rcgen::date_time_ymd(2999, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = ServerCertificate::of_der(params.self_signed(&key).unwrap().der()).unwrap();
        assert!(certificate.subject.contains("CN=cm.contoso.test"), "{certificate:?}");
        assert!(certificate.days_left > 300_000, "{certificate:?}");
        assert_eq!(ServerCertificate::of_der(b"no certificate"), None);
    }
}
