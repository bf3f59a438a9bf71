//! What a run asks of its rows, beyond what the API asks.

use std::collections::BTreeMap;

use crate::request::{CreateRequest, Guid, RequestType, Tag};

/// The options that shape rows.
///
/// ```
/// use cmbatch::validate::{OnDuplicate, Rules};
/// let rules = Rules { on_duplicate: OnDuplicate::First, ..Rules::default() };
/// assert!(rules.tagged);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What rows without a value of their own get.
    pub defaults: Defaults,
    /// The names that may stand for template GUIDs, as the configuration writes them; rows may write them in any case.
    pub templates: BTreeMap<String, Guid>,
    /// Whether a row without target is meant for the caller (`--target-self`).
    pub target_self: bool,
    /// What becomes of a row that asks for the same as an earlier one.
    pub on_duplicate: OnDuplicate,
    /// What becomes of columns that are not known.
    pub extra_columns: ExtraColumns,
    /// Whether a manifest may be without rows (`--allow-empty`).
    pub allow_empty: bool,
    /// The body property in which a row's `profile` is sent; none where it is only kept (`--profile-property`).
    pub profile_property: Option<String>,
    /// Whether the comments will carry tags. Without them rows that ask for the same cannot be told apart later, so that
    /// [`OnDuplicate::Send`] is refused.
    pub tagged: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            defaults: Defaults::default(),
            templates: BTreeMap::new(),
            target_self: false,
            on_duplicate: OnDuplicate::Error,
            extra_columns: ExtraColumns::Error,
            allow_empty: false,
            profile_property: None,
            tagged: true,
        }
    }
}

/// The rules themselves cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// `--profile-property` names nothing, or a property that has a column of its own.
    #[error(
        "--profile-property {0:?} names a property that the row's own columns set; name the property that the site uses for profiles"
    )]
    ProfileProperty(String),
    /// The comment for all rows contains `[cmb:`.
    #[error("--comment {0:?} contains \"[cmb:\", by which cmbatch finds its own requests; delete that part")]
    TagInComment(String),
    /// The comment for all rows has a control character other than tab and line breaks.
    #[error("--comment {0:?} has a control character; delete it")]
    ControlInComment(String),
    /// Equal rows without tags cannot be told apart after a time-out.
    #[error("--on-duplicate send needs the tag, by which equal requests are told apart; leave out --no-tag")]
    SendWithoutTag,
}

impl Rules {
    /// Checks that the rules can be followed. `survey` and `deliver` do so too; a program does it to fail early.
    ///
    /// # Errors
    ///
    /// [`RulesError`] says which option is at fault and why.
    pub fn check(&self) -> Result<(), RulesError> {
        if let Some(property) = &self.profile_property {
            let is_own = CreateRequest::OWN_PROPERTIES.iter().any(|own| own.eq_ignore_ascii_case(property));
            if is_own || property.trim().is_empty() {
                return Err(RulesError::ProfileProperty(property.clone()));
            }
        }
        if let Some(comment) = &self.defaults.comment {
            if comment.contains(Tag::PREFIX) {
                return Err(RulesError::TagInComment(comment.clone()));
            }
            if comment.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')) {
                return Err(RulesError::ControlInComment(comment.clone()));
            }
        }
        if self.on_duplicate == OnDuplicate::Send && !self.tagged {
            return Err(RulesError::SendWithoutTag);
        }
        Ok(())
    }

    /// Returns the template of this name, in any case.
    pub(super) fn template_named(&self, name: &str) -> Option<Guid> {
        let same = |known: &str| {
            known.eq_ignore_ascii_case(name)
                || (!(known.is_ascii() && name.is_ascii()) && known.to_lowercase() == name.to_lowercase())
        };
        self.templates.iter().find(|(known, _)| same(known)).map(|(_, guid)| *guid)
    }
}

/// Values for rows whose own cell is empty or whose column is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The request type (`--type`).
    pub kind: Option<RequestType>,
    /// The profile template (`--template`).
    pub template: Option<Guid>,
    /// The comment (`--comment`).
    pub comment: Option<String>,
    /// The priority, 0 (highest) to 255 (`--priority`).
    pub priority: Option<u8>,
}

/// What becomes of a row that asks for the same as an earlier one of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// It is an error.
    #[default]
    Error,
    /// The first is sent, the others are skipped.
    First,
    /// All are sent; nothing is compared.
    Send,
}

/// What becomes of columns that are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtraColumns {
    /// They are errors.
    #[default]
    Error,
    /// They are kept as notes; a name that is nearly that of a known column stays an error.
    Keep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_cannot_be_followed_are_refused() {
        let comment = |text: &str| Rules {
            defaults: Defaults { comment: Some(text.to_owned()), ..Defaults::default() },
            ..Rules::default()
        };
        let property = |name: &str| Rules { profile_property: Some(name.to_owned()), ..Rules::default() };
        let table = [
            (Rules::default(), Ok(())),
            (comment("wave 3\n"), Ok(())),
            (property("profileuuid"), Ok(())),
            (property("Target"), Err(RulesError::ProfileProperty("Target".to_owned()))),
            (property(" "), Err(RulesError::ProfileProperty(" ".to_owned()))),
            (comment("[cmb:x"), Err(RulesError::TagInComment("[cmb:x".to_owned()))),
            (comment("\u{7}"), Err(RulesError::ControlInComment("\u{7}".to_owned()))),
            (Rules { on_duplicate: OnDuplicate::Send, ..Rules::default() }, Ok(())),
            (
                Rules { on_duplicate: OnDuplicate::Send, tagged: false, ..Rules::default() },
                Err(RulesError::SendWithoutTag),
            ),
        ];
        for (rules, expected) in table {
            assert_eq!(rules.check(), expected);
        }
    }

    #[test]
    fn template_names_match_in_any_case() {
        let guid = Guid::from_bytes([1; 16]);
        let rules = Rules { templates: [("Übersee Cards".to_owned(), guid)].into(), ..Rules::default() };
        assert_eq!(rules.template_named("ÜBERSEE cards"), Some(guid));
        assert_eq!(rules.template_named("übersee cards"), Some(guid));
        assert_eq!(rules.template_named("ubersee cards"), None);
    }
}
