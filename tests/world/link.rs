//! The server as one process talks to it: the traits that the program calls, and the crossings at which a process dies.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use cmbatch::client::{
    Answer, ClientError, ListItem, ListTimeouts, ObjectFault, ReadError, Renewed, RequestObject, TransportFault,
};
use cmbatch::machine::Machine;
use cmbatch::reconcile::{Lists, ServerList};
use cmbatch::request::RequestUuid;
use cmbatch::submit::Calls;
use futures_util::{Stream, stream};
use tokio::time::sleep;

use crate::server::{Server, unread};
use crate::step::{Crossing, Fault};

/// What a process has come to, and where it dies.
#[derive(Default)]
pub(crate) struct Gate {
    dies: Option<Crossing>,
    pub(crate) is_dead: Cell<bool>,
    n: RefCell<BTreeMap<String, u32>>,
}

impl Gate {
    pub(crate) fn new(dies: Option<Crossing>) -> Self {
        Self { dies, ..Self::default() }
    }

    /// Comes to a crossing; says whether the process dies there.
    pub(crate) fn cross(&self, here: &dyn Fn(u32) -> Crossing) -> bool {
        let wanted = match &self.dies {
            Some(Crossing::CallLeaves(n) | Crossing::CallMade(n) | Crossing::Answer(n)) => *n,
            Some(Crossing::ListAsked(n) | Crossing::Object(n)) => *n,
            Some(Crossing::Point(..)) | None => return false,
        };
        if self.dies.as_ref() != Some(&here(wanted)) {
            return false;
        }
        let mut n = self.n.borrow_mut();
        let n = n.entry(String::new()).or_default();
        *n += 1;
        let dies = *n == wanted;
        self.is_dead.set(self.is_dead.get() || dies);
        dies
    }

    /// Comes to a point of the ledger's work.
    pub(crate) fn point(&self, name: &str) -> bool {
        let Some(Crossing::Point(part, wanted)) = &self.dies else { return false };
        if !name.contains(part.as_str()) {
            return false;
        }
        let mut n = self.n.borrow_mut();
        let n = n.entry(part.clone()).or_default();
        *n += 1;
        let dies = n == wanted;
        self.is_dead.set(self.is_dead.get() || dies);
        dies
    }
}

/// The server, as one process talks to it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) server: Rc<RefCell<Server>>,
    pub(crate) gate: Rc<Gate>,
    pub(crate) process: u32,
    pub(crate) n_calls: Rc<Cell<u64>>,
    /// The clocks of the host.
    pub(crate) machine: Machine,
}

impl Link {
    async fn latency(&self) {
        let latency = self.server.borrow().latency;
        sleep(Duration::from_millis(latency)).await;
    }
}

impl Calls for Link {
    async fn create(&self, body: Vec<u8>, send_before: Option<Duration>) -> Answer {
        if self.gate.cross(&Crossing::CallLeaves) {
            return pending().await;
        }
        if send_before.is_some_and(|until| self.machine.since_boot() > until) {
            return Answer::None { fault: TransportFault::TooLate, message: "the claim was too old".to_owned() };
        }
        let number = self.n_calls.get() + 1;
        self.n_calls.set(number);
        let after = self.server.borrow_mut().arrive(number, self.process, &body);
        if self.gate.cross(&Crossing::CallMade) {
            return pending().await;
        }
        sleep(Duration::from_millis(after)).await;
        let answer = self.server.borrow_mut().answer(number);
        if self.gate.cross(&Crossing::Answer) {
            return pending().await;
        }
        answer
    }

    fn renew(&self) -> Result<Renewed, ClientError> {
        Ok(Renewed::Same)
    }

    async fn read_back(&self, uuid: RequestUuid) -> Result<RequestObject, ReadError> {
        self.latency().await;
        let text = self.server.borrow_mut().read(uuid.guid())?;
        RequestObject::from_json(text.as_bytes())
            .map_err(|fault| ReadError::Object { number: 1, reason: fault.to_string() })
    }

    async fn probe(&self) -> Result<(), ReadError> {
        self.latency().await;
        let is_away = self.server.borrow().is_on(|fault| *fault == Fault::Away);
        if is_away { Err(unread(TransportFault::ConnectionRefused)) } else { Ok(()) }
    }
}

impl Lists for Link {
    async fn list(
        &self,
        _timeouts: ListTimeouts,
    ) -> Result<ServerList<impl Stream<Item = Result<ListItem, ReadError>>>, ReadError> {
        if self.gate.cross(&Crossing::ListAsked) {
            return pending().await;
        }
        self.latency().await;
        let (objects, pause) = self.server.borrow_mut().list(self.process)?;
        let date = Some(self.server.borrow().date());
        let gate = self.gate.clone();
        let items = stream::unfold((objects.into_iter(), 0), move |(mut rest, n)| {
            let gate = gate.clone();
            async move {
                let text = rest.next()?;
                if gate.cross(&Crossing::Object) {
                    return pending().await;
                }
                if pause > 0 {
                    sleep(Duration::from_millis(pause)).await;
                }
                Some((parse(n + 1, &text), (rest, n + 1)))
            }
        });
        Ok(ServerList { date, items })
    }
}

fn parse(number: u64, text: &str) -> Result<ListItem, ReadError> {
    match RequestObject::from_json(text.as_bytes()) {
        Ok(object) => Ok(ListItem::Request(object)),
        Err(ObjectFault::Unread(reason)) => Ok(ListItem::Unread { number, reason }),
        Err(fault) => Err(ReadError::Object { number, reason: fault.to_string() }),
    }
}
