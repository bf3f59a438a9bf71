//! What differs by operating system.
//!
//! **Owns**: file locks, private files, what no output replaces, folder syncs, the kind of a file system, names of user and host, the clock that
//! runs during sleep, signals, what signs in, the points at which tests end the process.
//!
//! **Must not know**: anything of this crate.
//!
//! **Flow**: small functions that `manifest`, `ledger`, `client`, `report` and `cli` call. What has one text for each system
//! stands in `unix` and `windows`, under the same names.

#[cfg(debug_assertions)]
pub mod crash;
mod data_lock;
mod database;
mod filesystem;
#[cfg(unix)]
mod gss;
mod lock;
pub mod negotiate;
mod output;
mod private;
#[cfg(windows)]
mod sspi;
mod stop;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use data_lock::DataLock;
pub use database::{is_of_database, same_file};
pub use filesystem::{FileSystem, NetworkFileSystem, file_system};
pub use lock::FileLock;
pub use output::{OutputError, Overwrite, PrivateOutput};
pub use private::{FileTrust, Stamp, folder_of};
pub use stop::{StopRequest, StopRequests, outlive_file_size_limit};
pub use system::access::can_write;
pub use system::clock::since_boot;
pub use system::files::{
    create_private, create_private_folder, is_device, n_names, read_at, real_folder, stamp, sync_folder,
};
#[cfg(test)]
pub(crate) use system::files::{is_private, set_mode};
pub use system::identity::{boot_id, host_name, is_alive, user_name};
pub use system::trust::trust;

/// Returns whether the system refuses because too many files are open, in this process or at all.
pub fn lacks_files(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| system::files::TOO_MANY_OPEN.contains(&code))
}
