//! Why a TLS connection was not made, in words that a person can act on.

use rustls::{AlertDescription, CertificateError, Error};

/// Returns what a TLS error means for whoever runs the program, where more can be said than the library does.
pub(crate) fn reason(error: &Error) -> Option<String> {
    match error {
        Error::InvalidCertificate(fault) => of_certificate(fault),
        Error::AlertReceived(alert) => of_alert(*alert).map(str::to_owned),
        Error::InvalidMessage(_) => {
            Some("the server does not speak TLS here: check the port of --server, and whether it is http".to_owned())
        }
        Error::PeerIncompatible(_) => {
            Some("the server speaks no TLS that is taken, which is 1.2 and 1.3: it has to be set up there".to_owned())
        }
        _ => None,
    }
}

fn of_certificate(fault: &CertificateError) -> Option<String> {
    let text = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate is over: it has to be renewed there (or this machine's clock is wrong)"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: this machine's clock is wrong, or the certificate is"
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another name: write the name in --server that it is for"
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(String::as_str).collect();
            return Some(format!(
                "the server's certificate is for another name than {}, namely {}: write such a name in --server",
                expected.to_str(),
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            ));
        }
        CertificateError::Revoked => "the server's certificate was revoked: it has to be replaced there",
        CertificateError::BadSignature => {
            "the server's certificate is not signed by the authority of that name that this machine trusts: give the right \
             one's certificate with --ca-file, or ask who made it"
        }
        // webpki's name for it; its type is none that this program sees.
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "the server's certificate is that of an authority (CA:TRUE), as openssl req -x509 makes them, which no server may \
             have: have one made for the server, by that authority or without CA:TRUE"
        }
        CertificateError::Other(other) => return Some(other.to_string()),
        _ => return None,
    };
    Some(text.to_owned())
}

const fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateRequired => {
            Some("the server asks for a client certificate: give one with --client-cert")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            Some("the server does not take the client certificate: check --client-cert, its dates and its authority")
        }
        AlertDescription::HandshakeFailure => {
            Some("the server breaks off: it may ask for a client certificate (--client-cert), or for older TLS")
        }
        AlertDescription::ProtocolVersion => Some("the server speaks no TLS that is taken, which is 1.2 and 1.3"),
        AlertDescription::UnrecognisedName => Some("the server does not know this name: check --server"),
        _ => None,
    }
}
