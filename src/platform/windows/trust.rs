//! Whether a file can be believed to say what its owner wrote.

use std::io;
use std::path::Path;

use crate::platform::FileTrust;

/// Returns that it cannot be told: lists of rights are not read here. A file that others may have written must not say where
/// calls go, so that whoever asks takes this for no.
///
/// # Errors
/// There is no such file, or it cannot be asked.
pub fn trust(path: &Path) -> io::Result<FileTrust> {
    path.metadata().map(|_| FileTrust::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(trust(folder.path()).unwrap(), FileTrust::Unknown);
        assert!(trust(&folder.path().join("missing")).is_err());
    }
}
