//! `cmbatch doctor`: goes the way of a call step by step, and says of each what is wrong and what to do.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde_json::json;

use super::job::block_on;
use crate::app::{Exit, Failure, NO_API_REMEDY, chain, exit_of};
use crate::cli::invocation::Invocation;
use crate::cli::output::{Shell, grouped};
use crate::cli::progress::span;
use crate::cli::sign_in::{account, signed_in};
use crate::cli::summary::Summary;
use crate::client::{
    Auth, Client, Endpoint, ListItem, ListTimeouts, Look, PROXY_ASKS, ReadError, RequestStatus, TransportFault,
    connect, resolve,
};
use crate::report::wrapped;
use crate::request::{printable, printable_up_to};

/// How many calls the latency is the median of.
const N_CALLS: usize = 10;
/// From how many days on a certificate's end is told beforehand.
const DAYS_TO_TELL: i64 = 30;
/// A clock that is wrong by more is told; Kerberos refuses 5 minutes.
const CLOCK_TO_TELL: Duration = Duration::from_secs(60);

/// The longest text of a step, in characters.
const MAX_CHARS: usize = 2_000;

/// The width of the table, and of what stands before its texts.
const WIDTH: usize = 80;
const HEAD_WIDTH: usize = 18;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Calls work, and something is to be known.
    Note,
    /// Calls do not work.
    Fault(Exit),
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Fault(_) => "fault",
        }
    }
}

/// What was found in one step.
#[derive(Clone, Debug)]
struct Finding {
    step: &'static str,
    verdict: Verdict,
    text: String,
}

/// The findings so far; each is told when it is made.
struct Findings<'a> {
    shell: &'a Shell,
    as_json: bool,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, step: &'static str, verdict: Verdict, text: impl AsRef<str>) {
        // Remedies stand last.
        let text = printable_up_to(text.as_ref(), MAX_CHARS);
        let mut head = format!("{:<6}{step:<12}", verdict.word());
        if self.as_json && self.shell.logs_json() {
            self.shell.say(&format!("{head}{text}"));
        } else {
            for line in wrapped(&text, WIDTH - HEAD_WIDTH) {
                let line = format!("{head}{line}");
                // A script reads the object at the end.
                if self.as_json {
                    self.shell.say(&line);
                } else {
                    self.shell.result_line(&line);
                }
                head = " ".repeat(HEAD_WIDTH);
            }
        }
        self.all.push(Finding { step, verdict, text });
    }

    fn fine(&mut self, step: &'static str, text: impl AsRef<str>) {
        self.add(step, Verdict::Fine, text);
    }

    /// Returns the summary: the first fault counts.
    fn summary(self, server: &str) -> Summary {
        let fault = self.all.iter().find_map(|finding| match finding.verdict {
            Verdict::Fault(exit) => Some((exit, finding)),
            Verdict::Fine | Verdict::Note => None,
        });
        let summary = match fault {
            None => Summary::new(Exit::Done, format!("{server} can be worked with")),
            Some((exit, finding)) => Summary::new(exit, format!("{}: {}", finding.step, finding.text)),
        };
        let checks: Vec<_> = self
            .all
            .iter()
            .map(|finding| json!({ "step": finding.step, "verdict": finding.verdict.word(), "text": finding.text }))
            .collect();
        summary.with("checks", checks)
    }
}

/// Runs the command.
pub(crate) fn run(
    endpoint: &Endpoint,
    user: &str,
    invocation: &Invocation,
    shell: &Shell,
    as_json: bool,
) -> Result<Summary, Failure> {
    let mut findings = Findings { shell, as_json, all: Vec::new() };
    block_on(examine(endpoint, user, &mut findings))?;
    let summary = findings.summary(&endpoint.base.to_string());
    Ok(match summary.exit {
        Exit::Done => summary,
        _ => summary.with_next(format!("correct that, then: {}", invocation.again())),
    })
}

/// Goes on as long as the next step can tell anything.
async fn examine(endpoint: &Endpoint, user: &str, findings: &mut Findings<'_>) {
    // What stands in files is read first: it may say which proxy is meant.
    let client = match Client::new(endpoint) {
        Ok(client) => client,
        Err(error) => {
            let exit = Failure::from(error);
            return findings.add("settings", Verdict::Fault(exit.exit), exit.message);
        }
    };
    if !is_reached(endpoint, &client, findings).await {
        return;
    }
    match client.sign_in().await {
        Ok(Some(who)) => {
            let (step, good) = match who.lifetime {
                Some(lifetime) => ("ticket", format!(", good for {} ({})", span(lifetime), end_of(lifetime))),
                None => ("account", String::new()),
            };
            findings.fine(step, format!("{} for {}{good}", signed_in(&who), who.spn));
            if let Some(why) = &who.instead {
                findings.add(
                    "Kerberos",
                    Verdict::Note,
                    format!("cannot be had here, and the password goes by NTLM: {why}"),
                );
            }
        }
        Ok(None) => findings.fine("account", account(user, &endpoint.auth)),
        Err(error) => {
            findings.add(sign_in_step(endpoint), Verdict::Fault(Exit::SignIn), chain(&error));
            return what_may_be_why(&client, findings).await;
        }
    }
    let look = match client.look().await {
        Ok(look) => look,
        Err(error) => {
            unanswered(&error, findings);
            if exit_of(&error) == Exit::SignIn {
                what_may_be_why(&client, findings).await;
            }
            return;
        }
    };
    certificate(&look, findings);
    clock(&look, findings);
    if !is_let_in(&look, findings) || !list(&client, findings).await {
        return;
    }
    latency(&client, &look, findings).await;
}

/// Returns what it is that signs in.
fn sign_in_step(endpoint: &Endpoint) -> &'static str {
    match &endpoint.auth {
        Auth::Negotiate(windows) if !windows.only_ntlm => "ticket",
        _ => "sign-in",
    }
}

/// Says until when something is good that is good so long.
fn end_of(lifetime: Duration) -> String {
    match Timestamp::now().checked_add(lifetime) {
        Ok(end) => format!("until {}", end.strftime("%Y-%m-%d %H:%M UTC")),
        Err(_) => "without end".to_owned(),
    }
}

/// Looks for the server, or for the proxy before it.
async fn is_reached(endpoint: &Endpoint, client: &Client, findings: &mut Findings<'_>) -> bool {
    let (host, port) = match client.proxy() {
        Some(proxy) => {
            findings.fine("proxy", format!("calls go through {proxy}"));
            let (host, port) = proxy.rsplit_once(':').unwrap_or((proxy, "80"));
            (host.to_owned(), port.parse().unwrap_or(80))
        }
        None => (endpoint.base.host().to_owned(), endpoint.base.port()),
    };
    let what = if client.proxy().is_some() { "--proxy" } else { "--server" };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match resolve(bare, port).await {
        Ok(addresses) => addresses,
        Err(error) => {
            let text = format!("{host} has no address ({error}): check {what}, and this machine's DNS");
            findings.add("name", Verdict::Fault(Exit::Server), text);
            return false;
        }
    };
    if bare.parse::<std::net::IpAddr>().is_err() {
        let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        findings.fine("name", format!("{host} is {}", shown.join(", ")));
    }
    match connect(&addresses, endpoint.connect_timeout).await {
        Ok((address, took)) => {
            findings.fine("connection", format!("{address} in {}", millis(took)));
            true
        }
        Err(error) => {
            let text = format!(
                "port {port} of {host} does not answer ({error}): check the port in {what}, the server, and the firewall"
            );
            findings.add("connection", Verdict::Fault(Exit::Server), text);
            false
        }
    }
}

/// Looks at the clock and the certificate without signing in: they are why tickets and tokens are refused more often than
/// anything else.
async fn what_may_be_why(client: &Client, findings: &mut Findings<'_>) {
    if let Ok(look) = client.look_as_nobody().await {
        certificate(&look, findings);
        clock(&look, findings);
    }
}

fn unanswered(error: &ReadError, findings: &mut Findings<'_>) {
    let step = match error {
        ReadError::Transport { fault: TransportFault::TlsFailed, .. } => "TLS",
        ReadError::Transport { fault: TransportFault::ProxyRefused, .. } => "proxy",
        ReadError::Transport { fault: TransportFault::NotSignedIn, .. } => "sign-in",
        _ => "call",
    };
    findings.add(step, Verdict::Fault(exit_of(error)), error.to_string());
}

fn certificate(look: &Look, findings: &mut Findings<'_>) {
    let Some(certificate) = &look.certificate else { return };
    let text = format!(
        "certificate of {} by {}, good for {} days",
        certificate.subject, certificate.issuer, certificate.days_left
    );
    let verdict = if certificate.days_left < DAYS_TO_TELL { Verdict::Note } else { Verdict::Fine };
    findings.add("TLS", verdict, text);
}

fn clock(look: &Look, findings: &mut Findings<'_>) {
    let Some(date) = look.date else { return };
    let now = SystemTime::now();
    let (off, word) = match now.duration_since(date) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    // The server writes whole seconds, and the answer was on its way.
    let off = off.saturating_sub(Duration::from_secs(1) + look.took);
    if off > CLOCK_TO_TELL {
        let text = format!(
            "this machine is {} {word} the server: set its clock (timedatectl); Kerberos bears 5 min",
            span(off)
        );
        findings.add("clock", Verdict::Note, text);
    } else {
        findings.fine("clock", "agrees with the server's");
    }
}

/// Says what the status of the first call means.
fn is_let_in(look: &Look, findings: &mut Findings<'_>) -> bool {
    let said = if look.said.is_empty() { String::new() } else { format!("; it says: {}", printable(&look.said)) };
    match look.status {
        401 => {
            let text = format!("the server does not take the sign-in (401): {}", printable(&look.said));
            findings.add("sign-in", Verdict::Fault(Exit::SignIn), text);
            false
        }
        407 => {
            findings.add("proxy", Verdict::Fault(Exit::Server), PROXY_ASKS);
            false
        }
        // nginx answers 400 and IIS 403.7 where no client certificate was shown, or one that they do not know.
        400 | 403 if look.said.to_ascii_lowercase().contains("certificate") => {
            let text = format!("the server wants another client certificate, or one at all: check --client-cert{said}");
            findings.add("TLS", Verdict::Fault(Exit::SignIn), text);
            false
        }
        403 => {
            let text = format!(
                "the account may not read the list of profile templates (403): it needs the right to use CM{said}"
            );
            findings.add("templates", Verdict::Note, text);
            true
        }
        // The list of requests tells whether there is no API or just no such route.
        404 => {
            findings.add("templates", Verdict::Note, "the list of profile templates is not there (404)");
            true
        }
        200..=299 => match &look.unread {
            None => {
                findings.fine("templates", "the list of profile templates can be read");
                true
            }
            Some(error) => {
                unreadable("templates", error, findings);
                false
            }
        },
        status @ 300..=399 => {
            let text = format!(
                "the server sends the call elsewhere ({status}), to a page for signing in perhaps: check --server and --auth"
            );
            findings.add("sign-in", Verdict::Fault(Exit::SignIn), text);
            false
        }
        status @ 502..=504 => {
            let text = format!(
                "what stands before the server cannot reach it ({status}): see whether IIS and its application pool run{said}"
            );
            findings.add("API", Verdict::Fault(Exit::Server), text);
            false
        }
        status => {
            let text =
                format!("the server answers {status}: look into its event log, or that of what stands before it{said}");
            findings.add("API", Verdict::Fault(Exit::Server), text);
            false
        }
    }
}

/// Says what is wrong with an answer that came whole.
fn unreadable(step: &'static str, error: &ReadError, findings: &mut Findings<'_>) {
    if let ReadError::Page(_) = error {
        let text = format!("{error}; is it a gateway's sign-in? Check --server and --auth");
        return findings.add("sign-in", Verdict::Fault(exit_of(error)), text);
    }
    findings.add(step, Verdict::Fault(exit_of(error)), error.to_string());
}

/// What a list holds.
#[derive(Default)]
struct Listed {
    n_requests: u64,
    n_unread: u64,
    /// What is wrong with the first one that cannot be read.
    first_unread: Option<String>,
    /// How many have no number as type or status.
    n_odd: u64,
}

/// Reads the list to its end, as a run does.
async fn read_list(client: &Client) -> Result<Listed, ReadError> {
    let mut list = match client.list(ListTimeouts::default()).await {
        Err(error) if error.is_connection_lost() => client.list(ListTimeouts::default()).await?,
        listed => listed?,
    };
    let mut listed = Listed::default();
    while let Some(item) = list.next().await {
        listed.n_requests += 1;
        match item? {
            ListItem::Request(request) => {
                let is_odd = request.request_type.is_none() || request.status == RequestStatus::Unknown;
                listed.n_odd += u64::from(is_odd);
            }
            ListItem::Unread { number, reason } => {
                listed.n_unread += 1;
                listed.first_unread.get_or_insert(format!("request {number}: {reason}"));
            }
        }
    }
    Ok(listed)
}

async fn list(client: &Client, findings: &mut Findings<'_>) -> bool {
    let begin = Instant::now();
    match read_list(client).await {
        Ok(listed) => say_listed(&listed, begin.elapsed(), findings),
        Err(error) => {
            match error.status() {
                Some(404) => {
                    let text = format!("there is no API at this address (404): {NO_API_REMEDY}");
                    findings.add("API", Verdict::Fault(Exit::NoApi), text);
                }
                Some(401 | 403) => {
                    let text = format!(
                        "the account may not read the list of requests: rows in doubt could not be settled; have the right \
                         to read requests given to it ({error})"
                    );
                    findings.add("requests", Verdict::Fault(exit_of(&error)), text);
                }
                Some(_) | None => unreadable("requests", &error, findings),
            }
            false
        }
    }
}

fn say_listed(listed: &Listed, took: Duration, findings: &mut Findings<'_>) -> bool {
    let Listed { n_requests, n_unread, first_unread, n_odd } = listed;
    let held = match n_requests {
        1 => "1 request".to_owned(),
        n => format!("{} requests", grouped(*n)),
    };
    let held = format!("{held} in {:.1} s", took.as_secs_f64());
    if let Some(first) = first_unread {
        let text = format!(
            "the list has {held}, and {} of them cannot be read ({first}): while such are in it, no row in doubt is proven \
             absent",
            grouped(*n_unread)
        );
        let is_none_read = n_unread == n_requests;
        findings.add("requests", if is_none_read { Verdict::Fault(Exit::Server) } else { Verdict::Note }, text);
        return !is_none_read;
    }
    if *n_odd > 0 {
        let text = format!(
            "the list has {held}, and {} of them have no number as type or status: they count as open, and as requests of any \
             type",
            grouped(*n_odd)
        );
        findings.add("requests", Verdict::Note, text);
        return true;
    }
    findings.fine("requests", format!("the list of requests can be read ({held}): rows in doubt can be settled"));
    true
}

async fn latency(client: &Client, first: &Look, findings: &mut Findings<'_>) {
    if !(200..300).contains(&first.status) {
        return;
    }
    let mut times = Vec::with_capacity(N_CALLS);
    for _ in 0..N_CALLS {
        match client.look().await {
            Ok(look) => times.push(look.took),
            Err(error) => return unanswered(&error, findings),
        }
    }
    times.sort_unstable();
    let (median, longest) = (times[N_CALLS / 2], times[N_CALLS - 1]);
    findings
        .fine("latency", format!("{} in the middle of {N_CALLS} calls, {} at most", millis(median), millis(longest)));
    let (concurrency, rate) = suggested(median);
    findings.fine("suggested", format!("--concurrency {concurrency} --rate {rate}/s, to begin with"));
}

/// Returns how many calls at once and in a second to begin with: half of what so many calls could do at most.
fn suggested(latency: Duration) -> (u32, u32) {
    let concurrency = if latency < Duration::from_millis(50) { 8 } else { 16 };
    let most = f64::from(concurrency) / latency.as_secs_f64().max(0.001);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
    let rate = (most / 2.0).clamp(1.0, 100.0) as u32;
    (concurrency, rate)
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suggested_is_half_of_what_is_possible_and_never_much() {
        assert_eq!(suggested(Duration::from_millis(20)), (8, 100));
        assert_eq!(suggested(Duration::from_millis(400)), (16, 20));
        assert_eq!(suggested(Duration::from_secs(30)), (16, 1));
        assert_eq!(suggested(Duration::ZERO), (8, 100));
    }
}
