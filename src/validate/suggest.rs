//! What was probably meant.

use strsim::damerau_levenshtein;

use crate::request::RequestType;

/// The columns with a fixed name that a person fills, in the order in which they are named to people.
pub(super) const COLUMNS: [&str; 9] =
    ["id", "type", "profiletemplateuuid", "target", "smartcard", "comment", "priority", "datacollection", "profile"];

/// The beginnings of columns whose name is free behind them.
pub(super) const PREFIXES: [&str; 3] = ["data", "body", "note"];

/// What people and other programs call the columns, without blanks and punctuation.
const COLUMN_ALIASES: [(&str, &str); 38] = [
    ("template", "profiletemplateuuid"),
    ("templateid", "profiletemplateuuid"),
    ("templateuuid", "profiletemplateuuid"),
    ("templateguid", "profiletemplateuuid"),
    ("templatename", "profiletemplateuuid"),
    ("profiletemplate", "profiletemplateuuid"),
    ("profiletemplateid", "profiletemplateuuid"),
    ("profiletemplateguid", "profiletemplateuuid"),
    ("profiletemplatename", "profiletemplateuuid"),
    ("targetid", "target"),
    ("targetuuid", "target"),
    ("targetguid", "target"),
    ("targetuser", "target"),
    ("targetuseruuid", "target"),
    ("user", "target"),
    ("userid", "target"),
    ("useruuid", "target"),
    ("userguid", "target"),
    ("userobjectguid", "target"),
    ("objectguid", "target"),
    ("adguid", "target"),
    ("employeeguid", "target"),
    ("employee", "id"),
    ("employeeid", "id"),
    ("employeenumber", "id"),
    ("personnelnumber", "id"),
    ("rowid", "id"),
    ("reference", "id"),
    ("card", "smartcard"),
    ("cardid", "smartcard"),
    ("carduuid", "smartcard"),
    ("smartcardid", "smartcard"),
    ("smartcarduuid", "smartcard"),
    ("smartcardguid", "smartcard"),
    ("requesttype", "type"),
    ("operation", "type"),
    ("profileid", "profile"),
    ("profileuuid", "profile"),
];

/// What people and other pages call the types, in lower case. A type that takes certificates away is only ever proposed
/// for a word that says so.
const TYPE_ALIASES: [(&str, RequestType); 31] = [
    ("temporaryenroll", RequestType::TemporaryCards),
    ("temporarycard", RequestType::TemporaryCards),
    ("temporary", RequestType::TemporaryCards),
    ("tempcard", RequestType::TemporaryCards),
    ("tempcards", RequestType::TemporaryCards),
    ("disable", RequestType::Revoke),
    ("revocation", RequestType::Revoke),
    ("revoked", RequestType::Revoke),
    ("retirement", RequestType::Retire),
    ("retired", RequestType::Retire),
    ("enrol", RequestType::Enroll),
    ("enrolment", RequestType::Enroll),
    ("enrollment", RequestType::Enroll),
    ("enrolled", RequestType::Enroll),
    ("issue", RequestType::Enroll),
    ("new", RequestType::Enroll),
    ("renewal", RequestType::Renew),
    ("renewed", RequestType::Renew),
    ("recovery", RequestType::Recover),
    ("reinstatement", RequestType::Reinstate),
    ("resume", RequestType::Reinstate),
    ("unlock", RequestType::Unblock),
    ("unblocking", RequestType::Unblock),
    ("pinreset", RequestType::Unblock),
    ("offlineunlock", RequestType::OfflineUnblock),
    ("copy", RequestType::Duplicate),
    ("duplication", RequestType::Duplicate),
    ("update", RequestType::OnlineUpdate),
    ("replace", RequestType::Duplicate),
    ("recoverbehalf", RequestType::RecoverOnBehalf),
    ("recoverforother", RequestType::RecoverOnBehalf),
];

/// How far a misspelled name may be from the one that was meant: one slip in a short word, two in a longer one, none in
/// words of up to three letters, where one slip makes another word.
const fn slips(length: usize) -> usize {
    match length {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    }
}

/// Returns the letters and digits of a name, in lower case.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns how many slips make one text the other, where that is at most so many.
///
/// Texts whose lengths differ by more are not compared: the work grows with the product of both lengths, and a cell can
/// have a million characters.
fn distance(one: &str, other: &str, at_most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > at_most * char::MAX_LEN_UTF8 {
        return None;
    }
    Some(damerau_levenshtein(one, other)).filter(|distance| *distance <= at_most)
}

/// Returns the one of `names` that `wanted` is a misspelling of; both folded.
fn misspelled<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .filter_map(|name| Some((distance(wanted, name, slips(name.len()))?, name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns the known column that an unknown name is nearly: a known one with other punctuation, by another common name,
/// or misspelled; none for names that are simply others.
pub(super) fn near_column(name: &str) -> Option<String> {
    if let Some(prefixed) = near_prefix(name) {
        return Some(prefixed);
    }
    let wanted = folded(name);
    let alias = || COLUMN_ALIASES.into_iter().find(|(alias, _)| *alias == wanted).map(|(_, column)| column);
    COLUMNS
        .into_iter()
        .find(|column| *column == wanted)
        .or_else(alias)
        .or_else(|| misspelled(&wanted, COLUMNS))
        .map(str::to_owned)
}

/// `data:Name`, `Data_Name`, `notes.Name`: a known beginning with another mark behind it, or misspelled before a dot.
fn near_prefix(name: &str) -> Option<String> {
    let at = name.find(['.', ':', '_', '-', '/'])?;
    let (start, rest) = (&name[..at], name[at..].chars().skip(1).collect::<String>());
    let rest = rest.trim();
    if rest.is_empty() {
        return None;
    }
    let start = folded(start);
    let exact = PREFIXES.into_iter().find(|prefix| *prefix == start);
    let misspelled = || if name[at..].starts_with('.') { misspelled(&start, PREFIXES) } else { None };
    exact.or_else(misspelled).map(|prefix| format!("{prefix}.{rest}"))
}

/// Returns the request type that an unknown word means, where that is likely.
pub(super) fn near_type(text: &str) -> Option<RequestType> {
    let wanted = folded(text);
    let named = |name: &str| RequestType::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name));
    let alias = || TYPE_ALIASES.into_iter().find(|(alias, _)| *alias == wanted).map(|(_, kind)| kind);
    named(&wanted).or_else(alias).or_else(|| {
        let names = RequestType::ALL.map(|kind| kind.as_str().to_ascii_lowercase());
        misspelled(&wanted, names.iter().map(String::as_str)).and_then(named)
    })
}

/// Returns the name that a misspelled one is nearest to, within two slips (a third of a long name).
pub(super) fn near_name<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(text);
    names
        .filter_map(|name| Some((distance(&wanted, &folded(name), (name.chars().count() / 3).max(2))?, name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_of_columns_are_known_and_other_names_left_alone() {
        for (name, column) in [
            ("Targets", "target"),
            ("tyep", "type"),
            ("Typ", "type"),
            ("Smart Card", "smartcard"),
            ("profile_template_uuid", "profiletemplateuuid"),
            ("ProfileTemplate", "profiletemplateuuid"),
            ("template", "profiletemplateuuid"),
            ("coment", "comment"),
            ("prioirty", "priority"),
            ("data collection", "datacollection"),
            ("data:name", "data.name"),
            ("Data_Cost Center", "data.Cost Center"),
            ("notes.Name", "note.Name"),
            ("bdoy.reason", "body.reason"),
            ("I-D", "id"),
        ] {
            assert_eq!(near_column(name).as_deref(), Some(column), "{name}");
        }
        for name in
            ["Department", "Name", "UID", "SID", "Notes", "Data Center", "E-Mail", "mail", "", "…", "cost.center"]
        {
            assert_eq!(near_column(name), None, "{name}");
        }
    }

    #[test]
    fn words_that_mean_a_type_are_known() {
        for (text, kind) in [
            ("Enrol", RequestType::Enroll),
            ("enrollment", RequestType::Enroll),
            ("TemporaryEnroll", RequestType::TemporaryCards),
            ("Disable", RequestType::Revoke),
            ("Revocation", RequestType::Revoke),
            ("Reovke", RequestType::Revoke),
            ("Offline Unblock", RequestType::OfflineUnblock),
            ("online-update", RequestType::OnlineUpdate),
            ("Unblok", RequestType::Unblock),
            ("recover on behalf", RequestType::RecoverOnBehalf),
        ] {
            assert_eq!(near_type(text), Some(kind), "{text}");
        }
        for text in ["", "x", "Suspend", "delete", "42"] {
            assert_eq!(near_type(text), None, "{text}");
        }
    }

    #[test]
    fn cells_of_any_length_are_looked_at() {
        let long = "Enroll".repeat(100_000);
        assert_eq!(near_type(&long), None);
        assert_eq!(near_column(&long), None);
        assert_eq!(near_name(&long, ["Contractors"].into_iter()), None);
    }

    #[test]
    fn near_template_names_are_found() {
        let names = ["Smart Card Users", "Contractors"];
        assert_eq!(near_name("smartcard user", names.into_iter()), Some("Smart Card Users"));
        assert_eq!(near_name("Contractor", names.into_iter()), Some("Contractors"));
        assert_eq!(near_name("VPN", names.into_iter()), None);
    }
}
