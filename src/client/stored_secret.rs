//! Where a password or another secret of one line is.

use std::path::PathBuf;

use super::auth::Secret;
use super::private_file;

/// The longest, in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// A secret, or the file that has it.
#[derive(Debug)]
pub enum StoredSecret {
    /// On the first line of a file that nobody else may read; a systemd credential is such a file.
    File(PathBuf),
    /// Out of the environment.
    Given(Secret),
}

impl StoredSecret {
    /// Returns the secret as it is now. `what` names it in messages, such as "the password".
    ///
    /// # Errors
    /// Why it cannot be read, and what to do; never holds any of it.
    pub(crate) fn read(&self, what: &str) -> Result<String, String> {
        let text = match self {
            Self::Given(secret) => secret.expose().to_owned(),
            Self::File(path) => {
                let refused = |fault: String| format!("{what} in {path:?} {fault}");
                let bytes = private_file::read(path, MAX_BYTES)
                    .map_err(|fault| refused(format!("{fault}{}", fault.remedy(path))))?;
                let line = private_file::first_line(&bytes).ok_or_else(|| refused("is not UTF-8 text".to_owned()))?;
                if line.is_empty() {
                    return Err(refused("is empty: write it on the first line".to_owned()));
                }
                line.to_owned()
            }
        };
        Ok(text)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_secret_and_no_message_holds_it() {
        let given = StoredSecret::Given(Secret::new("hunter2".to_owned()));
        assert_eq!(given.read("the password").unwrap(), "hunter2");
        assert!(!format!("{given:?}").contains("hunter2"));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let stored = StoredSecret::File(path.clone());
        assert!(stored.read("the password").unwrap_err().contains("password\" cannot be read"));
        std::fs::write(&path, "hunter2 \r\nmore").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
        assert_eq!(stored.read("the password").unwrap(), "hunter2 ");
        std::fs::write(&path, "\n").unwrap();
        assert!(stored.read("the password").unwrap_err().contains("is empty"));
    }
}
