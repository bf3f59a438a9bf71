//! What differs by operating system.
//!
//! **Owns**: file locks, private files, folder syncs, the kind of a file system, names of user and host, the clock that
//! runs during sleep, the points at which tests end the process.
//!
//! **Must not know**: anything of this crate.
//!
//! **Flow**: small functions that `ledger`, `report` and `cli` call.

mod access;
mod clock;
#[cfg(debug_assertions)]
pub mod crash;
mod filesystem;
pub mod gss;
mod identity;
mod lock;
mod output;
mod private;
mod trust;

pub use access::can_write;
pub use clock::since_boot;
pub use filesystem::{FileSystem, NetworkFileSystem, file_system};
pub use identity::{host_name, process_id, user_name};
pub use lock::FileLock;
pub use output::{OutputError, Overwrite, PrivateOutput};
pub use private::{FileMark, create_private, file_mark, folder_of, inode, sync_folder};
pub use trust::is_trusted;
