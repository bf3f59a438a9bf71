//! Whom the requests are sent to: a server, or the embedded simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::job::{Context, block_on};
use super::status::ACCOUNT;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::reach::{Destination, Reach};
use crate::cli::sign_in::signed_in as signed_in_as;
use crate::client::{AllowHttp, BaseUrl, Client, Endpoint};
use crate::ledger::{Reader, RowState, SessionInfo};
use crate::simulator::{SeededRequest, Simulator};
use crate::submit::Wire;

/// The other end of the calls.
pub(crate) struct Target {
    server: String,
    host: String,
    client: Option<Client>,
    /// Who signs in, where somebody does, and how.
    account: Option<String>,
    simulator: Option<Simulator>,
}

impl Target {
    /// Makes ready what can fail before anything is written: credentials and certificates are read here, and a ticket is
    /// asked for where calls sign in with one.
    pub(crate) fn prepare(destination: &Destination) -> Result<Self, Failure> {
        match destination {
            Destination::Server(endpoint) => {
                let client = Client::new(endpoint)?;
                let signed_in = block_on(client.sign_in())??;
                Ok(Self {
                    server: endpoint.base.to_string(),
                    host: endpoint.base.host().to_owned(),
                    client: Some(client),
                    account: signed_in.as_ref().map(signed_in_as),
                    simulator: None,
                })
            }
            Destination::Simulator(_) => Ok(Self {
                server: "the embedded simulator".to_owned(),
                host: "the embedded simulator".to_owned(),
                client: None,
                account: None,
                simulator: None,
            }),
        }
    }

    /// Returns as whom calls are made.
    pub(crate) fn account(&self, reach: &Reach) -> String {
        self.account.as_ref().unwrap_or(&reach.account).clone()
    }

    /// Returns the session that a ledger records: with the account of its calls, which is asked for after the fact.
    pub(crate) fn session(&self, context: &Context<'_>, reach: &Reach) -> SessionInfo {
        let mut session = context.session.clone();
        session.options.push((ACCOUNT.to_owned(), self.account(reach)));
        session
    }

    /// Starts the simulator, where that is the target; it knows what the ledger knows as created.
    pub(crate) fn start(&mut self, ledger: &Path, reach: &Reach, wire: &Wire) -> Result<(), Failure> {
        let Destination::Simulator(script) = &reach.destination else { return Ok(()) };
        let seeded = seeded(ledger, wire)?;
        let simulator = Simulator::start(script.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), seeded)?;
        let base = BaseUrl::parse(&simulator.base_url(), AllowHttp::LoopbackOnly)
            .map_err(|error| Failure::new(Exit::Server, format!("the simulator has no usable address: {error}")))?;
        self.client = Some(Client::new(&Endpoint { max_idle: reach.limits.concurrency.get(), ..Endpoint::new(base) })?);
        self.simulator = Some(simulator);
        Ok(())
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn client(&self) -> Result<&Client, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::new(Exit::Server, "the simulator was not started"))
    }
}

/// Returns the requests that a rehearsal's earlier sessions created.
fn seeded(ledger: &Path, wire: &Wire) -> Result<Vec<SeededRequest>, Failure> {
    let reader = Reader::open(ledger)?;
    let mut seeded = Vec::new();
    reader.for_each_row(&[RowState::Created], |row| -> Result<(), Failure> {
        if let (Some(uuid), Some(request)) = (row.request_uuid, row.request) {
            let comment = wire.comment(row.row, &request);
            seeded.push(SeededRequest { uuid, request, comment, submitted: row.last_attempt_at });
        }
        Ok(())
    })?;
    Ok(seeded)
}
