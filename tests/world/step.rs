//! The language of histories: every value stands in the steps, so that any part of a history is a history.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A history: what the world is made of, and what happens in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) seed: u64,
    /// What it shows, where it was kept for that: the kind of violation that it was found with.
    #[serde(default)]
    pub(crate) shows: Option<String>,
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Timed>,
}

/// What does not change in a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Rows of the first list; each further list has so many of its own.
    pub(crate) rows: u32,
    /// How many kinds the rows are of, in turn; the second one is `Revoke`.
    pub(crate) kinds: u8,
    /// The last row of a list stands there twice, with another profile, which is not sent.
    pub(crate) twin: bool,
    pub(crate) concurrency: usize,
    /// Calls a minute; 0 for no limit.
    pub(crate) per_minute: u32,
    pub(crate) max_attempts: u32,
    /// So many rows of a kind refused alike, or failures in a row, stop a run.
    pub(crate) breaker: u32,
    /// How long a call takes.
    pub(crate) latency_ms: u64,
    pub(crate) settle_s: u64,
    pub(crate) limit_s: u64,
    /// How many requests of others the server has before.
    pub(crate) others: u32,
}

/// A step and when it happens, in ms of the world's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timed {
    pub(crate) at: u64,
    pub(crate) step: Step,
}

/// A ledger's place: a host and a name on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) host: u8,
    pub(crate) ledger: u8,
}

/// What happens. What has no sense at its moment does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A person starts process `p`, which may die at a crossing.
    Run {
        p: u32,
        at: Place,
        cmd: Cmd,
        opts: Opts,
        dies: Option<Crossing>,
    },
    /// A person settles the n-th row in doubt of a ledger, by the truth or against it.
    Verdict {
        at: Place,
        nth: u32,
        truly: bool,
    },
    /// Failed rows and rows in doubt are exported as a list.
    Export {
        at: Place,
        list: u8,
    },
    Kill {
        p: u32,
    },
    Stop {
        p: u32,
    },
    Resume {
        p: u32,
    },
    Interrupt {
        p: u32,
    },
    /// Files of a ledger are copied under another name, or to another host.
    Copy {
        from: Place,
        to: Place,
        files: Files,
    },
    /// All files of a host are kept, as slot `slot`.
    Keep {
        host: u8,
        slot: u8,
    },
    /// They are written back over those that are there.
    PutBack {
        host: u8,
        slot: u8,
        state_too: bool,
    },
    /// The host goes back to the slot as a whole: its processes are gone, and its notes go back, too.
    Revert {
        host: u8,
        slot: u8,
    },
    /// A second host like the first one, its processes left out.
    Clone {
        from: u8,
        to: u8,
    },
    /// A host loses power: of each ledger's log the first `keep` commits of ten are left.
    Power {
        host: u8,
        keep: u8,
    },
    Move {
        at: Place,
        what: Beside,
    },
    Fault {
        fault: Fault,
        for_ms: u64,
    },
    /// What becomes of the n-th call (from 1) for a row of all lists.
    Fate {
        row: u32,
        nth: u32,
        fate: Fate,
    },
    /// Requests on the server are carried on: of ten so many.
    Carry {
        what: Carry,
        of_ten: u8,
    },
    /// Somebody else requests what a row asks for: in the portal, or from a run of cmbatch elsewhere.
    Stranger {
        row: u32,
        tagged: bool,
    },
    WallClock {
        host: u8,
        by_s: i64,
    },
    Suspend {
        host: u8,
        for_s: u64,
    },
    ServerClock {
        by_s: i64,
    },
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cmd {
    Submit {
        list: u8,
    },
    Append {
        list: u8,
    },
    Replay,
    /// Failed rows are corrected: another template, or targets that are exchanged.
    From {
        list: u8,
        swap: bool,
    },
    Reconcile,
}

/// Options of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Opts {
    /// `--limit`, 0 for none.
    pub(crate) limit: u32,
    pub(crate) no_tag: bool,
    pub(crate) without_list: bool,
    pub(crate) already: Already,
    pub(crate) trust_list: bool,
    /// `--wait-for-server`, in s.
    pub(crate) wait_s: u64,
    /// Another template than before stands for the lists' template name.
    pub(crate) other_template: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Already {
    #[default]
    Stop,
    Skip,
    Send,
}

/// Where a process dies: the n-th time (from 1) that it comes there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Crossing {
    /// A call is about to leave.
    CallLeaves(u32),
    /// The server has a call, its answer is not there.
    CallMade(u32),
    /// An answer is there and was not looked at.
    Answer(u32),
    /// The list is asked for.
    ListAsked(u32),
    /// An object of the list is there.
    Object(u32),
    /// A point of the ledger that contains these words.
    Point(String, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Files {
    /// The ledger file alone.
    Single,
    /// The ledger and its log.
    WithLog,
    /// All that lies beside it.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Beside {
    Lock,
    Log,
    LogAndLock,
    /// The ledger with all that lies beside it.
    Ledger,
    /// The notes of the host.
    State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Carry {
    Complete,
    Deny,
    /// Completed ones leave the list.
    Archive,
}

/// What is wrong with the server for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    Away,
    Slow {
        by_ms: u64,
    },
    Throttled,
    /// Every n-th answer is lost, and the server acts then, or never (0).
    Lost {
        every: u32,
        acts_after_ms: u64,
    },
    /// Every n-th call is answered 500 (or 503), and was acted on or not.
    Fails {
        every: u32,
        acted: bool,
        status: u16,
    },
    /// A gateway makes every n-th call twice.
    Repeated {
        every: u32,
    },
    /// The answers of two calls that are in flight together are exchanged.
    Swapped,
    /// Two calls get the uuid of the first one.
    SharedUuid,
    RefusesKind {
        kind: u8,
    },
    /// It takes another target than it was asked for.
    WrongTarget,
    Reads(ReadFault),
    List(ListFault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReadFault {
    Reset,
    NotFound,
    Forbidden,
    Fails,
    Odd,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ListFault {
    /// It holds the newest ones alone.
    CutOld {
        keep: usize,
    },
    /// It lacks the newest ones.
    CutNew {
        lacks: usize,
    },
    WithoutKind {
        kind: u8,
    },
    /// It lacks what is older than this.
    Since {
        ago_s: u64,
    },
    OtherAccountsOnly,
    Lags {
        by_s: u64,
    },
    HidesEvery {
        nth: usize,
    },
    HidesRow {
        row: u32,
    },
    Repeats,
    CutsComments {
        to: usize,
    },
    /// Every n-th object has an odd field.
    Odd {
        every: usize,
    },
    Unreadable,
    Forbidden,
    Trickles,
    /// A row's request is shown without comment and template.
    Bare {
        row: u32,
    },
    /// An older tag stands in front of a row's comment; of all rows' where it is 0.
    OlderTags {
        row: u32,
    },
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    CreatedAndLost,
    Lost,
    CreatedAnd500,
    Is500,
    /// This call and all later ones for this row.
    Is404,
    /// This call and all later ones, until the row is corrected.
    Is400,
    /// The client hears nothing, and the server acts later.
    Late {
        by_s: u64,
    },
    Repeated,
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", clock(self.at), self.step)
    }
}

/// Returns a time as `02:10.035`.
pub(crate) fn clock(ms: u64) -> String {
    format!("{:02}:{:02}.{:03}", ms / 60_000, ms / 1_000 % 60, ms % 1_000)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}/{}.ledger", self.host, char::from(b'a' + self.ledger % 26))
    }
}

impl fmt::Display for Opts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, no_tag, already, trust_list, without_list, wait_s, other_template } = self;
        let flag = |on: bool, text: &str| if on { format!(" {text}") } else { String::new() };
        f.write_str(&flag(*limit > 0, &format!("--limit {limit}")))?;
        f.write_str(&flag(*no_tag, "--no-tag"))?;
        f.write_str(&flag(*already != Already::Stop, &format!("--already {already:?}").to_lowercase()))?;
        f.write_str(&flag(*trust_list, "--trust-list"))?;
        f.write_str(&flag(*without_list, "--without-list"))?;
        f.write_str(&flag(*wait_s > 0, &format!("--wait-for-server {wait_s}s")))?;
        f.write_str(&flag(*other_template, "(another GUID for the template)"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { p, at, cmd, opts, dies } => {
                write!(f, "p{p} on h{}: ", at.host)?;
                match cmd {
                    Cmd::Submit { list } => write!(f, "submit list{list}.csv --ledger {at}")?,
                    Cmd::Append { list } => write!(f, "submit list{list}.csv --append --ledger {at}")?,
                    Cmd::Replay => write!(f, "replay {at}")?,
                    Cmd::From { list, swap: false } => write!(f, "replay {at} --from corrected{list}.csv")?,
                    Cmd::From { list, swap: true } => {
                        write!(f, "replay {at} --from corrected{list}.csv (targets exchanged)")?;
                    }
                    Cmd::Reconcile => write!(f, "reconcile {at}")?,
                }
                write!(f, "{opts}")?;
                if let Some(dies) = dies { write!(f, "; dies at {dies:?}") } else { Ok(()) }
            }
            Self::Verdict { at, nth, truly: true } => write!(f, "settle {at}: a true verdict on doubt {nth}"),
            Self::Verdict { at, nth, truly: false } => write!(f, "settle {at}: a FALSE verdict on doubt {nth}"),
            Self::Export { at, list } => {
                write!(f, "export {at} --format manifest --state failed,in_doubt > list{list}.csv")
            }
            Self::Copy { from, to, files } => write!(f, "cp {from} {to} ({files:?})"),
            Self::Move { at, what } => write!(f, "mv away {what:?} of {at}"),
            Self::Fault { fault, for_ms } => write!(f, "server, for {} s: {fault:?}", for_ms / 1_000),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Mixes numbers: what is drawn while a history runs hangs on what it is drawn for, and on no stream.
pub(crate) fn hash(parts: &[u64]) -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for part in parts {
        state = (state ^ part).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 32;
    }
    state
}
