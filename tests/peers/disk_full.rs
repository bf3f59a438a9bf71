//! A disk that is really full.

use std::process::Command;

use crate::chaos::{Chaos, Script};
use crate::common::{Folder, enrollments};
use crate::oracle::{assert_kept, rows};

const N_ROWS: u32 = 1_500;

/// What one shell does in a namespace of its own: a small disk, filled up but for some KiB, a run that finds it full, room,
/// the same run again, and the ledger copied out. The statuses of the two runs are written down.
const STEPS: &str = r#"
set -e
mount -t tmpfs -o size=32m none disk
cp wave.csv disk/wave.csv
cd disk
free=$(df --output=avail -k . | tail -n 1)
dd if=/dev/zero of=filler bs=1k count=$((free - LEFT)) 2> /dev/null
set +e
"$@" > ../first.txt 2>&1
echo $? > ../first
[ -e wave.ledger ]; echo $? > ../loaded
rm filler
"$@" > ../second.txt 2>&1
echo $? > ../second
cp wave.ledger ../wave.ledger
"#;

fn run(kib_left: u32) -> (Folder, Chaos) {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(N_ROWS));
    std::fs::create_dir(folder.file("disk")).unwrap();
    let server = Chaos::start(Script::default());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg(STEPS.replace("LEFT", &kib_left.to_string())).arg("sh").arg(env!("CARGO_BIN_EXE_cmbatch"));
    command.args(["submit", "wave.csv", "--server", &server.base_url(), "--rate", "1000/s"]);
    command.args(["--settle", "100ms", "--server-limit", "300ms"]);
    let output = command.current_dir(folder.path()).envs(folder.host()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, server)
}

#[test]
fn a_full_disk_stops_the_run_and_with_room_the_same_command_goes_on() {
    // Too little for the ledger; enough for it, but not for its log: not at first, and not to the end.
    for (kib_left, loaded) in [(60, "1"), (700, "0"), (1_000, "0")] {
        let (folder, server) = run(kib_left);
        let said = folder.read("first.txt");
        assert_eq!(folder.read("first").trim(), "7", "{kib_left} KiB: {said}");
        assert!(said.contains("full") && said.contains("wave.ledger") && said.contains("next:"), "{said}");
        assert_eq!(folder.read("second").trim(), "0", "{kib_left} KiB: {}", folder.read("second.txt"));
        let rows = rows(&folder, "wave.ledger");
        assert_kept(&rows, &server.seen(), N_ROWS as usize);
        assert!(rows.iter().all(|row| row.state == "created"));
        assert_eq!(folder.read("loaded").trim(), loaded, "{kib_left} KiB: {said}");
    }
}
