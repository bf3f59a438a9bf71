//! Groups of options that several commands have.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::parse;
use crate::cli::sign_in::SignInArgs;
use crate::client::Pin;
use crate::manifest::{Delimiter, Format, TextEncoding};
use crate::request::{Guid, RequestType};
use crate::simulator::Fault;
use crate::submit::Rate;

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
    /// What a second row with the same type, target, template, card, body values and sent profile is
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
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
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
#[command(next_help_heading = "Asking the server")]
pub(crate) struct DoubtArgs {
    /// What rows do that were requested from another ledger before
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub(crate) already: AlreadyArg,
    /// How far back requests of other ledgers count
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse::duration)]
    pub(crate) look_back: Duration,
    /// A user on the server whose requests are the site's own, beside this account; can be given again
    #[arg(long, value_name = "GUID", value_parser = parse::guid)]
    pub(crate) originator: Vec<Guid>,
    /// Send though the server's list cannot be read: only rows that were never sent, from an unchanged ledger
    #[arg(long)]
    pub(crate) without_list: bool,
    /// How long the server's list may take in all
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = parse::duration)]
    pub(crate) list_timeout: Duration,
    /// Do not read the server's list once more at the end
    #[arg(long)]
    pub(crate) no_final_look: bool,
    /// What happens where the first request of a type and template cannot be read back
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub(crate) check_first: CheckFirstArg,
    /// Where runs note themselves [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/cmbatch, else
    /// ~/.local/state/cmbatch; on Windows %LOCALAPPDATA%\cmbatch]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// How long after a call ended the server's list may still miss its request [default: 30s, a rehearsal 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) settle: Option<Duration>,
    /// How long after a call began the server may still act on it [default: 125s, a rehearsal 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) server_limit: Option<Duration>,
    /// Believe that the server's list is complete, though it cannot prove it; risks to send rows twice
    #[arg(long)]
    pub(crate) trust_list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFirstArg {
    /// The run stops, with one request made
    Stop,
    /// It goes on, with a warning
    Warn,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Wire form")]
pub(crate) struct WireArgs {
    /// How the data collection is sent
    #[arg(long, value_name = "FORM", default_value = "array")]
    pub(crate) datacollection: DataCollectionArg,
    /// Put no tag into comments; only a person can then settle a lost answer
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
