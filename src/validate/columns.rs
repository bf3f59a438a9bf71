//! What each column of a manifest is for.

use super::damage::{self, Breaks, Sort};
use super::finding::Advice;
use super::quote::{counted, quoted};
use super::rule::Rule;
use super::rules::{ExtraColumns, Rules};
use super::suggest::{COLUMNS, near_column};
use crate::request::CreateRequest;

/// The name under which a rejected line stands that could not be taken apart. It is refused even where unknown columns
/// are kept, so that a rejects file that nobody mended is not taken for a manifest.
pub(super) const UNREAD_LINE: &str = "(line)";

/// What a column is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Id,
    Type,
    Template,
    Target,
    Smartcard,
    Comment,
    Priority,
    DataCollection,
    Profile,
    /// An item of the data collection, with its name.
    Data(String),
    /// A further property of the body.
    Body {
        name: String,
        /// The name in lower case: the form in which names are compared.
        folded: String,
    },
    /// A note, with its name.
    Note(String),
    /// A column of a rejects file (`_row`, `_run`, `_error`): taken and left alone.
    Ignored,
    /// A column that is not known, or stands a second time; there is a finding about it.
    Faulty,
}

/// The two forms of a manifest, for the words in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    Jsonl,
}

impl Form {
    const fn word(self) -> &'static str {
        match self {
            Self::Csv => "column",
            Self::Jsonl => "property",
        }
    }
}

/// Something wrong with the columns themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnFinding {
    pub(super) rule: Rule,
    /// The column, from 0; none where one is missing.
    pub(super) column: Option<usize>,
    pub(super) advice: Advice,
}

/// What rows are not asked for, because a finding about the columns already says why they do not have it: the column is
/// not there and no option stands in for it, or it is misspelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) kind: bool,
    pub(super) template: bool,
    pub(super) target: bool,
}

/// The columns of a manifest (CSV) or of one row (JSONL), resolved once for all rows that have them.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The names as the manifest writes them, without surrounding blanks.
    pub(super) names: Vec<String>,
    pub(super) roles: Vec<Role>,
    pub(super) findings: Vec<ColumnFinding>,
    pub(super) missing: Missing,
    /// The property that the profile is sent as, in lower case; none where it is not sent.
    pub(super) profile_property: Option<String>,
    /// What stands between two fields, where the manifest has such a thing; for messages.
    pub(super) delimiter: Option<char>,
}

impl Layout {
    /// Resolves the names of a header line or of an object.
    pub(super) fn resolve<'n>(form: Form, names: impl IntoIterator<Item = &'n str>, rules: &Rules) -> Self {
        let names: Vec<String> = names.into_iter().map(|name| name.trim().to_owned()).collect();
        let mut layout = Self {
            roles: Vec::with_capacity(names.len()),
            names,
            findings: Vec::new(),
            missing: Missing::default(),
            profile_property: rules.profile_property.as_deref().map(str::to_lowercase),
            delimiter: None,
        };
        for column in 0..layout.names.len() {
            let role = layout.role_of(form, column, rules);
            layout.roles.push(role);
        }
        layout.find_repeated(form);
        layout.find_unnamed(form);
        layout.find_profile_conflict();
        if form == Form::Csv {
            layout.find_missing(rules);
        }
        layout.findings.sort_by_key(|finding| finding.column.unwrap_or(usize::MAX));
        layout
    }

    /// Returns the same columns of a manifest with this delimiter.
    pub(super) fn delimited_by(self, delimiter: char) -> Self {
        Self { delimiter: Some(delimiter), ..self }
    }

    /// Returns whether the rows can be judged by their cells alone.
    pub(super) fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Returns where a column stands.
    pub(super) fn position(&self, role: &Role) -> Option<usize> {
        self.roles.iter().position(|known| known == role)
    }

    fn report(&mut self, rule: Rule, column: Option<usize>, advice: Advice) {
        self.findings.push(ColumnFinding { rule, column, advice });
    }

    fn role_of(&mut self, form: Form, column: usize, rules: &Rules) -> Role {
        let name = self.names[column].clone();
        if name.is_empty() {
            // All of them together get one finding.
            return Role::Faulty;
        }
        let subject = format!("the name of the {}", form.word());
        let damage: Vec<_> = damage::in_text(&subject, &name, Breaks::Refused, Sort::Free).collect();
        if !damage.is_empty() {
            for (rule, advice) in damage {
                self.report(rule, Some(column), advice);
            }
            return Role::Faulty;
        }
        if let Some(role) = fixed_role(&name) {
            return role;
        }
        if let Some(role) = self.prefixed_role(form, column, &name) {
            return role;
        }
        if name == UNREAD_LINE {
            let what = format!("{} {} holds a line that could not be read", form.word(), quoted(&name));
            let help = "write its values under their own names, and delete it";
            self.report(Rule::UnknownColumn, Some(column), Advice::new(what, help));
            return Role::Faulty;
        }
        let near = near_column(&name);
        if rules.extra_columns == ExtraColumns::Keep && near.is_none() {
            return Role::Note(name);
        }
        if let Some(near) = &near {
            let is_card = near == "smartcard";
            self.missing.kind |= near == "type";
            self.missing.target |= near == "target" || is_card;
            self.missing.template |= near == "profiletemplateuuid" || is_card || near.starts_with("body.");
        }
        self.report(Rule::UnknownColumn, Some(column), unknown(form, &name, near.as_deref()));
        Role::Faulty
    }

    /// `data.`, `body.` and `note.` in any case, and the name behind it as written.
    fn prefixed_role(&mut self, form: Form, column: usize, name: &str) -> Option<Role> {
        let (prefix, rest) = name.split_once('.')?;
        let rest = rest.trim();
        let prefix = prefix.to_ascii_lowercase();
        if !matches!(prefix.as_str(), "data" | "body" | "note") {
            return None;
        }
        if rest.is_empty() {
            let what = format!("{} {} has no name behind the dot", form.word(), quoted(name));
            let help = format!("write the name of the item behind it, such as \"{prefix}.city\"");
            self.report(Rule::UnnamedColumn, Some(column), Advice::new(what, help));
            return Some(Role::Faulty);
        }
        let own = CreateRequest::OWN_PROPERTIES.into_iter().find(|own| own.eq_ignore_ascii_case(rest));
        Some(match (prefix.as_str(), own) {
            ("data", _) => Role::Data(rest.to_owned()),
            ("note", _) => Role::Note(rest.to_owned()),
            (_, None) => Role::Body { name: rest.to_owned(), folded: rest.to_lowercase() },
            (_, Some(own)) => {
                let what = format!("{} {} stands for a property that has its own", form.word(), quoted(name));
                let help = format!("name it \"{own}\"");
                self.report(Rule::ReservedProperty, Some(column), Advice::new(what, help));
                Role::Faulty
            }
        })
    }

    /// Names compare without case, as the roles they give: `Type` repeats `type`, `data.A` does not repeat `data.a`.
    fn find_repeated(&mut self, form: Form) {
        let mut keys: Vec<(String, usize)> = self
            .roles
            .iter()
            .enumerate()
            .filter_map(|(column, role)| Some((role_key(role, &self.names[column])?, column)))
            .collect();
        // Stable by column, so that the first one of equal names stays.
        keys.sort();
        for pair in keys.windows(2) {
            let [(first_key, first), (second_key, second)] = pair else { continue };
            if first_key != second_key {
                continue;
            }
            let (first_name, name) = (quoted(&self.names[*first]), quoted(&self.names[*second]));
            let also = if first_name == name { String::new() } else { format!(" (the first as {first_name})") };
            let advice = Advice::new(
                format!("{} {name} stands twice{also}", form.word()),
                "delete or rename one of the two".to_owned(),
            );
            self.report(Rule::RepeatedColumn, Some(*second), advice);
            self.roles[*second] = Role::Faulty;
        }
    }

    /// Twenty columns without a name are one thing to do, so they are one finding.
    fn find_unnamed(&mut self, form: Form) {
        let mut unnamed = (0..self.names.len()).filter(|column| self.names[*column].is_empty());
        let Some(first) = unnamed.next() else { return };
        let n_more = unnamed.count();
        let place = format!("{} {} has no name", form.word(), first + 1);
        let what = match n_more {
            0 => place,
            n => format!("{place}, and {} neither", counted(n, "other", "others")),
        };
        let help =
            "delete it as a whole in the spreadsheet, or give it a name (\"note.<name>\" if it is only for people)";
        self.report(Rule::UnnamedColumn, Some(first), Advice::new(what, help));
    }

    fn find_profile_conflict(&mut self) {
        let Some(property) = &self.profile_property else { return };
        if self.position(&Role::Profile).is_none() {
            return;
        }
        let Some(column) =
            self.roles.iter().position(|role| matches!(role, Role::Body { folded, .. } if folded == property))
        else {
            return;
        };
        let what = format!(
            "{} fills the property that --profile-property fills from \"profile\"",
            quoted(&self.names[column])
        );
        self.report(Rule::ConflictingColumns, Some(column), Advice::new(what, "delete one of the two columns"));
        self.roles[column] = Role::Faulty;
    }

    /// One finding at the header stands for an error in every row.
    fn find_missing(&mut self, rules: &Rules) {
        let has = |role: &Role| self.position(role).is_some();
        let has_card = has(&Role::Smartcard);
        let has_body = self.roles.iter().any(|role| matches!(role, Role::Body { .. }))
            || (rules.profile_property.is_some() && has(&Role::Profile));
        let missing = Missing {
            kind: !has(&Role::Type) && rules.defaults.kind.is_none(),
            template: !has(&Role::Template) && rules.defaults.template.is_none() && !has_card && !has_body,
            target: !has(&Role::Target) && !has_card && !rules.target_self,
        };
        // Where a misspelled column was found, that finding is the one to act on.
        let told = std::mem::replace(&mut self.missing, missing);
        self.missing.kind |= told.kind;
        self.missing.template |= told.template;
        self.missing.target |= told.target;
        if missing.kind && !told.kind {
            let help = "add the column, or give one type for all rows, such as --type Enroll";
            self.report(Rule::MissingType, None, Advice::new("there is no column \"type\"", help));
        }
        if missing.template && !told.template {
            let help = "add the column, or give one profile template for all rows with --template GUID";
            self.report(Rule::MissingTemplate, None, Advice::new("there is no column \"profiletemplateuuid\"", help));
        }
        if missing.target && !told.target {
            let help = "add the column with the GUID of each row's user (or \"smartcard\" with the GUID of the card)";
            self.report(Rule::MissingTarget, None, Advice::new("there is no column \"target\"", help));
        }
    }
}

/// Returns the role of a name without dot, in any case.
fn fixed_role(name: &str) -> Option<Role> {
    let roles = [
        ("id", Role::Id),
        ("type", Role::Type),
        ("profiletemplateuuid", Role::Template),
        ("target", Role::Target),
        ("smartcard", Role::Smartcard),
        ("comment", Role::Comment),
        ("priority", Role::Priority),
        ("datacollection", Role::DataCollection),
        ("profile", Role::Profile),
        ("_row", Role::Ignored),
        ("_run", Role::Ignored),
        ("_error", Role::Ignored),
    ];
    roles.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, role)| role)
}

/// Returns what two columns have in common that are the same one; none for a faulty column.
pub(super) fn role_key(role: &Role, name: &str) -> Option<String> {
    match role {
        Role::Data(item) => Some(format!("data.{item}")),
        Role::Body { folded, .. } => Some(format!("body.{folded}")),
        Role::Note(note) => Some(format!("note.{note}")),
        Role::Faulty => None,
        Role::Id
        | Role::Type
        | Role::Template
        | Role::Target
        | Role::Smartcard
        | Role::Comment
        | Role::Priority
        | Role::DataCollection
        | Role::Profile
        | Role::Ignored => Some(name.to_ascii_lowercase()),
    }
}

fn unknown(form: Form, name: &str, near: Option<&str>) -> Advice {
    let what = format!("{} {} is not known", form.word(), quoted(name));
    let help = match near {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => format!(
            "name it {} to keep it and not send it, {} to send it as an item of the data collection, or give \
             --extra-columns keep; known are {}",
            quoted(&format!("note.{name}")),
            quoted(&format!("data.{name}")),
            COLUMNS.join(", ")
        ),
    };
    Advice::new(what, help)
}

#[cfg(test)]
mod tests;
