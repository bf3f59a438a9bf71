//! What asks the program to end.

pub use super::system::stop::{StopRequests, outlive_file_size_limit};

/// How somebody asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// As soon as it is convenient; asked again, at once.
    Soon,
    /// Now: the system ends the program by itself a few seconds later. Only Windows asks so.
    Now,
}
