//! The world: one thread, one paused clock. It takes the steps, chooses which process goes on, and lets the judge look.

mod files;
mod person;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cmbatch::ledger::RowState;
use cmbatch::platform::crash::{Died, set_hook};
use cmbatch::submit::StopLevel;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::host::{self, Host, Photo, ledger_path};
use crate::link::{Gate, Link};
use crate::marks::Marks;
use crate::oracle::{Broken, Known, Oracle, Violation};
use crate::process::{self, Order, Running, Said};
use crate::server::{Server, target};
use crate::step::{Beside, Cmd, History, Opts, Place, Step, clock, hash};

/// How long a command may take in the world's time, in ms: beyond the longest wait there is.
const LONGEST: u64 = 8 * 3_600_000;
/// How long the storm lasts behind the last step, in ms.
const AFTERWARDS: u64 = 1_000_000;
const MOST_POLLS: u64 = 300_000;
const LONGEST_REAL: Duration = Duration::from_secs(20);
/// From this number on processes are the calm phase's.
const CALM: u32 = 10_000;
/// The list of corrected rows that the calm phase makes.
const CORRECTED: u8 = 99;

/// What came of a history.
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) log: Vec<String>,
    pub(crate) marks: Marks,
}

impl Outcome {
    /// Returns a number that two runs of a history have in common.
    pub(crate) fn digest(&self) -> u64 {
        self.log.iter().fold(1, |sum, line| line.bytes().fold(sum, |sum, byte| hash(&[sum, u64::from(byte)])))
    }
}

/// Runs a history. With `is_strict` no excuse counts.
pub(crate) fn run(history: &History, is_strict: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let root = tempfile::Builder::new().prefix("world").tempdir_in(memory_disk()).unwrap();
    runtime.block_on(tokio::task::unconstrained(async {
        let mut world = World::new(history, root.path().to_owned(), is_strict);
        let violation = world.live().await.err();
        let mut server = world.server.borrow_mut();
        let (mut log, mut marks) = (std::mem::take(&mut server.log), std::mem::take(&mut server.marks));
        drop(server);
        if let Some(violation) = &violation {
            log.push(format!("{} {:?}: {}", clock(world.now()), violation.broken, violation.text));
        }
        marks.add(&world.marks);
        world.oracle.excuses.iter().for_each(|excuse| marks.hit(&format!("excuse: {excuse:?}")));
        // Their destructors need the runtime.
        world.processes.clear();
        Outcome { violation, log, marks }
    }))
}

fn memory_disk() -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    if shm.is_dir() { shm } else { std::env::temp_dir() }
}

/// Wakes a process, and the world with it.
struct Flag {
    is_woken: AtomicBool,
    world: Arc<Mutex<Option<Waker>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        if let Some(world) = self.world.lock().unwrap().take() {
            world.wake();
        }
    }
}

struct Process {
    running: Option<Running>,
    flag: Arc<Flag>,
    gate: Rc<Gate>,
    is_stopped: bool,
    host: u8,
    control: watch::Sender<StopLevel>,
}

/// What is known of a ledger by those who use it.
#[derive(Clone)]
struct Meta {
    list: u8,
    no_tag: bool,
    run: u32,
}

struct World<'h> {
    /// Whether all that commands say goes into the log (`WORLD_WORDS`).
    is_wordy: bool,
    /// Hosts that sleep, and until when.
    asleep: BTreeMap<u8, u64>,
    history: &'h History,
    begin: Instant,
    real: std::time::Instant,
    root: PathBuf,
    server: Rc<RefCell<Server>>,
    n_calls: Rc<Cell<u64>>,
    hosts: BTreeMap<u8, Host>,
    slots: BTreeMap<(u8, u8), (Photo, BTreeMap<Place, Meta>)>,
    processes: BTreeMap<u32, Process>,
    metas: BTreeMap<Place, Meta>,
    oracle: Oracle,
    marks: Marks,
    waker: Arc<Mutex<Option<Waker>>>,
    turn: u64,
    n_runs: u32,
    n_calm: u32,
}

impl<'h> World<'h> {
    fn new(history: &'h History, root: PathBuf, is_strict: bool) -> Self {
        let begin = Instant::now();
        let oracle = Oracle::new(is_strict, history.setup.twin);
        Self {
            is_wordy: crate::var("WORLD_WORDS").is_some(),
            asleep: BTreeMap::new(),
            history,
            begin,
            real: std::time::Instant::now(),
            root,
            server: Rc::new(RefCell::new(Server::new(history, begin))),
            n_calls: Rc::new(Cell::new(0)),
            hosts: BTreeMap::new(),
            slots: BTreeMap::new(),
            processes: BTreeMap::new(),
            metas: BTreeMap::new(),
            oracle,
            marks: Marks::default(),
            waker: Arc::new(Mutex::new(None)),
            turn: 0,
            n_runs: 0,
            n_calm: CALM,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap()
    }

    fn say(&self, text: &str) {
        let line = format!("{} {text}", clock(self.now()));
        self.server.borrow_mut().log.push(line);
    }

    async fn live(&mut self) -> Result<(), Violation> {
        let history = self.history;
        let mut steps: Vec<_> = history.steps.iter().collect();
        steps.sort_by_key(|step| step.at);
        for step in steps {
            self.drive(Some(step.at)).await?;
            self.say(&step.step.to_string());
            if self.take(&step.step).await {
                let name = format!("{:?}", step.step);
                let name: String = name.chars().take_while(|c| c.is_alphabetic()).collect();
                self.marks.hit(&format!("step: {name}"));
            }
        }
        // What was begun goes on in the storm for a while.
        self.drive(Some(self.now() + AFTERWARDS)).await?;
        self.calm().await
    }

    /// Lets the world go on until this time, or until no process runs that is not stopped.
    async fn drive(&mut self, until: Option<u64>) -> Result<(), Violation> {
        let (start, mut n_polls) = (self.now(), 0);
        loop {
            self.wake_up();
            self.look()?;
            if let Some(p) = self.choose() {
                self.poll(p)?;
                n_polls += 1;
                if n_polls > MOST_POLLS || self.real.elapsed() > LONGEST_REAL {
                    return Err(Violation { broken: Broken::Hang, text: format!("p{p} is polled again and again") });
                }
                continue;
            }
            match until {
                Some(until) if self.now() >= until => return Ok(()),
                None if !self.asleep.is_empty() => {}
                None if !self.processes.values().any(|process| process.running.is_some() && !process.is_stopped) => {
                    return Ok(());
                }
                None if self.now() >= start + LONGEST => {
                    return Err(Violation { broken: Broken::Hang, text: "a command does not end".to_owned() });
                }
                Some(_) | None => {}
            }
            let next = self.asleep.values().copied().chain(until).min();
            self.wait(next.unwrap_or(start + LONGEST)).await;
        }
    }

    /// Ends the sleep of hosts whose time has come.
    fn wake_up(&mut self) {
        let now = self.now();
        let awake: Vec<u8> = self.asleep.iter().filter(|(_, until)| **until <= now).map(|(host, _)| *host).collect();
        for host in awake {
            self.wake_host(host);
        }
    }

    fn wake_host(&mut self, host: u8) {
        if self.asleep.remove(&host).is_some() {
            let on_it = self.processes.values_mut().filter(|process| process.host == host);
            on_it.for_each(|process| process.is_stopped = false);
        }
    }

    /// Lets the judge look at what the server did.
    fn look(&mut self) -> Result<(), Violation> {
        self.server.borrow_mut().advance();
        let samples = self.oracle.samples(&self.server.borrow());
        self.oracle.look(&self.server.borrow())?;
        for (p, number) in samples {
            let at = self.oracle.known[&p].at;
            if self.processes.get(&p).is_none_or(|process| process.running.is_none()) || self.oracle.is_involved {
                continue;
            }
            let rows = self.rows(at).unwrap_or_default();
            if rows.iter().any(|row| row.target == target(number) && row.state == RowState::Pending) {
                let text = format!("row {number} was sent by p{p}, and is pending in a copy of {at}");
                return Err(Violation { broken: Broken::Unclaimed, text });
            }
            self.marks.hit("claim: seen in a copy");
        }
        Ok(())
    }

    async fn wait(&self, until: u64) {
        let woken = poll_fn(|context| {
            *self.waker.lock().unwrap() = Some(context.waker().clone());
            if self.woken().is_empty() { Poll::Pending } else { Poll::Ready(()) }
        });
        tokio::select! {
            biased;
            () = woken => {}
            () = sleep_until(self.begin + Duration::from_millis(until)) => {}
        }
    }

    fn woken(&self) -> Vec<u32> {
        let is_woken = |process: &Process| {
            process.running.is_some() && !process.is_stopped && process.flag.is_woken.load(Ordering::Relaxed)
        };
        self.processes.iter().filter(|(_, process)| is_woken(process)).map(|(p, _)| *p).collect()
    }

    /// Chooses who goes on: not the one who was woken first, or all seeds would see one order alone.
    fn choose(&mut self) -> Option<u32> {
        let woken = self.woken();
        self.turn += 1;
        let n = hash(&[self.history.seed, self.turn]) % woken.len().max(1) as u64;
        woken.get(usize::try_from(n).unwrap()).copied()
    }

    fn poll(&mut self, p: u32) -> Result<(), Violation> {
        let process = self.processes.get_mut(&p).unwrap();
        process.flag.is_woken.store(false, Ordering::Relaxed);
        let waker = Waker::from(process.flag.clone());
        let photo = Rc::new(RefCell::new(None));
        let (taken, gate) = (photo.clone(), process.gate.clone());
        let folder = self.hosts[&process.host].folder.clone();
        set_hook(Some(Box::new(move |name| {
            let dies = gate.point(name);
            if dies {
                *taken.borrow_mut() = Some(host::photo(&folder));
            }
            dies
        })));
        let running = process.running.as_mut().unwrap();
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut Context::from_waker(&waker))));
        set_hook(None);
        match polled {
            Ok(Poll::Pending) if process.gate.is_dead.get() => self.kill(p, "process: died at a crossing"),
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(said)) => return self.ended(p, said),
            Err(payload) if payload.is::<Died>() => {
                process.running = None;
                let host = process.host;
                if let Some(photo) = photo.take() {
                    self.hosts[&host].put_back(&photo, false);
                }
                self.gone(p, "process: died at a crossing");
            }
            Err(payload) => {
                process.running = None;
                let text =
                    payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
                return Err(Violation { broken: Broken::Panic, text: text.unwrap_or("no words").to_owned() });
            }
        }
        Ok(())
    }

    /// Kills a process. What its destructors do to files is undone.
    fn kill(&mut self, p: u32, why: &str) {
        let Some(process) = self.processes.get_mut(&p).filter(|process| process.running.is_some()) else { return };
        let host = &self.hosts[&process.host];
        let photo = host.photo();
        process.running = None;
        host.put_back(&photo, false);
        self.gone(p, why);
    }

    fn gone(&mut self, p: u32, why: &str) {
        self.marks.hit(why);
        self.say(&format!("p{p} is dead"));
        self.know_end(p);
    }

    fn know_end(&mut self, p: u32) {
        let now = self.now();
        if let Some(known) = self.oracle.known.get_mut(&p) {
            known.ended = Some(now);
        }
    }

    fn ended(&mut self, p: u32, said: Said) -> Result<(), Violation> {
        self.processes.get_mut(&p).unwrap().running = None;
        self.know_end(p);
        self.marks.hit(&format!("exit {}", said.exit));
        let words = if self.is_wordy { &said.text } else { &said.short };
        self.say(&format!("p{p} ends with {}: {}", said.exit, words.replace(&*self.root.to_string_lossy(), "")));
        let known = self.oracle.known.get_mut(&p).unwrap();
        known.was_refused = matches!(said.exit, 2 | 3 | 8);
        known.has_looked = !matches!(said.exit, 4 | 5 | 6 | 8 | 130) && self.server.borrow().list_is_whole();
        let at = known.at;
        // What is refused at the door says nothing of the run.
        if said.text.contains("Ending {") {
            self.oracle.last_of_run.insert(known.run, said.clone());
        }
        self.oracle.last.insert(at, said.clone());
        self.oracle.said.push(said.clone());
        self.look()?;
        self.oracle.noticed(&self.server.borrow(), p, &said)?;
        self.oracle.waited(p, &said, self.longest_away())
    }

    /// Returns how long the server was away at the longest; for ever where anything else was wrong, too.
    fn longest_away(&self) -> u64 {
        let of = |step: &Step| match step {
            Step::Fault { fault: crate::step::Fault::Away, for_ms } => for_ms / 1_000,
            Step::Run { dies: None, .. } => 0,
            _ => u64::MAX / 8,
        };
        self.history.steps.iter().map(|step| of(&step.step)).max().unwrap_or(0)
    }

    fn host(&mut self, number: u8) -> &Host {
        let (root, seed, begin) = (self.root.clone(), self.history.seed, self.begin);
        self.hosts.entry(number).or_insert_with(|| Host::new(&root, number, seed, begin))
    }

    fn order(
        &mut self,
        p: u32,
        at: Place,
        cmd: &Cmd,
        opts: &Opts,
        gate: Rc<Gate>,
    ) -> (Order, watch::Sender<StopLevel>) {
        let host = self.host(at.host);
        let (folder, machine) = (host.folder.clone(), host.machine());
        let (sender, control) = watch::channel(StopLevel::Run);
        let link = Link {
            server: self.server.clone(),
            gate,
            process: p,
            n_calls: self.n_calls.clone(),
            machine: machine.clone(),
        };
        let order = Order {
            cmd: cmd.clone(),
            opts: opts.clone(),
            setup: self.history.setup.clone(),
            folder,
            ledger: ledger_path(&self.root, at),
            machine,
            link,
            host: at.host,
            control,
        };
        (order, sender)
    }

    fn start(&mut self, p: u32, at: Place, cmd: &Cmd, opts: &Opts, gate: Gate) {
        // Who types wakes the machine.
        self.wake_host(at.host);
        let gate = Rc::new(gate);
        let (order, control) = self.order(p, at, cmd, opts, gate.clone());
        if !order.ledger.exists()
            && let Cmd::Submit { list } = cmd
        {
            self.n_runs += 1;
            self.metas.insert(at, Meta { list: *list, no_tag: opts.no_tag, run: self.n_runs });
        }
        let (run, no_tag) = self.metas.get(&at).map_or((0, false), |meta| (meta.run, meta.no_tag));
        let opts = Opts { no_tag, ..opts.clone() };
        let known = Known { at, run, opts, started: self.now(), ended: None, was_refused: false, has_looked: false };
        self.oracle.known.insert(p, known);
        let flag = Arc::new(Flag { is_woken: AtomicBool::new(true), world: self.waker.clone() });
        let running = Some(process::run(order));
        self.processes.insert(p, Process { running, flag, gate, is_stopped: false, host: at.host, control });
    }

    /// Takes a step; says whether it changed anything.
    async fn take(&mut self, step: &Step) -> bool {
        let is_running =
            |world: &Self, p: &u32| world.processes.get(p).is_some_and(|process| process.running.is_some());
        match step {
            Step::Run { p, at, cmd, opts, dies } => {
                if self.processes.contains_key(p) {
                    return false;
                }
                self.oracle.is_involved |= opts.no_tag || opts.trust_list || opts.without_list || opts.other_template;
                self.start(*p, *at, cmd, opts, Gate::new(dies.clone()));
            }
            Step::Verdict { at, nth, truly } => return self.verdict(*at, *nth, *truly).await,
            Step::Export { at, list } => {
                self.oracle.is_involved = true;
                let folder = self.host(at.host).folder.clone();
                return ledger_path(&self.root, *at).exists()
                    && process::export(&ledger_path(&self.root, *at), &folder, *list);
            }
            Step::Kill { p } => {
                let was = is_running(self, p);
                self.kill(*p, "process: killed");
                return was;
            }
            Step::Stop { p } | Step::Resume { p } => {
                let stops = matches!(step, Step::Stop { .. });
                let was = is_running(self, p);
                if let Some(process) = self.processes.get_mut(p).filter(|_| was) {
                    process.is_stopped = stops;
                    self.marks.hit("process: stopped");
                    let at = self.oracle.known[p].at;
                    let is_overtaken = |(other, known): (&u32, &Known)| other > p && known.at == at;
                    if !stops && self.oracle.known.iter().any(is_overtaken) {
                        self.marks.hit("process: overtaken while stopped");
                    }
                }
                return was;
            }
            Step::Interrupt { p } => {
                return is_running(self, p) && self.processes[p].control.send(StopLevel::Drain).is_ok();
            }
            Step::Copy { .. } | Step::Keep { .. } | Step::PutBack { .. } | Step::Revert { .. } | Step::Clone { .. } => {
                return self.take_files(step);
            }
            Step::Power { host, keep } => {
                self.oracle.put_back.insert(*host);
                self.kill_all_of(*host);
                let host = self.host(*host);
                host.lose_power(*keep);
                host.boot();
            }
            Step::Move { at, what } => {
                self.oracle.is_involved = true;
                self.oracle.put_back.insert(at.host);
                self.host(at.host);
                if *what == Beside::State {
                    self.forget(at.host);
                }
                return host::move_away(&self.root, *at, *what);
            }
            Step::Fault { fault, for_ms } => {
                let until = self.now() + for_ms;
                self.oracle.is_involved |= matches!(fault, crate::step::Fault::WrongTarget);
                self.server.borrow_mut().faults.push((fault.clone(), until));
            }
            Step::Fate { row, nth, fate } => drop(self.server.borrow_mut().fates.insert((*row, *nth), *fate)),
            Step::Carry { what, of_ten } => {
                self.oracle.is_involved = true;
                return self.server.borrow_mut().carry(*what, *of_ten);
            }
            Step::Stranger { row, tagged } => {
                self.oracle.is_involved = true;
                let tag = if *tagged {
                    format!("[cmb:{:A<24}-{:A<8}] of row", "OTHERRUN", "XX")
                } else {
                    "by hand".to_owned()
                };
                self.server.borrow_mut().add_other(Some(*row), 0, &tag);
            }
            Step::WallClock { host, by_s } => self.host(*host).turn_wall_clock(*by_s),
            Step::Suspend { host, for_s } => {
                let on_it = self.processes.iter_mut().filter(|(_, process)| process.host == *host);
                on_it.for_each(|(_, process)| process.is_stopped = true);
                self.asleep.insert(*host, self.now() + for_s * 1_000);
            }
            Step::ServerClock { by_s } => {
                // How old an attempt is nobody knows then.
                self.oracle.is_involved = true;
                self.server.borrow_mut().clock_off += by_s;
            }
        }
        true
    }
}
