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

/// Returns what tells this start of the machine from all others, where the system says it: here it does not.
pub fn boot_id() -> Option<String> {
    None
}

/// Returns whether a process of this number runs, as far as that is looked for: here it is not.
pub fn is_alive(_pid: u32) -> bool {
    false
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
