//! Accounts that may not sign in, and tickets that are over.

use std::process::Command;

use crate::common::{Folder, Ran, enrollments};
use crate::realm::{ACCOUNT, KEYTAB, PASSWORD, Realm};

/// A run that cannot sign in.
struct Refused {
    realm: Realm,
    folder: Folder,
}

impl Refused {
    fn new() -> Self {
        let (realm, folder) = (Realm::start(), Folder::new());
        folder.write("wave.csv", enrollments(100));
        Self { realm, folder }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command.current_dir(self.folder.path()).envs(self.folder.host()).args(words);
        command.args(["--server", &self.realm.server("krb"), "--auth", "negotiate"]);
        command.env("KRB5_CONFIG", self.realm.file("krb5.conf"));
        command.env_remove("KRB5CCNAME").env_remove("KRB5_CLIENT_KTNAME");
        command
    }

    /// Runs `submit` and `doctor`, of which neither gets a ticket, and both say this.
    #[track_caller]
    fn says(&self, how: impl Fn(&mut Command), cause: &str, remedy: &str) {
        for words in [&["submit", "wave.csv"][..], &["doctor"]] {
            let mut command = self.command(words);
            how(&mut command);
            let ran = Ran::from(command.output().unwrap()).exits(5);
            ran.says(cause).says(remedy);
            assert!(!self.folder.file("wave.ledger").exists());
        }
    }
}

#[test]
fn an_account_that_may_not_sign_in_claims_nothing_and_says_what_is_to_be_done() {
    let run = Refused::new();
    let password = run.realm.password_file(PASSWORD);
    let by_keytab = |command: &mut Command| {
        command.arg("--keytab").arg(run.realm.file(KEYTAB));
    };
    let by_password = |command: &mut Command| {
        command.args(["--principal", ACCOUNT, "--password-file"]).arg(&password);
    };
    for (query, cause, remedy) in [
        ("-allow_tix", "credentials have been revoked", "have it unlocked"),
        ("+allow_tix -expire yesterday", "entry in database has expired", "have it extended"),
        ("-expire never -pwexpire yesterday", "Password has expired", "set a new password"),
        ("-pwexpire never +needchange", "Password has expired", "set a new password"),
    ] {
        run.realm.administer(&format!("modprinc {query} {ACCOUNT}"));
        run.says(by_keytab, cause, remedy);
        run.says(by_password, cause, remedy);
    }
    assert_eq!((run.realm.seen().len(), run.realm.n_bad_logons()), (0, 0));
    // What was done to it is why: it could sign in before, and can after.
    run.realm.administer(&format!("modprinc -needchange {ACCOUNT}"));
    for how in [&by_keytab as &dyn Fn(&mut Command), &by_password] {
        let mut command = run.command(&["doctor"]);
        how(&mut command);
        Ran::from(command.output().unwrap()).exits(0);
    }
}

#[test]
fn a_ticket_of_kinit_that_is_over_is_to_be_got_anew() {
    let run = Refused::new();
    let cache = run.realm.kinit("2s");
    // klist -s says whether there is a ticket that is good.
    crate::common::wait_until(|| !Command::new("klist").args(["-s", "-c", &cache]).status().unwrap().success());
    let by_cache = |command: &mut Command| {
        command.env("KRB5CCNAME", &cache);
    };
    run.says(by_cache, "has expired", "get a new ticket (kinit), or give --keytab FILE");
    assert_eq!(run.realm.seen().len(), 0);
}
