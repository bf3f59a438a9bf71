//! Who and where this process is.

use nix::unistd::{Uid, User, gethostname};

/// Returns the name of the effective user, or `uid N` where the system knows no name for it.
pub fn user_name() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Returns the host's name, or `localhost` where the system gives none.
pub fn host_name() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_host_have_names() {
        assert!(!user_name().is_empty());
        assert!(!host_name().is_empty());
    }
}
