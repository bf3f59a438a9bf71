//! One call to the CM REST API.
//!
//! **Owns**: sign-in, TLS, proxies, the wire form of a call, what an answer means.
//!
//! **Must not know**: rates, retries, the ledger.
//!
//! **Flow**: takes a wire body; gives an [`Answer`], and what it means for the row, to `submit`; gives the server's own
//! requests, one or all as a stream, to `reconcile`.

mod answer;
mod auth;
mod base_url;
mod body;
mod call;
mod checkup;
mod classify;
mod cookie;
mod credential;
mod endpoint;
mod error;
mod given;
mod host_id;
mod identity;
mod list;
mod message;
mod oauth;
mod object;
mod once;
mod pin;
mod private_file;
mod proxy;
mod renewal;
mod retry_after;
mod route;
mod server_time;
mod session;
mod sign_in;
mod splitter;
mod stored_secret;
mod tls;
mod tls_reason;
mod transport;
mod unknown_authority;
mod watch;

#[cfg(test)]
mod tests;

pub use answer::{Answer, HttpAnswer, TransportFault};
pub use auth::{Auth, Secret};
pub use base_url::{AllowHttp, BaseUrl, BaseUrlError, Shown};
pub use call::Client;
pub use checkup::{Look, ServerCertificate, connect, resolve};
pub use classify::{On503, classify};
pub use cookie::EndedCookie;
pub use credential::Renewed;
pub use endpoint::Endpoint;
pub use error::{
    CaFileFault, ClientError, CookieError, CookieFault, DamagedReason, Kept, ReadError, TokenError, TokenFault,
    TokenPlace,
};
pub use identity::{Identity, IdentityError};
pub use list::{ListItem, ListTimeouts, RequestStream};
pub use oauth::{ClientProof, InvalidTokenUrl, OAuth, OAuthError, TokenUrl};
pub use object::{ObjectFault, RequestObject, RequestStatus};
pub use pin::{InvalidPin, Pin};
pub use private_file::FileFault;
pub use proxy::{Proxy, ProxyAddress, ProxyAddressError};
pub use sign_in::{Mechanism, Negotiate, SignInError, SignedIn};
pub use stored_secret::StoredSecret;
pub use transport::PROXY_ASKS;
