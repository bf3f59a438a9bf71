//! What tests need to show that the ledger is durable: points at which the process ends as by a crash, or at which a part of it
//! does, and a way to leave syncs out, so that a test can be seen to notice that. Debug builds only.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static ARMED: OnceLock<Armed> = OnceLock::new();
static SYNCHRONOUS: OnceLock<String> = OnceLock::new();

struct Armed {
    point: String,
    /// How often the point is passed before the process ends there.
    left: AtomicU32,
}

/// Arms a point, once: `NAME` or `NAME:N`, the N-th time (from 1) that it is come to.
pub fn arm(text: &str) {
    let (point, number) = text.split_once(':').unwrap_or((text, "1"));
    let left = AtomicU32::new(number.parse().unwrap_or(1));
    // Armed twice, the first one stays.
    let _ = ARMED.set(Armed { point: point.to_owned(), left });
}

/// Sets SQLite's `synchronous` for the ledgers of this process, once: `OFF`.
pub fn set_synchronous(level: &str) {
    let _ = SYNCHRONOUS.set(level.to_owned());
}

/// Returns whether syncs are to be left out.
pub fn leaves_out_syncs() -> bool {
    SYNCHRONOUS.get().is_some_and(|level| level == "OFF")
}

/// What a thread asks at each point that it comes to, by the point's name: whether it dies there.
pub type Hook = Box<dyn FnMut(&str) -> bool>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// What a thread unwinds with that died at a point: whoever simulates a process catches it. The panic hook is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Died;

/// Sets what this thread asks at each point, and returns what it asked before.
pub fn set_hook(hook: Option<Hook>) -> Option<Hook> {
    HOOK.replace(hook)
}

/// Returns whether this thread dies here. While a hook is asked, and while the thread unwinds, it does not.
fn dies(name: &str) -> bool {
    if std::thread::panicking() {
        return false;
    }
    let Some(mut hook) = HOOK.take() else { return false };
    let dies = hook(name);
    HOOK.with_borrow_mut(|kept| {
        kept.get_or_insert(hook);
    });
    dies
}

/// Ends the process at once where this point is armed and its turn has come: nothing is written, closed or dropped. Where this
/// thread's hook says so, the thread unwinds with [`Died`].
pub fn point(name: &str) {
    if dies(name) {
        std::panic::resume_unwind(Box::new(Died));
    }
    if let Some(armed) = ARMED.get()
        && armed.point == name
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
