//! GSSAPI (RFC 2743, in C: RFC 2744) out of the system's Kerberos library, which is loaded when it is first asked for.
//!
//! The only module with `unsafe` code beside `sspi`, its twin on Windows. What holds for every block: the functions have the types of MIT's `gssapi/gssapi.h`
//! and `gssapi/gssapi_ext.h`; each pointer that is handed over is to a value that lives until the call returns, because
//! GSSAPI keeps none of them; what the library allocates is freed by the library, once, by the `Drop` of its owner.

#![expect(unsafe_code, reason = "a C library is called here and nowhere else")]

mod ffi;

use std::ffi::{CString, c_int};
use std::fmt;
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use libloading::Library;

use self::ffi::{
    BAD_MECHANISM, Buffer, CONTINUE_NEEDED, CREDENTIALS_EXPIRED, ChannelBindings, ERROR_BITS, Functions, GSS_CODE,
    HOST_BASED_SERVICE, Handle, INDEFINITE, INITIATE, KERBEROS, KERBEROS_PRINCIPAL, KeyValue, KeyValueSet, LIBRARY,
    MECH_CODE, MUTUAL_FLAG, NTLM, Oid, OidSet, SPNEGO, USER_NAME,
};
use super::negotiate::{CredentialStore, Mechanism, Step};

/// The library, loaded.
pub struct Gss {
    functions: Functions,
    /// Kept, so that it is never unloaded.
    _library: Library,
}

/// The library is not there, or is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Kerberos library {LIBRARY} cannot be loaded ({0}); install it (Debian: libgssapi-krb5-2, Red Hat: krb5-libs)"
)]
pub struct GssMissing(String);

/// A call of the library failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct GssError {
    /// Zero where the library was not asked.
    major: u32,
    text: String,
}

impl GssError {
    /// Returns what the library says, in English.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the ticket is over.
    pub fn is_expired(&self) -> bool {
        self.major & ERROR_BITS == CREDENTIALS_EXPIRED || self.text.contains("Ticket expired")
    }

    /// Returns whether the library does not know the mechanism: it is a package of its own.
    pub const fn is_mechanism_missing(&self) -> bool {
        self.major & ERROR_BITS == BAD_MECHANISM
    }
}

impl fmt::Debug for Gss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LIBRARY)
    }
}

impl Gss {
    /// Returns the library; it is loaded once.
    ///
    /// # Errors
    /// [`GssMissing`], each time.
    pub fn load() -> Result<&'static Self, GssMissing> {
        static LOADED: OnceLock<Result<Gss, GssMissing>> = OnceLock::new();
        LOADED.get_or_init(Self::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Self, GssMissing> {
        let missing = |error: libloading::Error| GssMissing(error.to_string());
        // SAFETY: the library's start-up code is that of a system library, and expects nothing of its caller.
        let library = unsafe { Library::new(LIBRARY) }.map_err(missing)?;
        Ok(Self { functions: Functions::of(&library).map_err(missing)?, _library: library })
    }

    /// Acquires credentials for Negotiate with Kerberos. Reads files; may ask the KDC, and waits for it.
    ///
    /// # Errors
    /// [`GssError`]: there are none, or the KDC refused them.
    pub fn acquire(&'static self, store: &CredentialStore<'_>) -> Result<Credentials, GssError> {
        // Negotiate's own errors do not say why there is no Kerberos ticket. Asked for by itself it is there afterwards, in
        // the cache.
        let kerberos = self.acquire_for(&KERBEROS, store)?;
        let (principal, lifetime) = kerberos.inquire()?;
        // By name: without one the library chooses among several tickets by the service, and another account than the one that
        // was shown would sign in.
        let store = CredentialStore { principal: Some(&principal), ..*store };
        let handle = self.acquire_for(&SPNEGO, &store)?;
        self.with_kerberos_alone(&handle)?;
        Ok(Credentials { handle, mechanism: Mechanism::Kerberos, principal, lifetime, turn: Mutex::default() })
    }

    /// Acquires credentials from an account's name and password. NTLM asks nobody for that, whether they are right or wrong;
    /// Kerberos asks the KDC, twice, and waits for it.
    ///
    /// # Errors
    /// [`GssError`]: the mechanism is missing, or the KDC refused the password.
    pub fn acquire_by_password(
        &'static self,
        mechanism: Mechanism,
        user: &str,
        password: &str,
    ) -> Result<Credentials, GssError> {
        match mechanism {
            Mechanism::Ntlm => {
                let handle = self.acquire_with(&NTLM, user, password)?;
                let (principal, lifetime) = handle.inquire()?;
                Ok(Credentials { handle, mechanism, principal, lifetime, turn: Mutex::default() })
            }
            Mechanism::Kerberos => {
                // By itself first: Negotiate's own errors do not say why there is no ticket.
                let (principal, lifetime) = self.acquire_with(&KERBEROS, user, password)?.inquire()?;
                let handle = self.acquire_with(&SPNEGO, user, password)?;
                self.with_kerberos_alone(&handle)?;
                Ok(Credentials { handle, mechanism, principal, lifetime, turn: Mutex::default() })
            }
        }
    }

    /// Has Negotiate offer nothing but Kerberos.
    fn with_kerberos_alone(&self, negotiate: &Handles) -> Result<(), GssError> {
        let only = OidSet::of(&KERBEROS);
        let mut minor = 0;
        // SAFETY: see the module; the handle is its owner's, which nobody else has yet.
        let major = unsafe { (self.functions.set_neg_mechs)(&raw mut minor, negotiate.handle, &raw const only) };
        self.check(major, minor)
    }

    fn acquire_with(&'static self, mechanism: &'static Oid, user: &str, password: &str) -> Result<Handles, GssError> {
        // gss-ntlmssp reads up to a zero byte, and not the length.
        let text = CString::new(password)
            .map_err(|_| GssError { major: 0, text: "the password has a zero byte in it".to_owned() })?;
        let (name, mechs) = (self.name(user, &USER_NAME)?, OidSet::of(mechanism));
        let password = Buffer { length: password.len(), value: text.as_ptr().cast_mut().cast() };
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: see the module; the library copies the password, behind which there is a zero byte.
        let major = unsafe {
            (self.functions.acquire_cred_with_password)(
                &raw mut minor,
                name.handle,
                &raw const password,
                INDEFINITE,
                &raw const mechs,
                INITIATE,
                &raw mut handle,
                null_mut(),
                null_mut(),
            )
        };
        self.check(major, minor)?;
        Ok(Handles { gss: self, handle })
    }

    fn acquire_for(&'static self, mechanism: &'static Oid, store: &CredentialStore<'_>) -> Result<Handles, GssError> {
        let principal = store.principal.map(|principal| self.name(principal, &USER_NAME)).transpose()?;
        let mut texts = Vec::new();
        for (key, value) in [(c"client_keytab", store.keytab), (c"ccache", store.cache)] {
            let Some(value) = value else { continue };
            let value = CString::new(value)
                .map_err(|_| GssError { major: 0, text: format!("{value:?} has a zero byte in it") })?;
            texts.push((key, value));
        }
        let pairs: Vec<KeyValue> =
            texts.iter().map(|(key, value)| KeyValue { key: key.as_ptr(), value: value.as_ptr() }).collect();
        let set = KeyValueSet { count: u32::try_from(pairs.len()).unwrap_or(0), elements: pairs.as_ptr() };
        let mechs = OidSet::of(mechanism);
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: see the module; `pairs`, `texts` and `principal` live until the end of this function. An empty set is the
        // default store.
        let major = unsafe {
            (self.functions.acquire_cred_from)(
                &raw mut minor,
                principal.as_ref().map_or(null_mut(), |name| name.handle),
                INDEFINITE,
                &raw const mechs,
                INITIATE,
                &raw const set,
                &raw mut handle,
                null_mut(),
                null_mut(),
            )
        };
        self.check(major, minor)?;
        Ok(Handles { gss: self, handle })
    }

    /// Reads the name of a service: `HTTP@host` or `HTTP/host`, whose realm is found by the host, or a whole principal such as
    /// `HTTP/host@REALM`.
    ///
    /// # Errors
    /// [`GssError`]: it is no name.
    pub fn service(&'static self, text: &str) -> Result<Name, GssError> {
        match text.split_once('/') {
            Some((service, host)) if !host.contains('@') => {
                self.name(&format!("{service}@{host}"), &HOST_BASED_SERVICE)
            }
            Some(_) => self.name(text, &KERBEROS_PRINCIPAL),
            None => self.name(text, &HOST_BASED_SERVICE),
        }
    }

    fn name(&'static self, text: &str, kind: &Oid) -> Result<Name, GssError> {
        let buffer = Buffer::of(text.as_bytes());
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: see the module; the text is read, not kept.
        let major = unsafe {
            (self.functions.import_name)(&raw mut minor, &raw const buffer, &raw const *kind, &raw mut handle)
        };
        self.check(major, minor)?;
        Ok(Name { gss: self, handle })
    }

    fn check(&self, major: u32, minor: u32) -> Result<(), GssError> {
        if major & ERROR_BITS == 0 {
            return Ok(());
        }
        // What the mechanism says is about this very case; the general text only where it says nothing.
        let said = self.status_text(minor, MECH_CODE);
        let general = self.status_text(major, GSS_CODE);
        let is_vague = said.is_empty() || said == "Unknown error" || said == "Success" || minor == 0;
        Err(GssError { major, text: if is_vague { general } else { said } })
    }

    fn status_text(&self, code: u32, kind: c_int) -> String {
        let mut text = String::new();
        let mut context = 0;
        loop {
            let (mut minor, mut buffer) = (0, Buffer::EMPTY);
            // SAFETY: see the module. Without a mechanism the code is one that this very library gave.
            let major = unsafe {
                (self.functions.display_status)(&raw mut minor, code, kind, null(), &raw mut context, &raw mut buffer)
            };
            if major & ERROR_BITS != 0 {
                return text;
            }
            let part = String::from_utf8_lossy(&self.taken(buffer)).into_owned();
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
            if context == 0 {
                return text;
            }
        }
    }

    /// Copies what the library allocated, and gives it back.
    fn taken(&self, mut buffer: Buffer) -> Vec<u8> {
        let bytes = if buffer.value.is_null() {
            Vec::new()
        } else {
            // SAFETY: the library filled the buffer: so many bytes are there, and stay until they are released below.
            unsafe { std::slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length) }.to_vec()
        };
        let mut minor = 0;
        // SAFETY: the buffer is the library's own, is released once, and is not looked at again.
        unsafe { (self.functions.release_buffer)(&raw mut minor, &raw mut buffer) };
        bytes
    }
}

/// The name of a service or a principal.
pub struct Name {
    gss: &'static Gss,
    handle: Handle,
}

// SAFETY: a name is not changed after it was made, and the library reads it from several threads at once without harm.
unsafe impl Send for Name {}
// SAFETY: the same.
unsafe impl Sync for Name {}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is this value's own and is released once.
        unsafe { (self.gss.functions.release_name)(&raw mut minor, &raw mut self.handle) };
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name")
    }
}

/// Credentials of the library.
struct Handles {
    gss: &'static Gss,
    handle: Handle,
}

// SAFETY: MIT's krb5 credentials carry a lock of their own (krb5_gss_cred_id_rec.lock); SPNEGO's, which hold them, are written
// by gss_set_neg_mechs alone, before they are shared; NTLM's are used by one thread at a time, see `turn` of `Credentials`. They
// are released when the last owner is gone.
unsafe impl Send for Handles {}
// SAFETY: the same.
unsafe impl Sync for Handles {}

impl Handles {
    /// Returns the principal, and for how long its ticket is good. May ask the KDC.
    fn inquire(&self) -> Result<(String, Duration), GssError> {
        let (mut minor, mut name, mut lifetime_s) = (0, null_mut(), 0);
        // SAFETY: see the module; the handle is this value's own.
        let major = unsafe {
            (self.gss.functions.inquire_cred)(
                &raw mut minor,
                self.handle,
                &raw mut name,
                &raw mut lifetime_s,
                null_mut(),
                null_mut(),
            )
        };
        self.gss.check(major, minor)?;
        let name = Name { gss: self.gss, handle: name };
        let mut buffer = Buffer::EMPTY;
        // SAFETY: see the module; the name is the one just made.
        let major =
            unsafe { (self.gss.functions.display_name)(&raw mut minor, name.handle, &raw mut buffer, null_mut()) };
        self.gss.check(major, minor)?;
        let principal = String::from_utf8_lossy(&self.gss.taken(buffer)).into_owned();
        // gss-ntlmssp counts the zero byte at the end.
        let principal = principal.trim_end_matches('\0').to_owned();
        Ok((principal, Duration::from_secs(u64::from(lifetime_s))))
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is this value's own and is released once.
        unsafe { (self.gss.functions.release_cred)(&raw mut minor, &raw mut self.handle) };
    }
}

/// Credentials that sign in to services.
pub struct Credentials {
    handle: Handles,
    /// How they sign in.
    pub mechanism: Mechanism,
    /// Whose they are, such as `svc-cmbatch@CONTOSO.TEST`, or with NTLM `CONTOSO\svc-cmbatch`.
    pub principal: String,
    /// How long the ticket was good when they were acquired; without end with NTLM, which has none.
    pub lifetime: Duration,
    /// Held while NTLM's are used: nothing says that several threads may use them at once.
    turn: Mutex<()>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// One exchange that signs in: tokens go to the service and come back until both sides are sure of each other.
pub struct Exchange {
    gss: &'static Gss,
    handle: Handle,
    flags: u32,
}

// SAFETY: a context is used by one thread at a time, because its steps borrow it mutably; it is not bound to a thread.
unsafe impl Send for Exchange {}

impl Exchange {
    /// Begins an exchange.
    pub const fn new(gss: &'static Gss) -> Self {
        Self { gss, handle: null_mut(), flags: 0 }
    }

    /// Makes the next token, from what the service sent; nothing at first. The first one for a service may ask the KDC, and
    /// waits for it. `binding` ties the sign-in to the TLS channel (RFC 5056); the same in each step.
    ///
    /// # Errors
    /// [`GssError`]; the exchange is over then.
    pub fn step(
        &mut self,
        credentials: &Credentials,
        service: &Name,
        binding: Option<&[u8]>,
        input: &[u8],
    ) -> Result<Step, GssError> {
        let (mechanism, flags) = match credentials.mechanism {
            Mechanism::Kerberos => (&SPNEGO, MUTUAL_FLAG),
            Mechanism::Ntlm => (&NTLM, 0),
        };
        let is_shared = credentials.mechanism == Mechanism::Kerberos;
        let _turn = (!is_shared).then(|| credentials.turn.lock().unwrap_or_else(PoisonError::into_inner));
        let bindings = binding.map(|data| ChannelBindings {
            initiator_type: 0,
            initiator_address: Buffer::EMPTY,
            acceptor_type: 0,
            acceptor_address: Buffer::EMPTY,
            application_data: Buffer::of(data),
        });
        let bindings = bindings.as_ref().map_or(null(), |bindings| &raw const *bindings);
        let input = Buffer::of(input);
        let (mut minor, mut output, mut lifetime_s) = (0, Buffer::EMPTY, 0);
        // SAFETY: see the module; `binding` and `input` outlive the call, and the context is this value's own or not yet made.
        let major = unsafe {
            (self.gss.functions.init_sec_context)(
                &raw mut minor,
                credentials.handle.handle,
                &raw mut self.handle,
                service.handle,
                &raw const *mechanism,
                flags,
                0,
                bindings,
                &raw const input,
                null_mut(),
                &raw mut output,
                &raw mut self.flags,
                &raw mut lifetime_s,
            )
        };
        let token = self.gss.taken(output);
        self.gss.check(major, minor)?;
        let is_complete = major & CONTINUE_NEEDED == 0 && self.flags & flags == flags;
        Ok(Step { token, is_complete, lifetime: Duration::from_secs(u64::from(lifetime_s)) })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is this value's own, made or null, which the library takes for nothing.
        unsafe { (self.gss.functions.delete_sec_context)(&raw mut minor, &raw mut self.handle, null_mut()) };
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}
