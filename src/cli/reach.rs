//! Where requests go, as whom, how fast and how patiently: what all commands that call a server need.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::args::{AlreadyArg, CheckFirstArg, Command, DoubtArgs, PaceArgs, RehearsalArgs, ServerArgs};
use super::config::{ConfigError, World};
use super::layers::Origins;
use super::progress::span;
use super::sign_in::{Secrets, account};
use crate::app::{Already, Exit, Failure, Next, Sending, StateFolder};
use crate::client::{AllowHttp, Auth, BaseUrl, Endpoint, Identity, ListTimeouts, On503, Proxy, ProxyAddress};
use crate::reconcile::{Asking, Trust};
use crate::request::Guid;
use crate::simulator::Script;
use crate::submit::{BreakerRules, CheckFirst, FinalLook, Limits, Patience, Rate};

/// The defaults of `--settle` and `--server-limit`: ASP.NET works on for up to 110 s plus 15 s after a client hung up.
const SERVER_PATIENCE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(125));
/// The same for the embedded simulator, which acts at once.
const REHEARSAL_PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(1));

/// The default of `--max-attempts`.
const DEFAULT_ATTEMPTS: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");

/// Where requests go.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A server.
    Server(Box<Endpoint>),
    /// The embedded simulator.
    Simulator(Script),
}

/// The other end, and how it is treated.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) destination: Destination,
    pub(crate) label: Option<String>,
    pub(crate) account: String,
    pub(crate) limits: Limits,
    pub(crate) patience: Patience,
    /// Where runs note themselves; none where nothing says it.
    state_root: Option<PathBuf>,
    asked: Asked,
}

/// What the options say of the first look at the server.
#[derive(Clone, Debug, Default)]
struct Asked {
    already: Already,
    look_back: Duration,
    originators: Vec<Guid>,
    without_list: bool,
}

impl Asked {
    fn of(doubt: &DoubtArgs) -> Self {
        Self {
            already: match doubt.already {
                AlreadyArg::Stop => Already::Stop,
                AlreadyArg::Skip => Already::Skip,
                AlreadyArg::Send => Already::Send,
            },
            look_back: doubt.look_back,
            originators: doubt.originator.clone(),
            without_list: doubt.without_list,
        }
    }
}

/// Returns the state folder that the options or the environment name: `$STATE_DIRECTORY` is what systemd gives a service, else
/// the XDG Base Directory Specification's.
fn state_root(doubt: Option<&DoubtArgs>, world: &World) -> Option<PathBuf> {
    doubt.and_then(|doubt| doubt.state_dir.clone()).or_else(|| world.state_dir.clone())
}

/// The options that say it.
#[derive(Clone, Copy)]
pub(crate) struct ReachArgs<'a> {
    pub(crate) server: &'a ServerArgs,
    pub(crate) rehearsal: &'a RehearsalArgs,
    /// None where nothing is sent.
    pub(crate) pace: Option<&'a PaceArgs>,
    pub(crate) doubt: Option<&'a DoubtArgs>,
    /// The server that a ledger names, for commands that need no other.
    pub(crate) in_ledger: Option<&'a str>,
}

impl Reach {
    /// Returns how the server is asked and rows are sent.
    pub(crate) fn sending(&self) -> Result<Sending, Failure> {
        let state = match &self.destination {
            Destination::Simulator(_) => None,
            Destination::Server(endpoint) => {
                let root = self.state_root.as_deref().ok_or_else(|| {
                    Failure::new(
                        Exit::Disk,
                        "there is no state folder for runs to note themselves in: neither --state-dir nor $STATE_DIRECTORY, \
                         $XDG_STATE_HOME or $HOME is set; nothing was sent",
                    )
                    .with_next(Next::with("--state-dir", &["--state-dir", "DIR"]))
                })?;
                Some(StateFolder::open(root, &endpoint.base.to_string())?)
            }
        };
        let Asked { already, look_back, originators, without_list } = self.asked.clone();
        Ok(Sending {
            limits: self.limits.clone(),
            patience: self.patience,
            state,
            without_list,
            already,
            look_back,
            originators,
        })
    }

    pub(crate) fn resolve(args: &ReachArgs<'_>, origins: &Origins, world: World) -> Result<Self, ConfigError> {
        let patience = patience(args);
        let limits = Limits {
            read_back: patience.settle,
            check_first: match args.doubt.map(|doubt| doubt.check_first) {
                Some(CheckFirstArg::Warn) => CheckFirst::Warn,
                Some(CheckFirstArg::Stop) | None => CheckFirst::Stop,
            },
            ..args.pace.map_or_else(limits_for_reading, limits)
        };
        let state_root = state_root(args.doubt, &world);
        let (destination, account) = if args.rehearsal.simulate {
            (Destination::Simulator(script(args.rehearsal)), account(&world.user, &Auth::None))
        } else {
            let endpoint = endpoint(args, &limits, origins, world.secrets)?;
            let account = account(&world.user, &endpoint.auth);
            (Destination::Server(Box::new(endpoint)), account)
        };
        Ok(Self {
            destination,
            state_root,
            asked: args.doubt.map(Asked::of).unwrap_or_default(),
            label: args.server.label.clone(),
            account,
            limits,
            patience,
        })
    }
}

fn patience(args: &ReachArgs<'_>) -> Patience {
    let defaults = if args.rehearsal.simulate { REHEARSAL_PATIENCE } else { SERVER_PATIENCE };
    let given = |pick: fn(&DoubtArgs) -> Option<Duration>| args.doubt.and_then(pick);
    Patience {
        settle: given(|doubt| doubt.settle).unwrap_or(defaults.0),
        server_limit: given(|doubt| doubt.server_limit).unwrap_or(defaults.1),
        trust: if args.doubt.is_some_and(|doubt| doubt.trust_list) { Trust::List } else { Trust::Proof },
        wait_for_server: args.pace.map_or(Duration::ZERO, |pace| pace.wait_for_server),
        lists: args.doubt.map_or_else(ListTimeouts::default, |doubt| ListTimeouts {
            whole: doubt.list_timeout,
            ..ListTimeouts::default()
        }),
        final_look: if args.doubt.is_some_and(|doubt| doubt.no_final_look) { FinalLook::No } else { FinalLook::Yes },
    }
}

/// A list that is asked for sooner than this after a call cannot be trusted to show what the call created.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// Returns what the patience of a command risks at a server. A rehearsal risks nothing.
pub(crate) fn risks(command: &Command, origins: &Origins) -> Vec<String> {
    let (rehearsal, doubt) = match command {
        Command::Submit(args) => (&args.rehearsal, &args.doubt),
        Command::Replay(args) => (&args.rehearsal, &args.doubt),
        Command::Reconcile(args) => (&args.rehearsal, &args.doubt),
        Command::Settle(args) => (&args.rehearsal, &args.doubt),
        Command::Validate(_)
        | Command::Drop(_)
        | Command::Status(_)
        | Command::Export(_)
        | Command::Doctor(_)
        | Command::Simulate(_) => return Vec::new(),
    };
    let too_short = |option: &str, value: Option<Duration>, seen: &str, default: Duration| {
        value.filter(|value| !rehearsal.simulate && *value < LEAST_PATIENCE).map(|_| {
            format!(
                "{} is less than 1 s: a request {seen} is taken for one that was not created, and its row is sent twice; leave \
                 the option out ({}), or give as long as the server needs",
                origins.name(option),
                span(default)
            )
        })
    };
    let settle = too_short("settle", doubt.settle, "that the server's list does not show yet", SERVER_PATIENCE.0);
    let limit = too_short("server-limit", doubt.server_limit, "that the server is still working on", SERVER_PATIENCE.1);
    settle.into_iter().chain(limit).collect()
}

fn limits(pace: &PaceArgs) -> Limits {
    Limits {
        rate: pace.rate,
        burst: pace.burst.unwrap_or_else(|| pace.rate.default_burst()),
        concurrency: pace.concurrency,
        max_attempts: pace.max_attempts,
        stall: pace.stall,
        breaker: BreakerRules {
            in_a_row: pace.breaker_in_a_row.get(),
            window: pace.breaker_window.get(),
            window_min: pace.breaker_min.get(),
            kind_refusals: pace.breaker_refused,
        },
        on_503: if pace.resend_503 { On503::NotActedOn } else { On503::InDoubt },
        ..limits_for_reading()
    }
}

/// The limits of a command that sends nothing.
fn limits_for_reading() -> Limits {
    Limits {
        rate: Rate::DEFAULT,
        burst: Rate::DEFAULT.default_burst(),
        concurrency: NonZeroUsize::MIN,
        max_attempts: DEFAULT_ATTEMPTS,
        stall: Duration::ZERO,
        breaker: BreakerRules::default(),
        on_503: On503::InDoubt,
        read_back: SERVER_PATIENCE.0,
        check_first: CheckFirst::Stop,
        n_around: Asking::N_AROUND,
    }
}

fn script(rehearsal: &RehearsalArgs) -> Script {
    // Nobody asks the embedded server for its arrivals: what became of the rows is in the ledger.
    Script { seed: rehearsal.seed, faults: rehearsal.fault.clone(), keep_arrivals: 0, ..Script::default() }
}

fn endpoint(
    args: &ReachArgs<'_>,
    limits: &Limits,
    origins: &Origins,
    secrets: Secrets,
) -> Result<Endpoint, ConfigError> {
    // As many idle connections are kept as calls may be in flight.
    let max_idle = limits.concurrency.get();
    Ok(Endpoint { max_idle, ..endpoint_of(args.server, args.in_ledger, origins, secrets)? })
}

/// Returns the server that the options name, or else a ledger.
pub(crate) fn endpoint_of(
    server: &ServerArgs,
    in_ledger: Option<&str>,
    origins: &Origins,
    secrets: Secrets,
) -> Result<Endpoint, ConfigError> {
    let Some(url) = server.server.as_deref().or(in_ledger) else {
        return Err(ConfigError(
            "no server: add --server HOST (or CMBATCH_SERVER, or server in cmbatch.toml), or --simulate for a rehearsal".to_owned(),
        ));
    };
    let allow = if server.allow_http { AllowHttp::Yes } else { AllowHttp::LoopbackOnly };
    let base =
        BaseUrl::parse(url, allow).map_err(|error| ConfigError(format!("{}: {error}", origins.name("server"))))?;
    let auth = server.sign_in.resolve(origins, secrets)?;
    check_tls(server, &base, origins)?;
    if server.timeout < Duration::from_secs(1) {
        return Err(ConfigError(format!(
            "{}: less than 1 s leaves every slow answer in doubt",
            origins.name("timeout")
        )));
    }
    Ok(Endpoint {
        ca_file: server.ca_file.clone(),
        identity: server.client_cert.clone().map(|certificate| Identity {
            certificate,
            key: server.client_key.clone(),
            password: server.client_cert_password.clone(),
        }),
        pins: server.pin.clone(),
        proxy: proxy(server, origins)?,
        auth,
        timeout: server.timeout,
        connect_timeout: Endpoint::DEFAULT_CONNECT_TIMEOUT.min(server.timeout),
        ..Endpoint::new(base)
    })
}

/// Refuses what would have no effect, or another one than is meant.
fn check_tls(server: &ServerArgs, base: &BaseUrl, origins: &Origins) -> Result<(), ConfigError> {
    let for_tls = [("pin", !server.pin.is_empty()), ("client-cert", server.client_cert.is_some())];
    match for_tls.into_iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) if !base.is_https() => {
            Err(ConfigError(format!("{} has a meaning with https alone, and the server is http", origins.name(option))))
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the proxy that is given. Its text is checked here and not by clap, which would show a password that stands in it.
fn proxy(server: &ServerArgs, origins: &Origins) -> Result<Proxy, ConfigError> {
    let Some(text) = &server.proxy else { return Ok(Proxy::Environment) };
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(Proxy::None);
    }
    let address: ProxyAddress =
        text.parse().map_err(|error| ConfigError(format!("{}: {error}", origins.name("proxy"))))?;
    if address.is_https() && server.client_cert.is_some() {
        let (proxy, certificate) = (origins.name("proxy"), origins.name("client-cert"));
        return Err(ConfigError(format!(
            "{proxy} is https, and would be shown {certificate}, too: give it as http://"
        )));
    }
    Ok(Proxy::Given { address, credentials: server.proxy_credentials.clone() })
}
