//! The command line as clap reads it: options and their help, no I/O.

use std::fmt::Write as _;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::parse;
use super::parse::ProxyArg;
use super::sign_in::SignInArgs;
use crate::client::Pin;
use crate::ledger::RowState;
use crate::manifest::{Delimiter, Format, TextEncoding};
use crate::request::{Guid, RequestType};
use crate::simulator::{Fault, LatencyRange};
use crate::submit::Rate;

const STYLES: Styles =
    Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold());

/// Sends a list of requests to MIM Certificate Management: one create request a row, never twice, never lost.
#[derive(Debug, Parser)]
#[command(name = "cmbatch", version, styles = STYLES, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Examples:
  cmbatch validate wave.csv
  cmbatch submit wave.csv --simulate
  cmbatch submit wave.csv --server cm.contoso.test --token-file token.txt
  cmbatch status wave.ledger
  cmbatch replay wave.ledger
  cmbatch export wave.ledger --format csv --output wave-results.csv

Exit status: 0 all rows created or skipped (or: all valid); 1 some rows failed, are in doubt, pending or
invalid; 2 usage, configuration, a missing confirmation, another or a damaged ledger; 3 the manifest is
invalid, nothing was sent; 4 the server; 5 sign-in or rights; 6 the API is disabled or the address wrong;
7 the ledger or an output cannot be written; 8 the ledger is in use; 130 interrupted.

Every option can also stand in a TOML file (--config, else cmbatch.toml) and in the environment
(CMBATCH_RATE for --rate); the command line wins over the environment, the environment over the file.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "General")]
pub(crate) struct GlobalArgs {
    /// Read options from this TOML file instead of ./cmbatch.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Take the options of [profile.NAME] in the configuration file
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Print one JSON summary object to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors and the last line
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say more: -v each failure and retry, -vv each row
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How progress is written to standard error
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A progress bar on a terminal, plain lines elsewhere
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Validate(ValidateArgs),
    Submit(Box<SubmitArgs>),
    Replay(Box<ReplayArgs>),
    Reconcile(Box<ReconcileArgs>),
    Settle(Box<SettleArgs>),
    Status(StatusArgs),
    Export(ExportArgs),
    Simulate(SimulateArgs),
}

/// Check manifests and send nothing
///
/// Reads every row, names every error with file, line and column, and says what to write instead.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch validate wave.csv
  cmbatch validate wave.csv --type Enroll --template a039b4d0-5ce8-4eff-8651-181c6576fda3
  cmbatch validate wave.csv --errors errors.csv --rejects rejects.csv
  Get-Content wave.csv | cmbatch validate -
  cmbatch validate --rules")]
pub(crate) struct ValidateArgs {
    /// Manifests to check (CSV or JSONL, also .gz or .zst); - is standard input
    #[arg(value_name = "MANIFEST", required_unless_present = "rules")]
    pub(crate) manifests: Vec<PathBuf>,
    /// List all rules with an example each
    #[arg(long)]
    pub(crate) rules: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) findings: FindingArgs,
}

/// Validate manifests, and send one create request a row
///
/// Nothing is sent while a row is invalid, unless --on-invalid skip says to leave such rows out. What became of each
/// row is kept in a ledger beside the manifest; the same command again goes on where it stopped and sends no row twice.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch submit wave.csv --simulate
  cmbatch submit wave.csv --server cm.contoso.test --token-file token.txt --dry-run
  cmbatch submit wave.csv --server cm.contoso.test --token-file token.txt --rate 20/s
  cmbatch submit revocation.jsonl --server cm.contoso.test --token-file token.txt --confirm 4310
  cmbatch submit wave.csv --server cm.contoso.test --token-file token.txt --limit 10
  cmbatch submit late.csv --ledger wave.ledger --append --server cm.contoso.test --token-file token.txt
  cmbatch submit wave.csv --simulate --fault 503=5% --fault latency=1s..4s --seed 7")]
pub(crate) struct SubmitArgs {
    /// Manifests to send (CSV or JSONL, also .gz or .zst); - is standard input
    #[arg(value_name = "MANIFEST", required = true)]
    pub(crate) manifests: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) rehearsal: RehearsalArgs,
    #[command(flatten)]
    pub(crate) guards: GuardArgs,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) doubt: DoubtArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) wire: WireArgs,
    #[command(flatten)]
    pub(crate) findings: FindingArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reading manifests")]
pub(crate) struct ReadingArgs {
    /// csv or jsonl [default: by the file's name, else its first character]
    #[arg(long, value_name = "FORMAT", value_parser = parse::format)]
    pub(crate) input_format: Option<Format>,
    /// The text encoding, such as windows-1252 [default: UTF-8, or UTF-16 with a byte order mark]
    #[arg(long, value_name = "NAME", value_parser = parse::encoding)]
    pub(crate) encoding: Option<TextEncoding>,
    /// The character between CSV fields, or tab [default: found in the header line]
    #[arg(long, value_name = "CHAR", value_parser = parse::delimiter)]
    pub(crate) delimiter: Option<Delimiter>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rows")]
pub(crate) struct RowArgs {
    /// The request type of rows that have none
    #[arg(long = "type", value_name = "TYPE", value_parser = parse::request_type)]
    pub(crate) kind: Option<RequestType>,
    /// The profile template of rows that have none: a GUID, or a name from [templates]
    #[arg(long, value_name = "GUID")]
    pub(crate) template: Option<String>,
    /// The comment of rows that have none
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// The priority of rows that have none, 0 (highest) to 255
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u8>,
    /// Let rows without target mean the calling account itself
    #[arg(long)]
    pub(crate) target_self: bool,
    /// Send a row's profile under this property name
    #[arg(long, value_name = "NAME")]
    pub(crate) profile_property: Option<String>,
    /// What a second row with the same type, target, template, card, profile and body values is
    #[arg(long, value_name = "WHAT", default_value = "error")]
    pub(crate) on_duplicate: OnDuplicateArg,
    /// What an unknown column is
    #[arg(long, value_name = "WHAT", default_value = "error")]
    pub(crate) extra_columns: ExtraColumnsArg,
    /// Take a manifest without rows as a success
    #[arg(long)]
    pub(crate) allow_empty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDuplicateArg {
    /// An error that names both places
    Error,
    /// Send the first, skip the rest
    First,
    /// Send all (not with --no-tag)
    Send,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExtraColumnsArg {
    /// An error that names the nearest known column
    Error,
    /// Keep it as a note: never sent, given back in exports
    Keep,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Findings")]
pub(crate) struct FindingArgs {
    /// Write all errors to this CSV file
    #[arg(long, value_name = "FILE")]
    pub(crate) errors: Option<PathBuf>,
    /// Write the rejected rows to this file, with their columns and an _error column
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Replace output files that exist
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// The CM server: a host, or the whole https://HOST/CertificateManagement
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// A name for the server that the plan shows, such as PRODUCTION
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// Trust the certificate authorities in this PEM file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Show this certificate to a server that asks for one: PEM with its key, or PKCS#12
    #[arg(long, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// The private key of --client-cert, where it is not in that file
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// A file with the password of a PKCS#12 file
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_cert_password: Option<PathBuf>,
    /// Trust the server only with this key: sha256//BASE64, as curl writes it; can be given again
    #[arg(long, value_name = "PIN", value_parser = parse::pin)]
    pub(crate) pin: Vec<Pin>,
    /// Go through this proxy, or none [default: HTTPS_PROXY, HTTP_PROXY, NO_PROXY]
    #[arg(long, value_name = "URL", value_parser = parse::proxy)]
    pub(crate) proxy: Option<ProxyArg>,
    /// A file with user:password for --proxy
    #[arg(long, value_name = "FILE", requires = "proxy")]
    pub(crate) proxy_credentials: Option<PathBuf>,
    /// Allow plain http to a server that is not this machine
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// How long to wait for an answer (ASP.NET itself gives up after 110 s)
    #[arg(long, value_name = "TIME", default_value = "130s", value_parser = parse::duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) sign_in: SignInArgs,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rehearsal")]
pub(crate) struct RehearsalArgs {
    /// Send to an embedded simulator on this machine instead of a server
    #[arg(long, conflicts_with_all = ["server", "token_file", "ca_file", "auth"])]
    pub(crate) simulate: bool,
    /// Let the simulator fail, such as 503=5% (see cmbatch simulate --help); can be given again
    #[arg(long, value_name = "FAULT", requires = "simulate", value_parser = parse::fault)]
    pub(crate) fault: Vec<Fault>,
    /// The seed of the simulator's faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Ledger and guards")]
pub(crate) struct GuardArgs {
    /// The ledger file [default: beside the manifest, wave.csv -> wave.ledger]
    #[arg(long, value_name = "FILE", conflicts_with = "ledger_dir")]
    pub(crate) ledger: Option<PathBuf>,
    /// The folder of the ledger, which is named after the manifest and its digest
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger_dir: Option<PathBuf>,
    /// Refuse a ledger that exists
    #[arg(long, conflicts_with = "append")]
    pub(crate) new: bool,
    /// Take a further manifest into a ledger that exists
    #[arg(long)]
    pub(crate) append: bool,
    /// Check and show the plan; write no ledger, send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Confirm that exactly N rows that take certificates away (Revoke, Retire) are sent now
    #[arg(long, value_name = "N")]
    pub(crate) confirm: Option<u64>,
    /// What invalid rows do to the run
    #[arg(long, value_name = "WHAT", default_value = "abort")]
    pub(crate) on_invalid: OnInvalidArg,
    /// What rows do to a new ledger that were requested from another ledger before
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub(crate) already: AlreadyArg,
    /// How far back requests of other ledgers count
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse::duration)]
    pub(crate) look_back: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlreadyArg {
    /// Stop the run, send nothing
    Stop,
    /// Leave them out
    Skip,
    /// Send them all the same
    Send,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which rows")]
pub(crate) struct PartArgs {
    /// Send at most N rows now, the first ones, and leave the others pending
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU32>,
    /// Send only the rows whose ids stand in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnInvalidArg {
    /// Send nothing
    Abort,
    /// Leave them out and send the others
    Skip,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pace and patience")]
pub(crate) struct PaceArgs {
    /// How many calls start: 50/s, 120/m, 1000/h or unlimited
    #[arg(long, value_name = "RATE", default_value_t = Rate::DEFAULT)]
    pub(crate) rate: Rate,
    /// How many calls may start at once [default: a hundredth of a second's, at least 2]
    #[arg(long, value_name = "N")]
    pub(crate) burst: Option<NonZeroU32>,
    /// How many calls may be under way at the same time
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse::concurrency)]
    pub(crate) concurrency: NonZeroUsize,
    /// How often a row is sent at most where it is certain that nothing arrived
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) max_attempts: NonZeroU32,
    /// Stop a throttled run that created nothing for this long
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse::duration)]
    pub(crate) stall: Duration,
    /// Take a 503 as not acted on (only where nothing in front of CM makes one of its own)
    #[arg(long)]
    pub(crate) resend_503: bool,
    /// Stop after so many failed calls in a row
    #[arg(long, value_name = "N", default_value = "25")]
    pub(crate) breaker_in_a_row: NonZeroU32,
    /// Stop when more than half of the last N calls failed
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) breaker_window: NonZeroU32,
    /// ... but not before so many calls
    #[arg(long, value_name = "N", default_value = "30")]
    pub(crate) breaker_min: NonZeroU32,
    /// Stop when the first N rows of a type and template are all refused alike; 0 never does
    #[arg(long, value_name = "N", default_value = "25")]
    pub(crate) breaker_refused: u32,
    /// Wait so long for a server that goes away during the run, instead of stopping
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse::duration)]
    pub(crate) wait_for_server: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rows in doubt")]
pub(crate) struct DoubtArgs {
    /// How long after a call ended the server's list may still miss its request [default: 30s, a rehearsal 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) settle: Option<Duration>,
    /// How long after a call began the server may still act on it [default: 150s, a rehearsal 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) server_limit: Option<Duration>,
    /// Believe that the server's list is complete, though it cannot prove it; risks to send rows twice
    #[arg(long)]
    pub(crate) trust_list: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Wire form")]
pub(crate) struct WireArgs {
    /// How the data collection is sent
    #[arg(long, value_name = "FORM", default_value = "array")]
    pub(crate) datacollection: DataCollectionArg,
    /// Put no tag into comments; a lost answer is then harder to settle
    #[arg(long)]
    pub(crate) no_tag: bool,
    /// Where the tag stands in the comment
    #[arg(long, value_name = "WHERE", default_value = "start", conflicts_with = "no_tag")]
    pub(crate) tag_position: TagPositionArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataCollectionArg {
    /// An array of single-key objects
    Array,
    /// A JSON string that holds such an array
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TagPositionArg {
    /// Before the row's own comment
    Start,
    /// After it
    End,
}

/// Settle what is in doubt, then send failed and pending rows again
///
/// Asks the server first which requests it has, so that no row is sent that exists. Says how many of which rows it sends
/// before it does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch replay wave.ledger
  cmbatch replay wave.ledger --state failed --cause server-error
  cmbatch replay wave.ledger --id E-1041 --id E-1042
  cmbatch replay wave.ledger --from wave.rejects.csv")]
pub(crate) struct ReplayArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
    /// Only rows in these states: failed, pending
    #[arg(long, value_name = "STATE,...", value_delimiter = ',', value_parser = parse::replay_state)]
    pub(crate) state: Vec<RowState>,
    /// Only rows whose last attempt ended like this; can be given again
    #[arg(long, value_name = "CAUSE,...", value_delimiter = ',')]
    pub(crate) cause: Vec<CauseArg>,
    /// Only this row of the run; can be given again
    #[arg(long, value_name = "N")]
    pub(crate) row: Vec<NonZeroU32>,
    /// Only the row with this id; can be given again
    #[arg(long, value_name = "ID")]
    pub(crate) id: Vec<String>,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// Send the mended rows of this manifest in place of the failed or invalid ones (by id, else by _row)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "cause", "row", "id", "ids"])]
    pub(crate) from: Option<PathBuf>,
    /// Confirm that exactly N rows that take certificates away (Revoke, Retire) are sent now
    #[arg(long, value_name = "N")]
    pub(crate) confirm: Option<u64>,
    /// Show the plan, send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) rehearsal: RehearsalArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) doubt: DoubtArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CauseArg {
    /// Nothing arrived: no connection, no sign-in, throttled
    NotSent,
    /// The server refused the row (4xx)
    Refused,
    /// The server failed (500)
    ServerError,
    /// The answer was lost, broken or of a kind that the API does not document
    Unknown,
}

/// Settle rows in doubt against the server's list of requests, and send nothing
///
/// A row whose tag is found is created. A row that is not found may be sent again only where the list proves that it is
/// not there: asked for late enough, and complete.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch reconcile wave.ledger
  cmbatch reconcile wave.ledger --settle 2m")]
pub(crate) struct ReconcileArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) rehearsal: RehearsalArgs,
    #[command(flatten)]
    pub(crate) doubt: DoubtArgs,
    /// How often a row is sent at most where it is certain that nothing arrived
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) max_attempts: NonZeroU32,
}

/// Record what a person found out about a row in doubt
///
/// With --list it prints for each row in doubt what to look for in the CM portal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch settle wave.ledger --list
  cmbatch settle wave.ledger --row 17 --created a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099
  cmbatch settle wave.ledger --row 18 --not-created --reason 'not in the portal, 9 March, asked the CM team'")]
#[command(group = clap::ArgGroup::new("verdict").required(true).args(["list", "created", "not_created"]))]
pub(crate) struct SettleArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
    /// List the rows in doubt and what to look for
    #[arg(long, conflicts_with_all = ["row", "reason"])]
    pub(crate) list: bool,
    /// The row's number in the run
    #[arg(long, value_name = "N", required_unless_present = "list")]
    pub(crate) row: Option<NonZeroU32>,
    /// The row was created as this request; it is read from the server to check that
    #[arg(long, value_name = "UUID", value_parser = parse::uuid)]
    pub(crate) created: Option<Guid>,
    /// The row was not created; it is pending again, or failed where the server answered 500
    #[arg(long, requires = "reason")]
    pub(crate) not_created: bool,
    /// How that is known
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) rehearsal: RehearsalArgs,
}

/// Show what became of a run: counts by state, and why rows failed
///
/// Exit status 0 where all rows are created or skipped, else 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch status wave.ledger
  cmbatch status wave.ledger --json")]
pub(crate) struct StatusArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
}

/// Write the rows of a ledger with what became of them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch export wave.ledger --format csv --output wave-results.csv
  cmbatch export wave.ledger --format jsonl --state failed,in_doubt
  cmbatch export wave.ledger --format manifest --state failed --output again.csv")]
pub(crate) struct ExportArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
    /// csv or jsonl with the results, or manifest: rows that submit takes as they are
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    pub(crate) format: ExportFormat,
    /// Only rows in these states, separated by commas
    #[arg(long, value_name = "STATE,...", value_delimiter = ',', value_parser = parse::row_state)]
    pub(crate) state: Vec<RowState>,
    /// Write to this file (mode 0600) instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace an output file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A table for spreadsheets; cells that would run as formulas are defused
    Csv,
    /// One JSON object a row
    Jsonl,
    /// A CSV manifest
    Manifest,
}

/// Run the embedded CM server alone, on loopback, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = simulate_help())]
pub(crate) struct SimulateArgs {
    /// The port to listen on, 0 for any
    #[arg(long, value_name = "PORT", default_value = "8080")]
    pub(crate) port: u16,
    /// How to fail; can be given again (--help lists all)
    #[arg(long, value_name = "FAULT", value_parser = parse::fault)]
    pub(crate) fault: Vec<Fault>,
    /// The seed of the faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long each answer takes, such as 20ms or 5s..40s
    #[arg(long, value_name = "RANGE", value_parser = parse::latency)]
    pub(crate) latency: Option<LatencyRange>,
    /// How long a request stays Pending before it is Approved
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) approve_after: Option<Duration>,
    /// How long an Approved request takes to be Completed
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) complete_after: Option<Duration>,
    /// Append each arrival to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
}

fn simulate_help() -> String {
    let mut text = "Faults:\n".to_owned();
    for fault in Fault::table() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}\n      {}", fault.example, fault.meaning);
    }
    text + "
A share such as 5% is drawn by the seed; also: first 3, at 3, after 100.

Examples:
  cmbatch simulate --port 8080
  cmbatch simulate --port 8080 --fault 503=5% --fault latency=20ms..400ms --seed 7
  cmbatch submit wave.csv --server http://127.0.0.1:8080"
}
