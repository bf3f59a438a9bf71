//! From arguments to exit status.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::args::{Command, GlobalArgs, LogFormat};
use super::commands::job::Context;
use super::commands::{doctor, drop, export, reconcile, replay, settle, simulate, status, submit, validate};
use super::config::{SubmitConfig, ValidateConfig, World};
use super::invocation::Invocation;
use super::layers::{self, LayerError, Layered};
use super::output::{Log, Shell};
use super::reach::{Reach, endpoint_of, risks};
use super::sign_in::Secrets;
use super::signals;
use super::summary::Summary;
use crate::app::{Exit, Failure, Next, Piece};
use crate::client::{Endpoint, Secret};
use crate::ledger::SessionInfo;
use crate::machine::Machine;
use crate::platform;
use crate::request::printable_lines;

/// Runs the program with the process's own arguments and environment.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment: BTreeMap<String, OsString> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    #[cfg(debug_assertions)]
    for (name, arm) in [
        ("CMBATCH_CRASH_AT", platform::crash::arm as fn(&str)),
        ("CMBATCH_TEST_SYNCHRONOUS", platform::crash::set_synchronous),
    ] {
        environment.get(name).and_then(|value| value.to_str()).map(arm);
    }
    // In a runtime of its own, which nothing else needs: a signal that is taken once is taken to the end.
    drop(tokio::runtime::Builder::new_current_thread().enable_io().build().map(|runtime| {
        let _runs = runtime.enter();
        platform::outlive_file_size_limit();
    }));
    match layers::read(&argv, &environment) {
        Ok(layered) => run(layered, &argv, &environment).into(),
        Err(LayerError::Clap(error)) => {
            // Help and version are results; everything else is a usage error. clap knows which stream is which, and prints
            // words of the command line as they are.
            if error.use_stderr() && matches!(printable_lines(&error.to_string()), Cow::Owned(_)) {
                Shell::new(false, false).always(error.to_string().trim_end());
            } else {
                let _ = error.print();
            }
            if !error.use_stderr() {
                return Exit::Done.into();
            }
            let first = error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            refused_options(&argv, Failure::new(Exit::Usage, first)).into()
        }
        Err(error @ LayerError::Config(_)) => {
            Shell::new(false, false).error(&error.to_string());
            refused_options(&argv, Failure::new(Exit::Usage, error.to_string())).into()
        }
    }
}

/// Options that cannot be read still leave the JSON object that a script waits for.
fn refused_options(argv: &[OsString], failure: Failure) -> Exit {
    let exit = failure.exit;
    if argv.iter().any(|word| word == "--json") {
        let _ = super::output::result(&Summary::of_failure(failure, &Invocation::new(argv)).json_line());
    }
    exit
}

fn run(layered: Layered, argv: &[OsString], environment: &BTreeMap<String, OsString>) -> Exit {
    let global = &layered.cli.global;
    let (as_json, json_log) = (global.json, global.log_format == LogFormat::Json);
    start_log(global);
    let shell = Shell::new(global.quiet, json_log);
    for warning in layered.warnings.iter().chain(&risks(&layered.cli.command, &layered.origins)) {
        shell.warn(warning);
    }
    let mut invocation = Invocation::new(argv);
    if let Some(folder) = service_folder(environment).filter(|_| !layered.origins.has("state-dir")) {
        invocation = invocation.in_state_folder(folder);
    }
    let mut ended = command(layered, &invocation, &shell, environment);
    if let Err(failure) = &mut ended
        && failure.next.is_none()
    {
        failure.next = Some(way_out(failure, &invocation));
    }
    match ended {
        Ok(None) => Exit::Done,
        Ok(Some(summary)) => match summary.print(&shell, as_json) {
            Ok(()) => summary.exit,
            Err(error) => {
                shell.error(&format!("the result cannot be written: {error}"));
                Exit::Disk
            }
        },
        Err(failure) => {
            let exit = failure.exit;
            shell.error(&failure.message);
            if let Some(next) = &failure.next {
                shell.always(&format!("next: {}", invocation.shown_next(next)));
            }
            // The failure's own status says more than that its object could not be written.
            let _ = if as_json {
                super::output::result(&Summary::of_failure(failure, &invocation).json_line())
            } else {
                Ok(())
            };
            exit
        }
    }
}

/// Returns what to do about a failure that says nothing of that itself.
fn way_out(failure: &Failure, invocation: &Invocation) -> Next {
    let first = match failure.exit {
        _ if let Some(remedy) = failure.remedy => remedy,
        // The command itself is what is wrong: typed again as it is, it would fail again.
        Exit::Usage => return Next::from("correct that in the command, and run it again"),
        Exit::InvalidManifest => "correct the manifest",
        Exit::InUse => "wait until it has ended",
        Exit::Disk => "make room or repair the disk",
        Exit::Server | Exit::SignIn | Exit::NoApi => match invocation.doctor() {
            Some(doctor) => {
                let first = format!("see what is wrong: {doctor}; then, once that is corrected: ");
                return Next::from(first).and(Piece::Again);
            }
            None => "correct that",
        },
        Exit::Done | Exit::SomeRows | Exit::Interrupted => "correct that",
    };
    Next::again().after(first)
}

/// Sets up the JSON log; text goes through the shell alone.
fn start_log(global: &GlobalArgs) {
    if global.log_format == LogFormat::Json {
        let level = if global.quiet { tracing::Level::WARN } else { tracing::Level::INFO };
        // A second subscriber in one process is refused, which does no harm.
        let _ = tracing_subscriber::fmt().json().with_max_level(level).with_writer(|| Log).try_init();
    }
}

fn command(
    layered: Layered,
    invocation: &Invocation,
    shell: &Shell,
    environment: &BTreeMap<String, OsString>,
) -> Result<Option<Summary>, Failure> {
    let Layered { cli, origins, templates, files, warnings: _ } = layered;
    let text = |name: &str| text_of(environment, name);
    let secret = |name: &str| text(name).map(|value| Secret::new(value.to_owned()));
    let secrets = Secrets {
        token: secret(super::TOKEN_VARIABLE),
        client: secret(super::CLIENT_SECRET_VARIABLE),
        password: secret(super::PASSWORD_VARIABLE),
        keytab: text("KRB5_CLIENT_KTNAME").map(str::to_owned),
    };
    let state_dir = service_folder(environment)
        .map(PathBuf::from)
        .or_else(|| text("XDG_STATE_HOME").map(|home| PathBuf::from(home).join("cmbatch")))
        .or_else(|| text("HOME").map(|home| PathBuf::from(home).join(".local/state/cmbatch")))
        .or_else(|| text("LOCALAPPDATA").map(|home| PathBuf::from(home).join("cmbatch")));
    let world = World { templates, secrets, user: platform::user_name(), state_dir };
    match cli.command {
        Command::Validate(args) if args.rules => {
            validate::list_rules(cli.global.json)?;
            Ok(None)
        }
        Command::Validate(args) => {
            let config = ValidateConfig::resolve(&args, &origins, &world)?;
            validate::run(&config, invocation, shell).map(Some)
        }
        Command::Submit(args) => {
            let user = world.user.clone();
            let config = SubmitConfig::resolve(&args, &origins, world)?;
            let mut options = config.identity.clone();
            options.extend(in_force(&config.reach));
            let extra = format!("{:?}", config.checking.rules.extra_columns).to_lowercase();
            options.push((SessionInfo::EXTRA_COLUMNS.to_owned(), extra));
            let session = session("submit", user, invocation, options);
            submit::run(&config, &context(session, shell, &cli.global, invocation, &files)).map(Some)
        }
        Command::Replay(args) => {
            let session = session("replay", world.user.clone(), invocation, Vec::new());
            replay::run(&args, &origins, world, &context(session, shell, &cli.global, invocation, &files)).map(Some)
        }
        Command::Reconcile(args) => {
            let session = session("reconcile", world.user.clone(), invocation, Vec::new());
            reconcile::run(&args, &origins, world, &context(session, shell, &cli.global, invocation, &files)).map(Some)
        }
        Command::Settle(args) => {
            let session = session("settle", world.user.clone(), invocation, Vec::new());
            settle::run(
                &args,
                &origins,
                world,
                &context(session, shell, &cli.global, invocation, &files),
                cli.global.json,
            )
        }
        Command::Drop(args) => {
            let session = session("drop", world.user.clone(), invocation, Vec::new());
            drop::run(&args, &context(session, shell, &cli.global, invocation, &files)).map(Some)
        }
        Command::Status(args) => status::run(&args.ledger, invocation, cli.global.json).map(Some),
        Command::Export(args) => export::run(&args, invocation, shell),
        Command::Doctor(args) => {
            let endpoint = endpoint_of(&args.server, None, &origins, world.secrets)?;
            let endpoint = Endpoint { keep_certificate: true, ..endpoint };
            doctor::run(&endpoint, &world.user, invocation, shell, cli.global.json).map(Some)
        }
        Command::Simulate(args) => simulate::run(&args, shell).map(Some),
    }
}

fn text_of<'e>(environment: &'e BTreeMap<String, OsString>, name: &str) -> Option<&'e str> {
    environment.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
}

/// Returns the state folder that systemd gives a service.
fn service_folder(environment: &BTreeMap<String, OsString>) -> Option<&str> {
    text_of(environment, "STATE_DIRECTORY").and_then(|folders| folders.split(':').next())
}

/// The last words of a run that was interrupted before it sent anything.
fn interrupted(shell: &Shell, as_json: bool, invocation: &Invocation) -> impl FnOnce() + Send + 'static {
    // Nothing came of it: what was confirmed still holds.
    let (shell, again) = (shell.clone(), invocation.instead(&["--new"], &[]));
    move || {
        let summary = Summary::new(Exit::Interrupted, "interrupted; nothing was sent").with_next(again);
        // There is nobody left to tell that it could not be written.
        let _ = summary.print(&shell, as_json);
    }
}

fn context<'a>(
    session: SessionInfo,
    shell: &'a Shell,
    global: &GlobalArgs,
    invocation: &'a Invocation,
    config_files: &'a [PathBuf],
) -> Context<'a> {
    let last_words = interrupted(shell, global.json, invocation);
    let before = signals::before_sending(last_words, Exit::Interrupted.status());
    let machine = Machine::system();
    Context { shell, verbose: global.verbose, invocation, session, config_files, machine, before }
}

/// The options in force that do not shape rows; none of them is a secret.
fn in_force(reach: &Reach) -> Vec<(String, String)> {
    let (limits, patience) = (&reach.limits, &reach.patience);
    let options = [
        ("rate", limits.rate.to_string()),
        ("burst", limits.burst.to_string()),
        ("concurrency", limits.concurrency.to_string()),
        ("max-attempts", limits.max_attempts.to_string()),
        ("settle", format!("{:?}", patience.settle)),
        ("server-limit", format!("{:?}", patience.server_limit)),
    ];
    options.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Who works on the ledger, with the options in force and the command as it was typed.
fn session(command: &str, user: String, invocation: &Invocation, mut options: Vec<(String, String)>) -> SessionInfo {
    options.push((SessionInfo::COMMAND_LINE.to_owned(), invocation.again()));
    SessionInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        user,
        host: platform::host_name(),
        pid: std::process::id(),
        command: command.to_owned(),
        options,
        started_at: Timestamp::now(),
    }
}
