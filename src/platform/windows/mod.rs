//! Windows.

pub(super) mod access;
pub(super) mod clock;
pub(super) mod files;
pub(super) mod identity;
pub(super) mod stop;
pub(super) mod trust;
