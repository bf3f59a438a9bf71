//! Who a host is, however it is spelled.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use url::{Host, Url};

/// A host: two spellings of one are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostId {
    /// In lower case, without the dot at its end.
    Name(String),
    /// An IPv4 address as such, also where it is written as one of IPv6.
    Address(IpAddr),
}

impl HostId {
    /// Returns the host of an address; none where it has none.
    pub(crate) fn of_url(url: &Url) -> Option<Self> {
        Some(match url.host()? {
            Host::Domain(name) => Self::of_name(name),
            Host::Ipv4(address) => Self::Address(address.into()),
            Host::Ipv6(address) => Self::Address(IpAddr::from(address).to_canonical()),
        })
    }

    /// Returns the host that a TLS connection is made to.
    pub(crate) fn of_server(name: &ServerName<'_>) -> Self {
        match name {
            ServerName::IpAddress(address) => Self::Address(IpAddr::from(*address).to_canonical()),
            // rustls may learn of further kinds; as texts they are compared, too.
            other => Self::of_name(&other.to_str()),
        }
    }

    fn of_name(name: &str) -> Self {
        let name = name.strip_suffix('.').unwrap_or(name);
        match name.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(name.to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_equal_and_other_hosts_are_not() {
        let url = |text: &str| HostId::of_url(&Url::parse(text).unwrap()).unwrap();
        let server = |text: &'static str| HostId::of_server(&ServerName::try_from(text).unwrap());
        for (address, name) in [
            ("https://[::ffff:10.0.0.1]/x", "10.0.0.1"),
            ("https://[::ffff:10.0.0.1]/x", "::ffff:10.0.0.1"),
            ("https://10.0.0.1:8443", "::ffff:a00:1"),
            ("https://[2001:DB8:0::1]", "2001:db8::1"),
            ("https://CM.Contoso.Test:443/x", "cm.contoso.test"),
            ("https://cm.contoso.test./x", "cm.contoso.test"),
            ("https://cm.contoso.test", "CM.contoso.test."),
            ("https://k\u{fc}che.test", "xn--kche-0ra.test"),
        ] {
            assert_eq!(url(address), server(name), "{address} {name}");
        }
        for (address, name) in [
            ("https://10.0.0.1", "10.0.0.2"),
            ("https://cm.contoso.test", "cm.contoso.test.example"),
            ("https://[::1]", "127.0.0.1"),
        ] {
            assert_ne!(url(address), server(name), "{address} {name}");
        }
    }
}
