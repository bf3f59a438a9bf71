//! Why a text is no fault.

use crate::request::InvalidGuid;
use crate::simulator::script::InvalidLatency;
use crate::simulator::units::InvalidSpan;

/// Why a text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("fault \"{name}\" is not known; {}", nearest(.near))]
    UnknownName {
        /// What was written.
        name: String,
        /// A known name that is near.
        near: Option<&'static str>,
    },
    /// No scope has this name.
    #[error("scope \"{scope}\" is not known; write create:, list:, get:, put: or any: before the fault, or nothing")]
    UnknownScope {
        /// What was written.
        scope: String,
    },
    /// The fault belongs to other calls.
    #[error("fault \"{name}\" is about {belongs} calls only; leave \"{scope}:\" out")]
    WrongScope {
        /// The fault's name.
        name: String,
        /// The scope that was written.
        scope: String,
        /// The scope that it has.
        belongs: &'static str,
    },
    /// The fault needs a value.
    #[error("fault \"{name}\" needs a value, as in \"{example}\"")]
    NoValue {
        /// The fault's name.
        name: String,
        /// How it can be written.
        example: &'static str,
    },
    /// Neither a share nor a count.
    #[error(
        "\"{text}\" in fault \"{name}\" says not which calls; write a share (5%), \"first 3\", \"after 100\", \"at 7\" or \"always\""
    )]
    BadWhen {
        /// The fault's name.
        name: String,
        /// What was written.
        text: String,
    },
    /// The calls are named twice, or cannot be named for this fault.
    #[error("fault \"{name}\" does not take \"{text}\" as well; leave it out")]
    NoWhen {
        /// The fault's name.
        name: String,
        /// What was written.
        text: String,
    },
    /// The value is not what the fault takes.
    #[error("\"{value}\" is no value for fault \"{name}\"; write it as in \"{example}\"")]
    BadValue {
        /// The fault's name.
        name: String,
        /// What was written.
        value: String,
        /// How it can be written.
        example: &'static str,
    },
    /// The status is none that a server answers instead.
    #[error(
        "{status} is no status that a fault can answer; use 200 to 599 (201 only as in \"garbage\" or \"truncate\")"
    )]
    BadStatus {
        /// What was written.
        status: String,
    },
    /// A parameter that this fault does not have.
    #[error("fault \"{name}\" has no parameter \"{parameter}\"; write it as in \"{example}\"")]
    UnknownParameter {
        /// The fault's name.
        name: String,
        /// The parameter.
        parameter: String,
        /// How it can be written.
        example: &'static str,
    },
    /// The value is no request type.
    #[error("\"{value}\" in fault \"{name}\" is no request type; {}", nearest(.near))]
    BadType {
        /// The fault's name.
        name: String,
        /// What was written.
        value: String,
        /// A type that is near.
        near: Option<&'static str>,
    },
    /// The value is no GUID.
    #[error("\"{value}\" in fault \"{name}\" is {reason}")]
    BadGuid {
        /// The fault's name.
        name: String,
        /// What was written.
        value: String,
        /// What a GUID is.
        reason: InvalidGuid,
    },
    /// A time span is none.
    #[error("in fault \"{name}\": {reason}")]
    BadSpan {
        /// The fault's name.
        name: String,
        /// What a span is.
        reason: InvalidSpan,
    },
    /// A range of time spans is none.
    #[error("in fault \"{name}\": {reason}")]
    BadLatency {
        /// The fault's name.
        name: String,
        /// What a range is.
        reason: InvalidLatency,
    },
}

fn nearest(near: &Option<&'static str>) -> String {
    match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "the help of `cmbatch simulate` lists what there is".to_owned(),
    }
}
