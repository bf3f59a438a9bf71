//! `cmbatch simulate`: the embedded server alone.

use std::net::{Ipv4Addr, SocketAddr};

use crate::app::{Exit, Failure};
use crate::cli::args::SimulateArgs;
use crate::cli::output::{Shell, grouped};
use crate::cli::summary::Summary;
use crate::platform::StopRequests;
use crate::simulator::{Life, Script, Simulator};

/// How many arrivals are kept for those who ask for them over HTTP (about 0.5 KiB each); `--log` keeps all.
const KEEP_ARRIVALS: usize = 100_000;

/// Serves until Ctrl-C or SIGTERM.
pub(crate) fn run(args: &SimulateArgs, shell: &Shell) -> Result<Summary, Failure> {
    let defaults = Script::default();
    let script = Script {
        seed: args.seed,
        faults: args.fault.clone(),
        latency: args.latency.unwrap_or(defaults.latency),
        life: Life {
            approve_after: args.approve_after.unwrap_or(defaults.life.approve_after),
            complete_after: args.complete_after.or(defaults.life.complete_after),
        },
        log: args.log.clone(),
        keep_arrivals: KEEP_ARRIVALS,
        ..Script::default()
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let simulator = Simulator::start(script, address, Vec::new())?;
    // Scripts read the address from standard output.
    crate::cli::output::result(&format!("{}\n", simulator.base_url()))?;
    shell.say(&format!("the simulator listens on {}; Ctrl-C ends it", simulator.base_url()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        StopRequests::listen_while_connected()?.next().await;
        Ok::<(), std::io::Error>(())
    })?;
    let log_error = simulator.take_log_error();
    let (n_calls, n_requests) = (simulator.arrivals().last().map_or(0, |last| last.number), simulator.requests().len());
    simulator.stop();
    if let Some(error) = log_error {
        return Err(Failure::new(Exit::Disk, format!("the log of arrivals broke off: {error}")));
    }
    Ok(Summary::new(Exit::Done, format!("{} calls, {} requests", grouped(n_calls), grouped(n_requests as u64))))
}
