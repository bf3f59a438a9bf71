//! Every rule: its name, what it says, and an example that breaks it and no other.

use std::fmt;

/// A rule that a manifest can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A column that is not known.
    UnknownColumn,
    /// A column that stands twice.
    RepeatedColumn,
    /// Two columns that say the same thing.
    ConflictingColumns,
    /// A `body.` column for a property that has a column of its own.
    ReservedProperty,
    /// A column without a name.
    UnnamedColumn,
    /// A manifest without rows.
    NoRows,
    /// A line with too few or too many fields.
    FieldCount,
    /// A quote in the middle of a field.
    StrayQuote,
    /// A quote that does not close.
    UnclosedQuote,
    /// A line or field over 1 MiB.
    TooLong,
    /// A byte that is no text in the manifest's encoding.
    UndecodableByte,
    /// A line that is not JSON.
    InvalidJson,
    /// A line that is JSON and not an object.
    NotAnObject,
    /// A list or object where a text belongs.
    UnexpectedValue,
    /// A row whose cells are all empty.
    EmptyRow,
    /// A row without request type.
    MissingType,
    /// A request type that the API does not have.
    UnknownType,
    /// A row without profile template that needs one.
    MissingTemplate,
    /// A template name that the configuration does not have.
    UnknownTemplate,
    /// A row without target.
    MissingTarget,
    /// A cell that should hold a GUID and does not.
    InvalidGuid,
    /// The all-zero GUID.
    ZeroGuid,
    /// A priority that is not a whole number from 0 to 255.
    InvalidPriority,
    /// A `datacollection` that is not an array of single-key objects.
    InvalidDataCollection,
    /// An item that stands twice in a data collection.
    RepeatedDataItem,
    /// A comment with the mark that cmbatch finds its requests by.
    TagInComment,
    /// A rejected row that nobody has decided about.
    UndecidedReject,
    /// A character that is no text.
    ControlCharacter,
    /// A character that only looks like the right one.
    LookalikeCharacter,
    /// A long number that a spreadsheet has rounded.
    NumberDamaged,
    /// A character that was lost in a conversion.
    TextDamaged,
    /// The error value of a spreadsheet's formula.
    SpreadsheetError,
    /// A row that asks for the same as an earlier one.
    DuplicateRow,
    /// An id that an earlier row has.
    DuplicateId,
}

/// What there is to say about a rule.
struct Facts {
    name: &'static str,
    summary: &'static str,
    explanation: &'static str,
    example: &'static str,
}

impl Rule {
    /// All rules, in the order in which they are listed.
    pub const ALL: [Self; 34] = [
        Self::UnknownColumn,
        Self::RepeatedColumn,
        Self::ConflictingColumns,
        Self::ReservedProperty,
        Self::UnnamedColumn,
        Self::NoRows,
        Self::FieldCount,
        Self::StrayQuote,
        Self::UnclosedQuote,
        Self::TooLong,
        Self::UndecodableByte,
        Self::InvalidJson,
        Self::NotAnObject,
        Self::UnexpectedValue,
        Self::EmptyRow,
        Self::MissingType,
        Self::UnknownType,
        Self::MissingTemplate,
        Self::UnknownTemplate,
        Self::MissingTarget,
        Self::InvalidGuid,
        Self::ZeroGuid,
        Self::InvalidPriority,
        Self::InvalidDataCollection,
        Self::RepeatedDataItem,
        Self::TagInComment,
        Self::UndecidedReject,
        Self::ControlCharacter,
        Self::LookalikeCharacter,
        Self::NumberDamaged,
        Self::TextDamaged,
        Self::SpreadsheetError,
        Self::DuplicateRow,
        Self::DuplicateId,
    ];

    /// Returns the stable name, in kebab-case, as messages, `--rules` and error files write it.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Returns the rule of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Returns whether the rule is about the names of columns, not about what stands in them.
    pub(super) const fn is_about_names(self) -> bool {
        matches!(self, Self::UnknownColumn | Self::RepeatedColumn | Self::ReservedProperty | Self::UnnamedColumn)
    }

    /// Returns what the rule asks, in one line without final dot.
    pub const fn summary(self) -> &'static str {
        self.facts().summary
    }

    /// Returns why the rule is there and what to do, in a few sentences for people who do not program.
    pub const fn explanation(self) -> &'static str {
        self.facts().explanation
    }

    /// Returns a small manifest that breaks this rule and no other: CSV, or JSONL where it begins with `{` or `[`.
    ///
    /// It can be printed as it is: a byte or character that cannot be shown stands as `\xE9` or `\u{7}`, and `(1 MiB)`
    /// for as much text.
    pub const fn example(self) -> &'static str {
        self.facts().example
    }

    // A flat table, one rule after another, so that name, wording and example of a rule stand together.
    const fn facts(self) -> Facts {
        match self {
            Self::UnknownColumn => Facts {
                name: "unknown-column",
                summary: "every column has a known name",
                explanation: "A column that is not known would be left out without a word, and a misspelled one with it. \
                    Columns that are only there for people are named note.<name>; items of the data collection \
                    data.<name>; further properties of the request body.<name>. With --extra-columns keep, columns \
                    that are not known are kept as notes.",
                example: "type,smartcard,Department\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,Sales\n",
            },
            Self::RepeatedColumn => Facts {
                name: "repeated-column",
                summary: "every column stands once",
                explanation: "When a column stands twice, nothing says which of the two values is meant. Upper and lower \
                    case make no difference in the names of columns. Delete or rename one of them.",
                example: "type,smartcard,Type\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,Unblock\n",
            },
            Self::ConflictingColumns => Facts {
                name: "conflicting-columns",
                summary: "no two columns say the same thing",
                explanation: "The data collection of a row comes from its data.<name> columns or from its datacollection \
                    column, not from both; and where --profile-property names a property, the profile column fills it \
                    and no body.<name> column may.",
                example: "type,smartcard,data.name,datacollection\n\
                    Unblock,17cf063d-e337-4aa9-a822-346554ddd3c9,pavle,\"[{\"\"city\"\":\"\"seattle\"\"}]\"\n",
            },
            Self::ReservedProperty => Facts {
                name: "reserved-property",
                summary: "no body.<name> column stands for a property that has a column of its own",
                explanation: "The properties type, profiletemplateuuid, target, smartcard, comment, priority and \
                    datacollection have columns of their own, where they are checked. Use those.",
                example: "type,smartcard,body.Priority\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,4\n",
            },
            Self::UnnamedColumn => Facts {
                name: "unnamed-column",
                summary: "every column has a name",
                explanation: "Spreadsheets write columns without a name where cells beside the table were once filled. \
                    Delete those columns as a whole in the spreadsheet and export again, or give them a name.",
                example: "type,smartcard,\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,x\n",
            },
            Self::NoRows => Facts {
                name: "no-rows",
                summary: "a manifest has rows",
                explanation: "A manifest without rows is most often a failed export. A nightly job for which it is normal \
                    says --allow-empty.",
                example: "type,smartcard\n",
            },
            Self::FieldCount => Facts {
                name: "field-count",
                summary: "every line has as many fields as the header line",
                explanation: "A value that holds the delimiter itself must stand in double quotes, or it counts as two \
                    fields and moves all that follow. Spreadsheets do that by themselves when they export.",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,lost, found again\n",
            },
            Self::StrayQuote => Facts {
                name: "stray-quote",
                summary: "a double quote stands around a whole field, or doubled inside a quoted one",
                explanation: "With a quote in the middle of a field it is not certain where the field ends. Put the whole \
                    field in double quotes and write each double quote inside it twice.",
                example: "type,smartcard,comment\n\
                    Unblock,17cf063d-e337-4aa9-a822-346554ddd3c9,the \"new\" card\n",
            },
            Self::UnclosedQuote => Facts {
                name: "unclosed-quote",
                summary: "every quoted field ends with a double quote",
                explanation: "A quote that does not close makes one field of all lines after it. Close it, or delete it.",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,\"lost\n",
            },
            Self::TooLong => Facts {
                name: "too-long",
                summary: "no line and no field is longer than 1 MiB",
                explanation: "So long a line is most often a quote that does not close, or a file that is no manifest.",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,(1 MiB)\n",
            },
            Self::UndecodableByte => Facts {
                name: "undecodable-byte",
                summary: "the manifest is text in one encoding",
                explanation: "Excel's plain \"CSV\" writes accented letters in the encoding of the computer's language. Save \
                    as \"CSV UTF-8\" instead, or say which encoding it is with --encoding windows-1252.",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,Andr\\xE9\n",
            },
            Self::InvalidJson => Facts {
                name: "invalid-json",
                summary: "every line of a JSONL manifest is one JSON object",
                explanation: "Each line is an object of its own, with no comma behind it and no brackets around the whole \
                    file. A program that writes JSON does that right; editing by hand often does not.",
                example: "{\"type\":\"Unblock\",\"smartcard\":\"17cf063d-e337-4aa9-a822-346554ddd3c9\",}\n",
            },
            Self::NotAnObject => Facts {
                name: "not-an-object",
                summary: "every line of a JSONL manifest is an object, not another JSON value",
                explanation: "A file that is one array of objects is JSON, not JSONL: write each object on a line of its own, \
                    without the brackets and commas between (jq -c '.[]' does that).",
                example: "[\"Unblock\"]\n",
            },
            Self::UnexpectedValue => Facts {
                name: "unexpected-value",
                summary: "a property holds a text, not a list or an object",
                explanation: "Only datacollection takes a list. Every other property takes a text, a number, true or false.",
                example: "{\"type\":\"Unblock\",\"smartcard\":[\"17cf063d-e337-4aa9-a822-346554ddd3c9\"]}\n",
            },
            Self::EmptyRow => Facts {
                name: "empty-row",
                summary: "every row has at least one filled cell",
                explanation: "Spreadsheets write such lines for rows that were cleared and not deleted. Delete the rows as \
                    a whole in the spreadsheet and export again, or delete the lines.",
                example: "type,smartcard\n,\n",
            },
            Self::MissingType => Facts {
                name: "missing-type",
                summary: "every row says what is requested",
                explanation: "Fill the type column, or give one type for all rows with --type.",
                example: "type,smartcard\n,17cf063d-e337-4aa9-a822-346554ddd3c9\n",
            },
            Self::UnknownType => Facts {
                name: "unknown-type",
                summary: "the type is one of the 12 request types",
                explanation: "The API knows Enroll, Duplicate, OfflineUnblock, OnlineUpdate, Renew, Recover, \
                    RecoverOnBehalf, Reinstate, Retire, Revoke, TemporaryCards and Unblock, in any case.",
                example: "type,smartcard\nRenewal,17cf063d-e337-4aa9-a822-346554ddd3c9\n",
            },
            Self::MissingTemplate => Facts {
                name: "missing-template",
                summary: "every row has a profile template, or the card that stands in its place",
                explanation: "Enroll always needs a profile template. The other types need one unless the row names a \
                    smartcard, or fills a body.<name> column that the site uses instead. One template for all rows can \
                    be given with --template.",
                example: "type,profiletemplateuuid,target\nRenew,,97cc3493-f556-4c9b-9d8b-982434201527\n",
            },
            Self::UnknownTemplate => Facts {
                name: "unknown-template",
                summary: "a template is given by its GUID, or by a name that the configuration has",
                explanation: "Names of templates stand in the [templates] table of the configuration, each with its GUID. \
                    Upper and lower case make no difference.",
                example: "type,profiletemplateuuid,target\n\
                    Enroll,Contractor cards,97cc3493-f556-4c9b-9d8b-982434201527\n",
            },
            Self::MissingTarget => Facts {
                name: "missing-target",
                summary: "every row names the user or the card that it is for",
                explanation: "The API takes a request without target for the caller, so that a forgotten cell would enroll \
                    the operator. Fill the target column; or say --target-self where that is what you want.",
                example: "type,profiletemplateuuid,target\n\
                    Renew,a039b4d0-5ce8-4eff-8651-181c6576fda3,\n",
            },
            Self::InvalidGuid => Facts {
                name: "invalid-guid",
                summary: "a GUID has 32 hexadecimal digits in groups of 8-4-4-4-12",
                explanation: "A GUID is the long number by which the directory or the server knows a user, a card or a \
                    template, such as 97cc3493-f556-4c9b-9d8b-982434201527. Copy it, never type it. Braces around it are \
                    allowed, and upper and lower case make no difference.",
                example: "type,smartcard\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c\n",
            },
            Self::ZeroGuid => Facts {
                name: "zero-guid",
                summary: "a GUID is not all zeros",
                explanation: "The API uses the all-zero GUID for \"none\". A program that exports it means an empty cell.",
                example: "type,smartcard\nUnblock,00000000-0000-0000-0000-000000000000\n",
            },
            Self::InvalidPriority => Facts {
                name: "invalid-priority",
                summary: "a priority is a whole number from 0 (highest) to 255",
                explanation: "Leave the cell empty for the priority that the profile template sets.",
                example: "type,smartcard,priority\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,high\n",
            },
            Self::InvalidDataCollection => Facts {
                name: "invalid-data-collection",
                summary: "a datacollection is a JSON array of objects with one name and one value each",
                explanation: "It looks like [{\"name\":\"pavle\"},{\"city\":\"seattle\"}]. Columns data.name and data.city say \
                    the same and need no JSON.",
                example: "type,smartcard,datacollection\n\
                    Unblock,17cf063d-e337-4aa9-a822-346554ddd3c9,\"{\"\"name\"\":\"\"pavle\"\"}\"\n",
            },
            Self::RepeatedDataItem => Facts {
                name: "repeated-data-item",
                summary: "an item stands once in a data collection",
                explanation: "When an item stands twice, nothing says which of the two values is meant.",
                example: "{\"type\":\"Unblock\",\"smartcard\":\"17cf063d-e337-4aa9-a822-346554ddd3c9\",\
                    \"datacollection\":[{\"city\":\"Oslo\"},{\"city\":\"Bergen\"}]}\n",
            },
            Self::TagInComment => Facts {
                name: "tag-in-comment",
                summary: "a comment does not contain \"[cmb:\"",
                explanation: "cmbatch marks each request with a tag that begins so, and finds it again by that. A comment \
                    that was copied from an earlier request carries the earlier tag: delete it.",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,see [cmb:old]\n",
            },
            Self::UndecidedReject => Facts {
                name: "undecided-reject",
                summary: "a row that was rejected and needs a decision has had one",
                explanation: "A rejected row that repeats another one, or whose fields could not be told apart, may look right \
                    in a rejects file and be wrong all the same: its _error cell begins with UNDECIDED. Compare it with the \
                    original list. Then delete the row, or correct it and empty its _error cell.",
                example: "type,smartcard,_error\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,UNDECIDED: asks for the same\n",
            },
            Self::ControlCharacter => Facts {
                name: "control-character",
                summary: "cells hold no control characters",
                explanation: "Characters that cannot be seen come from programs, not from people. Line breaks and tabs are \
                    allowed in comments and notes. Type the cell again.",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,lost\\u{7}\n",
            },
            Self::LookalikeCharacter => Facts {
                name: "lookalike-character",
                summary: "GUIDs, types and priorities hold no characters that only look right",
                explanation: "Word processors, web pages and other alphabets have dashes, blanks and letters that look like \
                    the ones on the keyboard and are others. Copy the value from its source, or type the character.",
                example: "type,smartcard\nUnblock,17cf063d–e337-4aa9-a822-346554ddd3c9\n",
            },
            Self::NumberDamaged => Facts {
                name: "number-damaged",
                summary: "a number is not written in a spreadsheet's short form",
                explanation: "A spreadsheet shows a long number such as a badge number as 6.1E+15 and exports it so; the last \
                    digits are lost. Take the list from its source again, give the column the format Text before the \
                    values go in, and export again.",
                example: "id,type,smartcard\n6.1E+15,Unblock,17cf063d-e337-4aa9-a822-346554ddd3c9\n",
            },
            Self::TextDamaged => Facts {
                name: "text-damaged",
                summary: "no character was lost in a conversion",
                explanation: "The character \u{FFFD} stands where a program could not read a letter. The letter cannot be \
                    recovered from this file: export the list again as \"CSV UTF-8\".",
                example: "type,smartcard,comment\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9,Andr\u{FFFD}\n",
            },
            Self::SpreadsheetError => Facts {
                name: "spreadsheet-error",
                summary: "cells hold no error value of a formula",
                explanation: "#N/A, #REF!, #NAME? and their like say that a formula found nothing, most often a look-up of a \
                    person who is not in the other list. Correct the formula or fill in the value, and export again.",
                example: "type,smartcard\nUnblock,#N/A\n",
            },
            Self::DuplicateRow => Facts {
                name: "duplicate-row",
                summary: "no two rows of a run ask for the same",
                explanation: "Two rows with the same type, target, template, smartcard and body.<name> values would \
                    make two requests; a profile counts where --profile-property sends it. Delete one, or say --on-duplicate first (the others are skipped) or \
                    --on-duplicate send (all are sent).",
                example: "type,smartcard\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9\n\
                    Unblock,17CF063D-E337-4AA9-A822-346554DDD3C9\n",
            },
            Self::DuplicateId => Facts {
                name: "duplicate-id",
                summary: "no two rows of a run have the same id",
                explanation: "The id is your own key of the row, by which you find it again in reports. Give each row its \
                    own, or leave the cells empty.",
                example: "id,type,smartcard\nA17,Unblock,17cf063d-e337-4aa9-a822-346554ddd3c9\n\
                    A17,Unblock,a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099\n",
            },
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleCounts([u64; Rule::ALL.len()]);

impl Default for RuleCounts {
    fn default() -> Self {
        Self([0; Rule::ALL.len()])
    }
}

impl RuleCounts {
    pub(super) const fn add(&mut self, rule: Rule) {
        self.add_many(rule, 1);
    }

    pub(super) const fn add_many(&mut self, rule: Rule, count: u64) {
        // The variants are declared in the order of ALL, which a test holds.
        self.0[rule as usize] += count;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Returns the rules that were broken, most often broken first; equal ones in the order of the list.
    pub(super) fn broken(&self) -> Vec<(Rule, u64)> {
        let mut broken: Vec<_> =
            Rule::ALL.into_iter().map(|rule| (rule, self.0[rule as usize])).filter(|(_, count)| *count > 0).collect();
        broken.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_rules_is_whole_and_in_the_order_of_their_numbers() {
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index, "{rule}");
            assert_eq!(Rule::from_name(rule.name()), Some(rule));
        }
        assert_eq!(Rule::from_name("no-such-rule"), None);
    }

    #[test]
    fn names_are_kebab_case_and_texts_keep_the_style() {
        for rule in Rule::ALL {
            assert!(rule.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{rule}");
            assert!(!rule.summary().ends_with('.') && !rule.summary().is_empty(), "{rule}");
            assert!(rule.explanation().ends_with('.'), "{rule}");
            assert!(rule.example().ends_with('\n') && !rule.example().contains('\t'), "{rule}");
        }
    }

    #[test]
    fn counts_are_listed_most_frequent_first() {
        let mut counts = RuleCounts::default();
        counts.add(Rule::UnknownType);
        counts.add_many(Rule::DuplicateId, 3);
        let mut other = RuleCounts::default();
        other.add(Rule::ZeroGuid);
        counts.merge(&other);
        assert_eq!(counts.broken(), [(Rule::DuplicateId, 3), (Rule::UnknownType, 1), (Rule::ZeroGuid, 1)]);
    }
}
