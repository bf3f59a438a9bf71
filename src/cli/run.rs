//! From arguments to exit status.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use jiff::Timestamp;

use super::args::{Command, GlobalArgs, LogFormat};
use super::commands::{export, simulate, status, submit, validate};
use super::config::{SubmitConfig, ValidateConfig, World};
use super::exit::Exit;
use super::failure::Failure;
use super::invocation::Invocation;
use super::layers::{self, LayerError, Layered};
use super::output::Shell;
use super::signals;
use super::summary::Summary;
use crate::client::Secret;
use crate::ledger::SessionInfo;
use crate::platform;

/// Runs the program with the process's own arguments and environment.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment: BTreeMap<String, OsString> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    match layers::read(&argv, &environment) {
        Ok(layered) => run(layered, &argv, &environment).into(),
        Err(LayerError::Clap(error)) => {
            // Help and version are results; everything else is a usage error. clap knows which stream is which.
            let _ = error.print();
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
        let _ = super::output::result(&Summary::from(failure).json_line());
    }
    exit
}

fn run(layered: Layered, argv: &[OsString], environment: &BTreeMap<String, OsString>) -> Exit {
    let global = &layered.cli.global;
    let (as_json, json_log) = (global.json, global.log_format == LogFormat::Json);
    start_log(global);
    let shell = Shell::new(global.quiet, json_log);
    for warning in &layered.warnings {
        shell.warn(warning);
    }
    let invocation = Invocation::new(argv);
    let mut ended = command(layered, &invocation, &shell, environment);
    if let Err(failure) = &mut ended
        && failure.exit == Exit::InvalidManifest
        && failure.next.is_none()
    {
        failure.next = Some(format!("mend the manifest, then: {}", invocation.again()));
    }
    if let Err(failure) = &mut ended
        && failure.next.is_none()
    {
        failure.next = Some(match failure.exit {
            Exit::InUse => format!("wait until it has ended, then: {}", invocation.again()),
            Exit::Disk => format!("make room or mend the disk, then: {}", invocation.again()),
            _ => format!("correct that, then: {}", invocation.again()),
        });
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
                shell.always(&format!("next: {next}"));
            }
            // The failure's own status says more than that its object could not be written.
            let _ = if as_json { super::output::result(&Summary::from(failure).json_line()) } else { Ok(()) };
            exit
        }
    }
}

/// Sets up the JSON log; text goes through the shell alone.
fn start_log(global: &GlobalArgs) {
    if global.log_format == LogFormat::Json {
        let level = if global.quiet { tracing::Level::WARN } else { tracing::Level::INFO };
        // A second subscriber in one process is refused, which does no harm.
        let _ = tracing_subscriber::fmt().json().with_max_level(level).with_writer(std::io::stderr).try_init();
    }
}

fn command(
    layered: Layered,
    invocation: &Invocation,
    shell: &Shell,
    environment: &BTreeMap<String, OsString>,
) -> Result<Option<Summary>, Failure> {
    let Layered { cli, origins, templates, files, warnings: _ } = layered;
    let token =
        environment.get(super::TOKEN_VARIABLE).and_then(|value| value.to_str()).filter(|value| !value.is_empty());
    let world =
        World { templates, token: token.map(|token| Secret::new(token.to_owned())), user: platform::user_name() };
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
            let session = session(user, invocation, &config);
            let before =
                signals::before_sending(interrupted(shell, cli.global.json, invocation), Exit::Interrupted.status());
            let context = submit::Context {
                shell,
                verbose: cli.global.verbose,
                invocation,
                session,
                config_files: &files,
                before,
            };
            submit::run(config, &context).map(Some)
        }
        Command::Status(args) => status::run(&args.ledger, cli.global.json).map(Some),
        Command::Export(args) => export::run(&args),
        Command::Simulate(args) => simulate::run(&args, shell).map(Some),
    }
}

/// The last words of a run that was interrupted before it sent anything.
fn interrupted(shell: &Shell, as_json: bool, invocation: &Invocation) -> impl FnOnce() + Send + 'static {
    let (shell, again) = (shell.clone(), invocation.again());
    move || {
        let summary = Summary::new(Exit::Interrupted, "interrupted; nothing was sent").with_next(again);
        // There is nobody left to tell that it could not be written.
        let _ = summary.print(&shell, as_json);
    }
}

/// Who works on the ledger, with the options in force; none of them is a secret.
fn session(user: String, invocation: &Invocation, config: &SubmitConfig) -> SessionInfo {
    let limits = &config.limits;
    let mut options = config.identity.clone();
    let mut add = |name: &str, value: String| options.push((name.to_owned(), value));
    add("rate", limits.rate.to_string());
    add("burst", limits.burst.to_string());
    add("concurrency", limits.concurrency.to_string());
    add("max-attempts", limits.max_attempts.to_string());
    add("account", config.account.clone());
    add(status::COMMAND_LINE, invocation.again());
    SessionInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        user,
        host: platform::host_name(),
        pid: std::process::id(),
        command: "submit".to_owned(),
        options,
        started_at: Timestamp::now(),
    }
}
