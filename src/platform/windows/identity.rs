//! Who and where this process is.

use winapi_util::sysinfo::{ComputerNameKind, get_computer_name};

use crate::platform::sspi;

/// Returns the name of the user, as `DOMAIN\user`, or `unknown user` where the system says none.
pub fn user_name() -> String {
    sspi::current_user().unwrap_or_else(|| "unknown user".to_owned())
}

/// Returns the host's name, or `localhost` where the system gives none.
pub fn host_name() -> String {
    let name = get_computer_name(ComputerNameKind::PhysicalDnsHostname).ok();
    name.and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_host_have_names() {
        assert!(user_name().contains('\\'), "{}", user_name());
        assert!(!host_name().is_empty());
    }
}
