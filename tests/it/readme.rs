//! What README shows is what the program says.

use std::path::Path;

use crate::common::Folder;
use crate::samples::generate;

/// Returns the lines that README shows below a command, up to the next one or the block's end.
fn shown(command: &str) -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let prompt = format!("$ {command}\n");
    let (_, rest) = readme.split_once(&prompt).unwrap_or_else(|| panic!("README does not show {command}"));
    rest.lines()
        .take_while(|line| !line.starts_with("```") && !line.starts_with("$ "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Takes out what differs from run to run: who runs it, and how long it took.
fn settled(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = match line.split_once(" (no sign-in)") {
            Some((_, rest)) => format!("      as USER (no sign-in){rest}"),
            None => line.to_owned(),
        };
        lines.push(match line.split_once(" (in ") {
            Some((before, _)) => format!("{before} (in TIME)"),
            None => line,
        });
    }
    lines.join("\n")
}

#[test]
fn the_examples_of_readme_are_what_the_program_says() {
    let folder = Folder::new();
    std::fs::create_dir(folder.file("samples")).unwrap();
    generate::write_all(&folder.file("samples")).unwrap();
    let commands = [
        ("cmbatch validate samples/broken.csv", 3),
        ("cmbatch submit samples/revocation.jsonl --simulate", 2),
        ("cmbatch submit samples/revocation.jsonl --simulate --confirm 120 --rate 200/s", 0),
        ("cargo run --release -- submit samples/onboarding.csv --simulate", 0),
    ];
    for (command, status) in commands {
        let words: Vec<&str> = command.trim_start_matches("cargo run --release -- ").split(' ').collect();
        let ran = folder.run(words.strip_prefix(&["cmbatch"]).unwrap_or(&words)).exits(status);
        assert_eq!(settled(&ran.stderr), settled(&shown(command)), "{command}");
    }
}
