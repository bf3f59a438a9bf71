//! Tests that need what a machine must have installed, or rights that not every account has: strace, mounts in a namespace of
//! their own. They are built with the feature `peers`, which changes nothing else; `tests/run.sh` installs what they need.
//! They never pass by skipping.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::format_push_string, reason = "manifests are written as they read")]

#[path = "../it/chaos/mod.rs"]
#[expect(dead_code, unused_imports, reason = "these tests need a part of it")]
mod chaos;
#[path = "../it/common.rs"]
#[expect(dead_code, reason = "these tests need a part of it")]
mod common;
#[path = "../torture/log.rs"]
mod log;
#[path = "../it/oracle.rs"]
#[expect(dead_code, reason = "these tests need a part of it")]
mod oracle;

mod accounts;
mod bindings;
mod clock;
mod disk_full;
mod forward_proxy;
mod kerberos;
mod misconfigured;
mod ntlm;
mod oauth;
mod order;
mod power;
mod proxies;
mod realm;
mod secrets;
mod tls_front;
mod token_server;
mod trace;
