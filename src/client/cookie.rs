//! The session cookies of a browser's sign-in, out of a file: a line as a `Cookie` header has it, or the Netscape format that
//! curl and browsers' exporters write. Names, values and which cookie goes where are those of RFC 6265. No I/O here.

use std::fmt;

use http::HeaderValue;
use jiff::Timestamp;

use super::base_url::BaseUrl;
use super::error::CookieFault;

/// The longest header, in bytes: IIS takes 16 KiB of headers by default.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// What begins the domain of a cookie that scripts may not read; the line is no comment.
const HTTP_ONLY: &str = "#HttpOnly_";
/// How many cookies that ended are named.
const MAX_NAMED: usize = 3;

/// Where cookies are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    host: String,
    path: String,
    is_https: bool,
}

impl Site {
    /// Returns the place of the calls to a server.
    pub(crate) fn of(base: &BaseUrl) -> Self {
        let path = base.requests().path().to_owned();
        Self { host: base.host().to_owned(), path, is_https: base.is_https() }
    }
}

/// A line of the Netscape format.
struct Line<'a> {
    domain: &'a str,
    with_subdomains: bool,
    path: &'a str,
    is_secure: bool,
    /// In seconds since 1970; 0 where it ends with the session.
    ends_s: i64,
    name: &'a str,
    value: &'a str,
}

/// A cookie that went with the others until it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCookie {
    name: String,
    ends_s: i64,
}

impl fmt::Display for EndedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended", self.name)?;
        match Timestamp::from_second(self.ends_s) {
            Ok(time) => write!(f, " on {time}"),
            Err(_) => Ok(()),
        }
    }
}

/// Returns the `Cookie` header, marked as sensitive; `now_s` is in seconds since 1970.
///
/// # Errors
/// The text is in neither form, or has no cookie for this site. The fault never holds a value.
pub(crate) fn header(text: &str, site: &Site, now_s: i64) -> Result<HeaderValue, CookieFault> {
    // Windows editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cookies = if text.contains('\t') { of_netscape(text, site, now_s)? } else { of_line(text)? };
    let mut line = String::new();
    for (name, value) in cookies {
        check(name, value)?;
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.extend([name, "=", value]);
    }
    if line.len() > MAX_HEADER_BYTES {
        return Err(CookieFault::TooLong(MAX_HEADER_BYTES));
    }
    let mut header = HeaderValue::from_str(&line).map_err(|_| CookieFault::Neither)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Splits the one line that is no comment.
fn of_line(text: &str) -> Result<Vec<(&str, &str)>, CookieFault> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or(CookieFault::Empty)?;
    if lines.next().is_some() {
        return Err(CookieFault::Neither);
    }
    // As it is copied out of a browser's list of headers.
    let line = match line.get(..7) {
        Some(name) if name.eq_ignore_ascii_case("cookie:") => &line[7..],
        Some(_) | None => line,
    };
    let pairs = line.split(';').map(str::trim).filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').ok_or(CookieFault::Neither)).collect()
}

/// Returns the cookies that go to the site, those of longer paths first (RFC 6265, 5.4).
fn of_netscape<'a>(text: &'a str, site: &Site, now_s: i64) -> Result<Vec<(&'a str, &'a str)>, CookieFault> {
    let (mut going, mut ended): (Vec<Line<'_>>, Vec<EndedCookie>) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let is_comment = line.starts_with('#') && !line.starts_with(HTTP_ONLY);
        if line.trim().is_empty() || is_comment {
            continue;
        }
        let line = Line::of(line).ok_or(CookieFault::NotACookie { line: index + 1 })?;
        if !line.goes_to(site) {
            continue;
        }
        if line.ends_s != 0 && line.ends_s <= now_s {
            check(line.name, "")?;
            ended.push(EndedCookie { name: line.name.to_owned(), ends_s: line.ends_s });
        } else {
            going.push(line);
        }
    }
    if going.is_empty() {
        ended.truncate(MAX_NAMED);
        return Err(CookieFault::NoneFor { host: site.host.clone(), ended });
    }
    going.sort_by_key(|line| std::cmp::Reverse(line.path.len()));
    Ok(going.into_iter().map(|line| (line.name, line.value)).collect())
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let line = line.strip_prefix(HTTP_ONLY).unwrap_or(line);
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let (domain, with_subdomains, path, is_secure) = (next()?, flag(next()?)?, next()?, flag(next()?)?);
        let ends_s = next()?;
        // Some exporters write fractions.
        let ends_s = ends_s.split_once('.').map_or(ends_s, |(whole, _)| whole).parse().ok()?;
        let (name, value) = (next()?, next().unwrap_or_default());
        let is_whole = next().is_none();
        is_whole.then_some(Self { domain, with_subdomains, path, is_secure, ends_s, name, value })
    }

    /// Returns whether the cookie goes to the site (RFC 6265, 5.1.3, 5.1.4 and 5.4).
    fn goes_to(&self, site: &Site) -> bool {
        let domain = self.domain.trim_start_matches('.').to_ascii_lowercase();
        let host = site.host.as_str();
        let is_below = || {
            let is_name = host.parse::<std::net::Ipv4Addr>().is_err() && !host.starts_with('[');
            is_name && host.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.'))
        };
        let is_host = !domain.is_empty() && (host == domain || self.with_subdomains && is_below());
        let is_path = match site.path.strip_prefix(self.path) {
            Some(rest) => rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'),
            None => false,
        };
        is_host && is_path && (site.is_https || !self.is_secure)
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("TRUE") => Some(true),
        _ if text.eq_ignore_ascii_case("FALSE") => Some(false),
        _ => None,
    }
}

/// Checks the characters (RFC 6265, 4.1.1): what is none of them would be another cookie, or another header.
fn check(name: &str, value: &str) -> Result<(), CookieFault> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(CookieFault::Neither);
    }
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_octet = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
    if bare.bytes().all(is_octet) { Ok(()) } else { Err(CookieFault::Value { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::AllowHttp;

    const NOW: i64 = 1_750_000_000;

    fn site(url: &str) -> Site {
        Site::of(&BaseUrl::parse(url, AllowHttp::Yes).unwrap())
    }

    #[track_caller]
    fn taken(text: &str, url: &str) -> String {
        let header = header(text, &site(url), NOW).unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
        header.to_str().unwrap().to_owned()
    }

    fn refused(text: &str) -> String {
        let fault = header(text, &site("cm.contoso.test"), NOW).unwrap_err();
        let shown = format!("{fault} {fault:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        fault.to_string()
    }

    #[test]
    fn a_line_is_taken_as_a_header_has_it() {
        for text in [
            "FedAuth=77u/+A==; FedAuth1=b/c\n",
            "\u{feff}# of the portal\r\n\r\nCookie: FedAuth=77u/+A==;FedAuth1=b/c;\r\n",
        ] {
            assert_eq!(taken(text, "cm.contoso.test"), "FedAuth=77u/+A==; FedAuth1=b/c", "{text}");
        }
        assert_eq!(taken("a=\"b\"; c=", "cm.contoso.test"), "a=\"b\"; c=");
    }

    #[test]
    fn of_a_browsers_file_those_for_the_server_are_taken() {
        let file = "# Netscape HTTP Cookie File\n\n\
                    #HttpOnly_cm.contoso.test\tFALSE\t/\tTRUE\t0\tFedAuth\taaa\n\
                    .contoso.test\tTRUE\t/CertificateManagement\tFALSE\t1750000001\tFedAuth1\tbbb\r\n\
                    cm.contoso.test\tFALSE\t/CertificateManagement/\tFALSE\t1750000001.25\tEmpty\n\
                    contoso.test\tFALSE\t/\tFALSE\t0\tOtherHost\tx\n\
                    .example.test\tTRUE\t/\tFALSE\t0\tOtherDomain\tx\n\
                    m.contoso.test\tTRUE\t/\tFALSE\t0\tNoSubdomain\tx\n\
                    cm.contoso.test\tFALSE\t/Cert\tFALSE\t0\tOtherPath\tx\n\
                    cm.contoso.test\tFALSE\t/\tFALSE\t1749999999\tEnded\tx\n";
        assert_eq!(taken(file, "cm.contoso.test"), "Empty=; FedAuth1=bbb; FedAuth=aaa");
        // A secure one goes over TLS alone.
        assert_eq!(taken(file, "http://cm.contoso.test"), "Empty=; FedAuth1=bbb");
        assert_eq!(taken(file, "other.contoso.test"), "FedAuth1=bbb");
        let address = "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\tb\n0.0.1\tTRUE\t/\tFALSE\t0\tc\td\n";
        assert_eq!(taken(address, "http://127.0.0.1:8080"), "a=b");
    }

    #[test]
    fn a_file_without_a_good_cookie_says_why_and_shows_no_value() {
        let ended = "cm.contoso.test\tFALSE\t/\tTRUE\t1740000000\tFedAuth\thunter2\n";
        let said = refused(ended);
        assert!(said.contains("no cookie for cm.contoso.test") && !said.contains("other"), "{said}");
        assert!(said.contains("FedAuth ended on 2025-02-19T21:20:00Z"), "{said}");
        assert!(refused("other.test\tFALSE\t/\tTRUE\t0\tFedAuth\thunter2\n").contains("no cookie for cm.contoso.test"));
        assert!(refused(" \n# nothing\n").contains("is empty"));
        for neither in ["hunter2", "a=hunter2\nb=hunter2", "a b=hunter2", "=hunter2", "a=hunter2; hunter2"] {
            assert!(refused(neither).contains("is in neither form"), "{neither}");
        }
        for value in ["a=hunter2 x", "a=hunter2,", "a=\"hunter2", "a=hünter2", "a=hunter2\u{7f}", "a=hunter2\\"] {
            assert!(refused(value).contains("the value of a"), "{value}");
        }
        for line in [
            "x\ty",
            "cm\tFALSE\t/\tTRUE\tsoon\ta\thunter2",
            "cm\t1\t/\tTRUE\t0\ta\thunter2",
            "cm\tTRUE\t/\tTRUE\t0\ta\tb\thunter2",
        ] {
            assert!(refused(&format!("# one\n{line}\n")).contains("line 2"), "{line}");
        }
        assert!(refused(&format!("a={}", "b".repeat(MAX_HEADER_BYTES))).contains("longer than 64 KiB"));
    }
}
