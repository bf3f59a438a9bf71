//! The command line as clap reads it: options and their help, no I/O.

mod groups;

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::groups::{
    AlreadyArg, CheckFirstArg, DataCollectionArg, DoubtArgs, ExtraColumnsArg, FindingArgs, GuardArgs, OnDuplicateArg,
    OnInvalidArg, PaceArgs, PartArgs, ReadingArgs, RehearsalArgs, RowArgs, ServerArgs, TagPositionArg, WireArgs,
};
use super::parse;
use crate::ledger::RowState;
use crate::request::{Guid, RequestType};
use crate::simulator::{Fault, LatencyRange};

const STYLES: Styles =
    Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold());

/// Sends a list of requests to MIM Certificate Management: one create request a row, never twice, never lost.
#[derive(Debug, Parser)]
#[command(name = "cmbatch", version, styles = STYLES, max_term_width = 100, propagate_version = true)]
#[command(args_override_self = true)]
#[command(after_help = "Examples:
  cmbatch validate wave.csv
  cmbatch submit wave.csv --simulate
  cmbatch submit wave.csv --server cm.contoso.test --token-file token.txt
  cmbatch status wave.ledger
  cmbatch replay wave.ledger
  cmbatch export wave.ledger --format csv --output wave-results.csv

Exit status:
  0    all rows created or skipped (or: all valid)
  1    some rows failed, are in doubt, pending or invalid, or a finding is to be looked at
  2    usage, configuration, a missing confirmation, rows requested before, another or a
       damaged ledger
  3    the manifest is invalid, nothing was sent
  4    the server, or no list of its requests
  5    sign-in or rights
  6    the API is disabled or the address wrong
  7    the ledger, the state folder or an output cannot be written
  8    the ledger is in use, or another process works on this run or its rows
  130  interrupted

Every option can also stand in a TOML file (--config, else cmbatch.toml) and in the environment
(CMBATCH_RATE for --rate); the command line wins over the environment, the environment over the file.
An option given twice: the last one counts, where it takes one value.")]
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
    Drop(DropArgs),
    Status(StatusArgs),
    Export(ExportArgs),
    Doctor(Box<DoctorArgs>),
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
    /// Send the corrected rows of this manifest in place of the failed or invalid ones (by id, else by _row)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "cause", "row", "id", "ids"])]
    pub(crate) from: Option<PathBuf>,
    /// What an unknown column of it is [default: what it was when the run's lists were submitted]
    #[arg(long, value_name = "WHAT")]
    pub(crate) extra_columns: Option<ExtraColumnsArg>,
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

/// Settle rows in doubt: by the server's list, or by what a person found out
///
/// Without a verdict it asks the server, as reconcile does; with --all it reads the list where nothing is in doubt, too, and says what
/// that shows to be wrong. With --list it prints for each row in doubt what to look for in the CM portal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch settle wave.ledger
  cmbatch settle wave.ledger --all
  cmbatch settle wave.ledger --list
  cmbatch settle wave.ledger --row 17 --created a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099
  cmbatch settle wave.ledger --row 18 --row 19 --not-created --reason 'not in the portal, 9 March, asked the CM team'
  cmbatch settle wave.ledger --row 20 --looked-at --reason 'canceled the second one in the portal'")]
#[command(group = clap::ArgGroup::new("verdict").args(["list", "all", "created", "not_created", "looked_at"]))]
pub(crate) struct SettleArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
    /// Read the server's list even where no row is in doubt
    #[arg(long, conflicts_with_all = ["row", "ids", "reason"])]
    pub(crate) all: bool,
    /// List the rows in doubt and what to look for
    #[arg(long, conflicts_with_all = ["row", "ids", "reason"])]
    pub(crate) list: bool,
    /// The row's number in the run; can be given again for --not-created and --looked-at
    #[arg(long, value_name = "N", requires = "verdict")]
    pub(crate) row: Vec<NonZeroU32>,
    /// The rows whose ids stand in this file, one a line (for --not-created)
    #[arg(long, value_name = "FILE", requires = "not_created")]
    pub(crate) ids: Option<PathBuf>,
    /// The row was created as this request; it is read from the server to check that
    #[arg(long, value_name = "UUID", value_parser = parse::uuid, requires = "row")]
    pub(crate) created: Option<Guid>,
    /// The rows were not created; they are pending again, or failed where the server answered 500
    #[arg(long, requires = "reason")]
    pub(crate) not_created: bool,
    /// What the list showed to be wrong with these rows was looked at
    #[arg(long, requires_all = ["reason", "row"])]
    pub(crate) looked_at: bool,
    /// How that is known
    #[arg(long, value_name = "TEXT", requires = "verdict")]
    pub(crate) reason: Option<String>,
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

/// Close rows that were not created: not wanted any more, or done elsewhere
///
/// Rows that are pending, failed, in doubt or invalid are skipped from then on, with who said so and why. --undo takes it back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch drop wave.ledger --row 127 --reason 'left the company, asked HR'
  cmbatch drop wave.ledger --id E-1041 --id E-1042 --reason 'left the company, asked HR'
  cmbatch drop wave.ledger --ids gone.txt --reason 'done in the portal, ticket 4711'
  cmbatch drop wave.ledger --cause refused --reason 'cards were revoked by hand'
  cmbatch drop wave.ledger --row 127 --undo")]
#[command(group = clap::ArgGroup::new("rows").required(true).multiple(true).args(["row", "id", "ids", "cause"]))]
pub(crate) struct DropArgs {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    pub(crate) ledger: PathBuf,
    /// The row's number in the run; can be given again
    #[arg(long, value_name = "N")]
    pub(crate) row: Vec<NonZeroU32>,
    /// The row with this id; can be given again
    #[arg(long, value_name = "ID")]
    pub(crate) id: Vec<String>,
    /// The rows whose ids stand in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    /// The rows whose last attempt ended like this; can be given again
    #[arg(long, value_name = "CAUSE,...", value_delimiter = ',')]
    pub(crate) cause: Vec<CauseArg>,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Take it back: the rows are what they were before
    #[arg(long)]
    pub(crate) undo: bool,
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
  cmbatch export wave.ledger --format manifest --state failed --output again.csv
  cmbatch export wave.ledger --format manifest --state created --as Revoke --output revoke.csv")]
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
    /// Write created rows as requests of this type: a list of what is to be done to them next
    #[arg(long = "as", value_name = "TYPE", value_parser = parse::request_type)]
    pub(crate) as_type: Option<RequestType>,
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
    /// A CSV manifest; never of rows that exist on the server or may
    Manifest,
}

/// Go the way of a call step by step, and say what is wrong and what to do
///
/// Changes nothing on the server. Name, connection, TLS, sign-in, clock, API, rights, latency. Exit status 0 where a run could
/// begin, else that of the run: 4 the server or its list, 5 sign-in, 6 no API; with --quiet it is all that a timer needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cmbatch doctor --server cm.contoso.test --token-file token.txt
  cmbatch doctor --server cm.contoso.test --auth negotiate --keytab svc.keytab --quiet")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
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
