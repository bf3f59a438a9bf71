//! A clock that is wrong: faketime moves it for the command alone.

use std::path::PathBuf;
use std::process::Command;

use crate::common::{Folder, Ran, enrollments};
use crate::oracle::{assert_kept, rows};
use crate::realm::{KEYTAB, Realm};

const N_ROWS: u32 = 200;

/// By how much it is wrong, and how that is told.
const WRONG: [(&str, &str); 2] = [("+20m", "ahead of the server"), ("-20m", "behind the server")];

/// How the Kerberos library deals with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    /// As it comes: it reckons with the clock of the KDC that it asks.
    Corrects,
    /// It takes the machine's clock as it is (`kdc_timesync = 0`).
    Believes,
}

/// Where the ticket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'a> {
    Keytab,
    /// A cache that was filled while the clock was right.
    Cache(&'a str),
}

fn configuration(realm: &Realm, library: Library) -> PathBuf {
    let usual = realm.file("krb5.conf");
    if library == Library::Corrects {
        return usual;
    }
    let text = std::fs::read_to_string(usual).unwrap();
    let path = realm.file("krb5.skew.conf");
    std::fs::write(&path, text.replace("[libdefaults]\n", "[libdefaults]\n kdc_timesync = 0\n")).unwrap();
    path
}

/// Runs `submit wave.csv` or `doctor` at another time.
fn at(off: &str, realm: &Realm, folder: &Folder, words: &[&str], library: Library, source: Source<'_>) -> Ran {
    let mut command = Command::new("faketime");
    // The clock on the wall alone: what is waited for goes by the other one.
    command.args(["-m", "--exclude-monotonic", "-f", off]).arg(env!("CARGO_BIN_EXE_cmbatch")).args(words);
    command
        .args(["--server", &realm.server("krb"), "--auth", "negotiate"])
        .current_dir(folder.path())
        .envs(folder.host());
    command.env("KRB5_CONFIG", configuration(realm, library)).env_remove("KRB5_CLIENT_KTNAME");
    match source {
        Source::Cache(cache) => command.env("KRB5CCNAME", cache),
        Source::Keytab => command.env_remove("KRB5CCNAME").arg("--keytab").arg(realm.file(KEYTAB)),
    };
    command.output().unwrap().into()
}

#[test]
fn a_clock_that_kerberos_refuses_claims_nothing_and_is_told_with_its_fault() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(N_ROWS));
    let cache = realm.kinit("1h");
    for (off, way) in WRONG {
        for (library, source) in [
            (Library::Believes, Source::Keytab),
            (Library::Believes, Source::Cache(&cache)),
            (Library::Corrects, Source::Cache(&cache)),
        ] {
            let ran = at(off, &realm, &folder, &["submit", "wave.csv"], library, source).exits(5);
            ran.says("Clock skew too great").says("set this machine's clock");
            assert!(!folder.file("wave.ledger").exists());
            let doctor = at(off, &realm, &folder, &["doctor"], library, source).exits(5);
            let said = doctor.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.contains("fault ticket") && said.contains("note clock"), "{said}");
            assert!(said.contains("Clock skew too great"), "{said}");
            // The two clocks are not looked at in the same moment.
            let by = ["20 min", "19 min"].iter().any(|by| said.contains(&format!("this machine is {by}")));
            assert!(by && said.contains(way), "{said}");
        }
    }
    assert_eq!(realm.seen().len(), 0);
}

#[test]
fn a_clock_that_the_library_corrects_is_only_noted() {
    let realm = Realm::start();
    for (off, way) in WRONG {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(N_ROWS));
        let n_before = realm.seen().len();
        let words = ["submit", "wave.csv", "--rate", "unlimited", "--already", "send"];
        at(off, &realm, &folder, &words, Library::Corrects, Source::Keytab).exits(0);
        let rows = rows(&folder, "wave.ledger");
        assert_kept(&rows, &realm.seen()[n_before..], N_ROWS as usize);
        assert!(rows.iter().all(|row| row.state == "created"));
        let doctor = at(off, &realm, &folder, &["doctor"], Library::Corrects, Source::Keytab).exits(0);
        assert!(doctor.stdout.contains("note  clock") && doctor.stdout.contains(way), "{}", doctor.stdout);
    }
}
