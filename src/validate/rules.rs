//! What a run asks of its rows, beyond what the API asks.

use std::collections::BTreeMap;

use crate::request::{Guid, RequestType};

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

impl Rules {
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
