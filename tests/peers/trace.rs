//! What strace writes, as system calls with bytes.

use std::collections::HashMap;

/// A system call of the traced program, at its begin or its end.
///
/// strace stops a thread before and after each call and writes in the order of the stops. So where one call's end stands
/// before another one's begin, the first was over when the second had not begun; nothing is concluded from any other order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Begins(Call),
    /// Only calls that succeeded.
    Ends(Call),
}

/// A system call on a file or a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    /// The path of the file, or the two ends of a connection.
    pub(crate) target: String,
    /// All bytes of its buffers.
    pub(crate) bytes: Vec<u8>,
    /// Where in the file it writes, of calls that say so.
    pub(crate) offset: Option<usize>,
}

/// Reads a trace as `strace -f -yy -xx -s N` writes it, N being more than the longest buffer.
pub(crate) fn read(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut open: HashMap<u32, Call> = HashMap::new();
    for line in trace.lines() {
        let Some((thread, line)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse() else { continue };
        let line = line.trim_start();
        if line.starts_with("<... ") {
            if let Some(call) = open.remove(&thread)
                && succeeded(line)
            {
                events.push(Event::Ends(call));
            }
            continue;
        }
        let Some(call) = call(thread, line) else { continue };
        events.push(Event::Begins(call.clone()));
        if line.ends_with("<unfinished ...>") {
            open.insert(thread, call);
        } else if succeeded(line) {
            events.push(Event::Ends(call));
        }
    }
    events
}

fn succeeded(line: &str) -> bool {
    line.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-') && !result.starts_with('?'))
}

fn call(thread: u32, line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (_, rest) = rest.split_once('<')?;
    // The target of a connection contains `->`; it ends where the next argument or the end of the call stands.
    let end = [">, ", ">)", "> <unfinished"].into_iter().filter_map(|end| rest.find(end)).min()?;
    let (target, arguments) = rest.split_at(end);
    assert!(!arguments.contains("\"..."), "a buffer was cut: strace needs a larger -s");
    let offset = (name == "pwrite64").then(|| last_number(arguments)).flatten();
    Some(Call {
        thread,
        name: name.to_owned(),
        target: String::from_utf8_lossy(&unescaped(target)).into_owned(),
        bytes: arguments.split('"').skip(1).step_by(2).flat_map(unescaped).collect(),
        offset,
    })
}

/// The last argument, of `…, 4096, 32) = 4096` or `…, 4096, 32 <unfinished ...>`.
fn last_number(arguments: &str) -> Option<usize> {
    let behind = &arguments[arguments.rfind('"')?..];
    let arguments = behind.split(['<', ')']).next()?;
    arguments.rsplit(", ").next()?.trim().parse().ok()
}

/// Undoes `\x41\x42`; other characters stand for themselves.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match after {
            [b'x', high, low, after @ ..] if *first == b'\\' => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[test]
fn calls_are_read_whole_and_in_two_halves() {
    let trace = r#"
7 pwrite64(16<\x2f\x61\x2d\x77\x61\x6c>, "\x37\x7f"..., 2, 4120) = 2
"#;
    assert!(std::panic::catch_unwind(|| read(trace)).is_err(), "a buffer that was cut is no buffer");
    let trace = r#"
7 pwrite64(16<\x2f\x61\x2d\x77\x61\x6c>, "\x37\x7f", 2, 4120) = 2
8 fsync(16<\x2f\x61\x2d\x77\x61\x6c> <unfinished ...>
7 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="\x50\x4f", iov_len=2}, {iov_base="\x53", iov_len=1}], 2) = 3
8 <... fsync resumed>)              = 0
7 fdatasync(16<\x2f\x61\x2d\x77\x61\x6c>) = -1 EIO (Input/output error)
7 +++ exited with 0 +++
"#;
    let call = |thread, name: &str, target: &str, bytes: &[u8], offset| Call {
        thread,
        name: name.to_owned(),
        target: target.to_owned(),
        bytes: bytes.to_owned(),
        offset,
    };
    let written = call(7, "pwrite64", "/a-wal", &[0x37, 0x7f], Some(4120));
    let synced = call(8, "fsync", "/a-wal", &[], None);
    let sent = call(7, "writev", "TCP:[127.0.0.1:1->127.0.0.1:2]", b"POS", None);
    let failed = call(7, "fdatasync", "/a-wal", &[], None);
    assert_eq!(
        read(trace),
        [
            Event::Begins(written.clone()),
            Event::Ends(written),
            Event::Begins(synced.clone()),
            Event::Begins(sent.clone()),
            Event::Ends(sent),
            Event::Ends(synced),
            Event::Begins(failed),
        ]
    );
}
