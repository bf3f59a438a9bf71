//! Makes the sample manifests. The same seed gives the same bytes.
//!
//! ```text
//! cargo run --release --example samples                          all files of samples/
//! cargo run --release --example samples -- onboarding 1000000    one kind to standard output, with so many rows
//! ```
//!
//! Kinds: `onboarding` and `renewal` (CSV), `revocation` (JSONL), `broken` (one mistake of each kind, 2 more rows).

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

/// The seed of all samples.
const SEED: u64 = 20_261_124;
/// Profile templates of the made-up organization.
const SMARTCARD_TEMPLATE: &str = "a039b4d0-5ce8-4eff-8651-181c6576fda3";
const SOFTWARE_TEMPLATE: &str = "97cd65fa-af4b-4587-9309-0dd6bfd8b4e1";

const FIRST_NAMES: [&str; 24] = [
    "Anna",
    "Björn",
    "Chloé",
    "Dmytro",
    "Elif",
    "François",
    "Grażyna",
    "Håkon",
    "Inés",
    "João",
    "Katarína",
    "Łukasz",
    "Mária",
    "Nguyễn",
    "Ólafur",
    "Petra",
    "Quentin",
    "Renée",
    "Søren",
    "Tomáš",
    "Ümit",
    "Věra",
    "Wiebke",
    "Zoë",
];
const LAST_NAMES: [&str; 24] = [
    "Ångström",
    "Brăila",
    "Çelik",
    "D'Angelo",
    "Eriksson",
    "Fernández",
    "Groß",
    "Huber",
    "Ibsen",
    "Jørgensen",
    "Kovač",
    "Lindström",
    "Müller",
    "Nowák",
    "O'Brien",
    "Pérez",
    "Quist",
    "Rossi",
    "Şahin",
    "Tóth",
    "Urbański",
    "Vogel",
    "Weiß",
    "Žižka",
];
const DEPARTMENTS: [&str; 8] =
    ["Finance", "Research", "Sales, EMEA", "Plant 2", "Human Resources", "IT Operations", "Legal", "Logistics"];
const CITIES: [&str; 10] =
    ["Zürich", "München", "Kraków", "Malmö", "Lyon", "Gdańsk", "São Paulo", "Århus", "Győr", "İzmir"];
const DEVICES: [&str; 5] = ["laptop", "phone", "badge", "USB token", "tablet"];

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let place = self.next() % from.len() as u64;
        from.iter().zip(0..).find(|(_, n)| *n == place).map_or("", |(text, _)| text)
    }

    /// A version 4 GUID.
    fn guid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            8 + (low >> 62),
            (low >> 48) & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

/// A wave of new hires, as HR's spreadsheet would have it.
pub(crate) fn onboarding(out: &mut impl Write, n_rows: u64) -> io::Result<()> {
    let mut random = Random(SEED);
    writeln!(
        out,
        "id,type,profiletemplateuuid,target,comment,priority,data.Department,data.City,data.Manager,note.name"
    )?;
    for row in 1..=n_rows {
        let name = format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        let manager = format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        let department = random.pick(&DEPARTMENTS);
        let department = if department.contains(',') { format!("\"{department}\"") } else { department.to_owned() };
        let priority = if random.next().is_multiple_of(20) { "1" } else { "" };
        writeln!(
            out,
            "E-{row:06},Enroll,{SMARTCARD_TEMPLATE},{},New hire,{priority},{department},{},{manager},{name}",
            random.guid(),
            random.pick(&CITIES),
        )?;
    }
    Ok(())
}

/// An incident: stolen devices, whose certificates are to be revoked.
pub(crate) fn revocation(out: &mut impl Write, n_rows: u64) -> io::Result<()> {
    let mut random = Random(SEED + 1);
    for row in 1..=n_rows {
        let priority = u64::from(!random.next().is_multiple_of(4));
        writeln!(
            out,
            "{{\"id\":\"INC-2041-{row:04}\",\"type\":\"Revoke\",\"profiletemplateuuid\":\"{SOFTWARE_TEMPLATE}\",\
             \"target\":\"{}\",\"comment\":\"Incident 2041: {} stolen\",\"priority\":{priority},\
             \"body.revocationreason\":\"1\",\"note.owner\":\"{} {}\"}}",
            random.guid(),
            random.pick(&DEVICES),
            random.pick(&FIRST_NAMES),
            random.pick(&LAST_NAMES),
        )?;
    }
    Ok(())
}

/// A nightly sweep of profiles that are about to expire.
pub(crate) fn renewal(out: &mut impl Write, n_rows: u64) -> io::Result<()> {
    let mut random = Random(SEED + 2);
    writeln!(out, "id,type,profiletemplateuuid,target,profile,comment,note.expires")?;
    for row in 1..=n_rows {
        let (target, profile) = (random.guid(), random.guid());
        let day = 1 + random.next() % 28;
        writeln!(out, "R-{row:06},Renew,{SOFTWARE_TEMPLATE},{target},{profile},Nightly renewal,2026-12-{day:02}")?;
    }
    Ok(())
}

/// One row for each mistake that people make, between two good ones.
pub(crate) fn broken(out: &mut impl Write) -> io::Result<()> {
    let mut random = Random(SEED + 3);
    let mut guid = || random.guid();
    let (template, first) = (SMARTCARD_TEMPLATE, guid());
    let damaged_dash = guid().replacen('-', "\u{2013}", 1);
    let rows = [
        format!("B-01,Enroll,{template},{first},the first good row,,Finance"),
        format!("B-02,Enrol,{template},{},a type that does not exist,,Finance", guid()),
        format!("B-03,Enroll,{template},97cc3493-f556-4c9b-9d8b,a GUID that was cut,,Finance"),
        format!("B-04,Enroll,{template},{damaged_dash},a dash that Word made longer,,Finance"),
        format!("B-05,Enroll,{template},{}\u{a0},a no-break space from a web page,,Finance", guid()),
        format!("B-06,Enroll,{template},,a row without target,,Finance"),
        format!("B-07,Enroll,,{},a row without template,,Finance", guid()),
        format!("B-08,Enroll,{template},{},a priority in words,high,Finance", guid()),
        format!("B-09,Enroll,{template},{},a priority that is too large,256,Finance", guid()),
        format!("B-10,Enroll,{template},{first},the same request as in row 1,,Finance"),
        format!("B-01,Enroll,{template},{},the same id as row 1,,Finance", guid()),
        format!("6.1E+15,Enroll,{template},{},an id that Excel took for a number,,Finance", guid()),
        format!("B-13,Enroll,{template},{},Excel lost the department,,#N/A", guid()),
        format!("B-14,Enroll,{template},{},too, many commas,,Finance", guid()),
        format!("B-15,Enroll,{template},{}", guid()),
        format!("B-16,Enroll,{template},{},damaged text: Z\u{fffd}rich,,Finance", guid()),
        format!("B-17,Enroll,{template},00000000-0000-0000-0000-000000000000,an empty GUID,,Finance"),
        format!("B-18,Enroll,{template},{},a 5\" card,,Finance", guid()),
        format!("B-19,Enroll,{template},{},[cmb:not-yours],,Finance", guid()),
        format!("B-20,Enroll,{template},{},the last good row,,Research", guid()),
    ];
    writeln!(out, "id,type,profiletemplateuuid,target,comment,priority,data.Department")?;
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(())
}

/// Writes all samples into a folder.
pub(crate) fn write_all(folder: &Path) -> io::Result<()> {
    let create = |name: &str| std::fs::File::create(folder.join(name)).map(BufWriter::new);
    let mut file = create("onboarding.csv")?;
    onboarding(&mut file, 250)?;
    file.flush()?;
    let mut file = create("revocation.jsonl")?;
    revocation(&mut file, 120)?;
    file.flush()?;
    // flate2 writes no time into the header, so the bytes are the same each time.
    let mut file = flate2::write::GzEncoder::new(create("renewal.csv.gz")?, flate2::Compression::best());
    renewal(&mut file, 2_000)?;
    file.finish()?.flush()?;
    let mut file = create("broken.csv")?;
    broken(&mut file)?;
    file.flush()
}

/// Runs the generator.
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    let n_rows = words.get(1).and_then(|count| count.parse().ok());
    let written = match (words.first().copied(), n_rows) {
        (None, _) => write_all(Path::new("samples")),
        (Some("onboarding"), Some(n_rows)) => onboarding(&mut out, n_rows),
        (Some("revocation"), Some(n_rows)) => revocation(&mut out, n_rows),
        (Some("renewal"), Some(n_rows)) => renewal(&mut out, n_rows),
        (Some("broken"), None) => broken(&mut out),
        _ => Err(io::Error::other("usage: samples [onboarding|revocation|renewal ROWS | broken]")),
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "samples: {error}");
            ExitCode::FAILURE
        }
    }
}
