//! Whom the requests are sent to: a server, or the embedded simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::job::{Context, block_on};
use crate::app::{Exit, Failure, wire_of};
use crate::cli::reach::{Destination, Reach};
use crate::cli::sign_in::signed_in as signed_in_as;
use crate::client::{AllowHttp, BaseUrl, Client, Endpoint};
use crate::ledger::{LedgerError, Reader, RowState, SessionInfo};
use crate::simulator::{SeededRequest, Simulator};

/// The other end of the calls.
pub(crate) struct Target {
    server: String,
    host: String,
    client: Client,
    /// Who signs in, where somebody does, and how.
    account: Option<String>,
    /// Ends with this value.
    _simulator: Option<Simulator>,
}

impl Target {
    /// Makes ready what can fail before anything is written: credentials and certificates are read here, and a ticket is
    /// asked for where calls sign in with one. A simulator starts, and knows what the ledger knows as created, where there is
    /// one.
    pub(crate) fn prepare(reach: &Reach, ledger: &Path) -> Result<Self, Failure> {
        let target = Self::unsigned(reach, ledger)?;
        let signed_in = match &reach.destination {
            Destination::Server(_) => block_on(target.client.sign_in())??,
            Destination::Simulator(_) => None,
        };
        Ok(Self { account: signed_in.as_ref().map(signed_in_as), ..target })
    }

    /// The same without signing in, for what makes no call.
    pub(crate) fn unsigned(reach: &Reach, ledger: &Path) -> Result<Self, Failure> {
        match &reach.destination {
            Destination::Server(endpoint) => Ok(Self {
                server: endpoint.base.to_string(),
                host: endpoint.base.host().to_owned(),
                client: Client::new(endpoint)?,
                account: None,
                _simulator: None,
            }),
            Destination::Simulator(script) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let simulator = Simulator::start(script.clone(), address, seeded(ledger)?)?;
                let base = BaseUrl::parse(&simulator.base_url(), AllowHttp::LoopbackOnly).map_err(|error| {
                    Failure::new(Exit::Server, format!("the simulator has no usable address: {error}"))
                })?;
                let max_idle = reach.limits.concurrency.get();
                Ok(Self {
                    server: "the embedded simulator".to_owned(),
                    host: "the embedded simulator".to_owned(),
                    client: Client::new(&Endpoint { max_idle, ..Endpoint::new(base) })?,
                    account: None,
                    _simulator: Some(simulator),
                })
            }
        }
    }

    /// Returns as whom calls are made.
    pub(crate) fn account(&self, reach: &Reach) -> String {
        self.account.as_ref().unwrap_or(&reach.account).clone()
    }

    /// Returns the session that a ledger records: with the account of its calls, which is asked for after the fact.
    pub(crate) fn session(&self, context: &Context<'_>, reach: &Reach) -> SessionInfo {
        let mut session = context.session.clone();
        session.options.push((SessionInfo::ACCOUNT.to_owned(), self.account(reach)));
        session
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }
}

/// Returns the requests that a rehearsal's earlier sessions created.
fn seeded(ledger: &Path) -> Result<Vec<SeededRequest>, Failure> {
    let reader = match Reader::open(ledger) {
        Ok(reader) => reader,
        Err(LedgerError::NotFound(..)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let wire = wire_of(reader.run());
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
