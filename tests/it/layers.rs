//! The design's table of what may import what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Module, and what it may import besides `request`, `event`, `machine` and `platform`.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("request", &[]),
    ("event", &[]),
    ("machine", &[]),
    ("platform", &[]),
    ("manifest", &[]),
    ("validate", &["manifest"]),
    ("ledger", &[]),
    ("client", &[]),
    ("reconcile", &["client", "ledger"]),
    ("submit", &["client", "ledger", "reconcile"]),
    ("simulator", &[]),
    ("report", &["ledger"]),
    ("app", &["manifest", "validate", "ledger", "client", "reconcile", "submit", "report"]),
    ("cli", &["app", "manifest", "validate", "ledger", "client", "reconcile", "submit", "simulator", "report"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules of this crate that a text names after `crate::`.
fn imported(text: &str) -> BTreeSet<String> {
    let modules = text.split("crate::").skip(1).filter_map(|rest| {
        let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        ALLOWED.iter().any(|(module, _)| *module == name).then_some(name)
    });
    modules.collect()
}

#[test]
fn modules_import_only_what_the_design_lets_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let allowed = ALLOWED.iter().find(|(name, _)| *name == module);
        let allowed = allowed.unwrap_or_else(|| panic!("{module} is not in the design's table")).1;
        let common: &[&str] = match module {
            "request" | "platform" => &[],
            "event" => &["request"],
            "machine" => &["platform"],
            "simulator" => &["request"],
            _ => &["request", "event", "machine", "platform"],
        };
        for name in imported(&std::fs::read_to_string(&path).unwrap()) {
            if name != module && !allowed.contains(&name.as_str()) && !common.contains(&name.as_str()) {
                wrong.push(format!("{}: {name}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden imports:\n{}", wrong.join("\n"));
}

#[test]
fn only_cli_output_prints_and_unsafe_code_stands_where_the_system_signs_in() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src) {
        let text = std::fs::read_to_string(&path).unwrap();
        // The Kerberos library is C, and so is Windows.
        let is_allowed = ["platform/gss.rs", "platform/sspi.rs"].iter().any(|module| path.ends_with(module));
        assert_eq!(text.contains("expect(unsafe_code"), is_allowed, "{}", path.display());
        let prints = text.lines().filter(|line| {
            let code = line.trim_start();
            !code.starts_with("//")
                && ["println!(", "eprintln!(", "print!(", "dbg!("].iter().any(|call| code.contains(call))
        });
        assert_eq!(prints.count(), 0, "{} prints", path.display());
    }
}
