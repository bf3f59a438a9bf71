//! The tokens of one sign-in.

use std::ffi::c_void;
use std::fmt;
use std::mem;
use std::ptr::null;

use windows_sys::Win32::Foundation::{
    SEC_E_INVALID_TOKEN, SEC_E_OK, SEC_I_COMPLETE_AND_CONTINUE, SEC_I_COMPLETE_NEEDED, SEC_I_CONTINUE_NEEDED,
};
use windows_sys::Win32::Security::Authentication::Identity::{
    CompleteAuthToken, DeleteSecurityContext, ISC_RET_MUTUAL_AUTH, InitializeSecurityContextW, QueryContextAttributesW,
    SEC_CHANNEL_BINDINGS, SECBUFFER_CHANNEL_BINDINGS, SECBUFFER_TOKEN, SECBUFFER_VERSION, SECPKG_ATTR_NEGOTIATION_INFO,
    SECURITY_NATIVE_DREP, SecBuffer, SecBufferDesc, SecPkgContext_NegotiationInfoW,
};
use windows_sys::Win32::Security::Credentials::SecHandle;
use windows_sys::core::HRESULT;

use super::memory::{Allocated, Wide, text_at};
use super::{Credentials, SspiError};

/// The size of `SEC_CHANNEL_BINDINGS`, eight numbers of 32 bits; what is bound to follows it.
const BINDINGS_HEADER_BYTES: u32 = 32;
const _: () = assert!(size_of::<SEC_CHANNEL_BINDINGS>() == BINDINGS_HEADER_BYTES as usize);
/// What `MaxTokenSize` can be at most, and so the longest token. The system could allocate tokens itself; Wine's Kerberos, with which
/// this is tested, cannot.
const LONGEST_TOKEN: u32 = 0x1_0000;
/// The call that makes tokens.
const STEP: &str = "InitializeSecurityContext";

/// One exchange that signs in: tokens go to the service and come back until both sides are sure of each other.
#[derive(Default)]
pub(in crate::platform) struct Exchange {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    New,
    Begun(Context),
    /// Complete, or failed.
    Over,
}

struct Context(SecHandle);

impl Context {
    /// Returns the package that was chosen, or that is tried first as long as the service has not answered.
    fn package(&self) -> Option<String> {
        let mut negotiated = SecPkgContext_NegotiationInfoW::default();
        // SAFETY: see the module; this attribute fills this structure.
        let status = unsafe {
            QueryContextAttributesW(&raw const self.0, SECPKG_ATTR_NEGOTIATION_INFO, (&raw mut negotiated).cast())
        };
        let owner = Allocated(negotiated.PackageInfo.cast());
        if status != SEC_E_OK || owner.0.is_null() {
            return None;
        }
        // SAFETY: SSPI said that it wrote this there, which stays until `owner` is dropped; the name ends with a zero.
        let name = unsafe { text_at((*negotiated.PackageInfo).Name) };
        (!name.is_empty()).then_some(name)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the handle is this value's own and is given back once.
        unsafe { DeleteSecurityContext(&raw const self.0) };
    }
}

/// What a step gave.
#[derive(Debug)]
pub(in crate::platform) struct Step {
    /// What is to be sent; empty where nothing is.
    pub(in crate::platform) token: Vec<u8>,
    /// Whether the exchange is at its end.
    pub(in crate::platform) is_complete: bool,
    /// Whether the service has proven who it is: not before the end, and never with NTLM.
    pub(in crate::platform) is_mutual: bool,
    /// The package that makes the tokens, `Kerberos` or `NTLM`, where Windows says it. Before the service's first answer it is
    /// the one that is tried first.
    pub(in crate::platform) package: Option<String>,
}

/// What the system gave for a step.
struct Answer {
    status: HRESULT,
    context: Context,
    token: Vec<u8>,
    is_mutual: bool,
}

impl Exchange {
    /// Begins an exchange.
    pub(in crate::platform) const fn new() -> Self {
        Self { state: State::New }
    }

    /// Makes the next token, from what the service sent; nothing at first. The first one for a service may ask a domain
    /// controller, and waits for it. `target_spn` is `HTTP/host`; what GSSAPI writes as `HTTP@host` is taken too. `binding`
    /// ties the sign-in to the TLS channel (RFC 5056); the same in each step.
    ///
    /// # Errors
    /// [`SspiError`]; the exchange is over then.
    pub(in crate::platform) fn step(
        &mut self,
        credentials: &Credentials,
        target_spn: &str,
        binding: Option<&[u8]>,
        input: &[u8],
    ) -> Result<Step, SspiError> {
        let context = match mem::replace(&mut self.state, State::Over) {
            State::New => None,
            // A service that refuses sends an empty token; the packages do not agree on what to say of it.
            State::Begun(context) if !input.is_empty() => Some(context),
            State::Begun(_) | State::Over => return Err(SspiError::of(STEP, SEC_E_INVALID_TOKEN)),
        };
        let target = Wide::new("the service's name", &service_name(target_spn))?;
        let answer = initialize(credentials, context, &target, binding, input)?;
        let is_complete = match answer.status {
            SEC_E_OK | SEC_I_COMPLETE_NEEDED => true,
            SEC_I_CONTINUE_NEEDED | SEC_I_COMPLETE_AND_CONTINUE => false,
            other => return Err(SspiError::of(STEP, other)),
        };
        let package = answer.context.package();
        if !is_complete {
            self.state = State::Begun(answer.context);
        }
        // What is said of it before the end is not yet so.
        Ok(Step { token: answer.token, is_complete, is_mutual: is_complete && answer.is_mutual, package })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

/// Makes one call; `context` is none for the first of an exchange.
fn initialize(
    credentials: &Credentials,
    context: Option<Context>,
    target: &Wide,
    binding: Option<&[u8]>,
    input: &[u8],
) -> Result<Answer, SspiError> {
    let bindings = binding.map(|data| (channel_bindings(data), size_of::<SEC_CHANNEL_BINDINGS>() + data.len()));
    let mut buffers = Vec::with_capacity(2);
    if !input.is_empty() {
        buffers.push(buffer(SECBUFFER_TOKEN, input.as_ptr().cast(), size_of_val(input))?);
    }
    if let Some((words, length)) = &bindings {
        buffers.push(buffer(SECBUFFER_CHANNEL_BINDINGS, words.as_ptr().cast(), *length)?);
    }
    let n_inputs = u32::from(!input.is_empty()) + u32::from(bindings.is_some());
    let inputs = SecBufferDesc { ulVersion: SECBUFFER_VERSION, cBuffers: n_inputs, pBuffers: buffers.as_mut_ptr() };
    let mut token = vec![0_u8; LONGEST_TOKEN as usize];
    let mut output =
        SecBuffer { cbBuffer: LONGEST_TOKEN, BufferType: SECBUFFER_TOKEN, pvBuffer: token.as_mut_ptr().cast() };
    let mut outputs = SecBufferDesc { ulVersion: SECBUFFER_VERSION, cBuffers: 1, pBuffers: &raw mut output };
    let mut handle = context.as_ref().map_or_else(SecHandle::default, |context| context.0);
    let (mut attributes, mut expiry) = (0, 0);
    // SAFETY: see the module. `input`, `bindings` and `buffers` outlive the call, and the first two are only read; `token` is as
    // long as `output` says; the handles are their owners' own, and there is none of a context that is not yet made.
    let status = unsafe {
        InitializeSecurityContextW(
            &raw const credentials.handle.0,
            if context.is_some() { &raw const handle } else { null() },
            target.pointer(),
            credentials.package.requests(),
            0,
            SECURITY_NATIVE_DREP,
            if n_inputs == 0 { null() } else { &raw const inputs },
            0,
            &raw mut handle,
            &raw mut outputs,
            &raw mut attributes,
            &raw mut expiry,
        )
    };
    SspiError::check(STEP, status)?;
    let context = match context {
        Some(mut context) => {
            context.0 = handle;
            context
        }
        None => Context(handle),
    };
    if matches!(status, SEC_I_COMPLETE_NEEDED | SEC_I_COMPLETE_AND_CONTINUE) {
        // SAFETY: see the module; the token is the one just made.
        let status = unsafe { CompleteAuthToken(&raw const context.0, &raw const outputs) };
        SspiError::check("CompleteAuthToken", status)?;
    }
    let is_mutual = attributes & ISC_RET_MUTUAL_AUTH != 0;
    token.truncate(output.cbBuffer as usize);
    token.shrink_to_fit();
    Ok(Answer { status, context, token, is_mutual })
}

fn buffer(kind: u32, pointer: *const c_void, n_bytes: usize) -> Result<SecBuffer, SspiError> {
    let n_bytes = u32::try_from(n_bytes).map_err(|_| SspiError::of(STEP, SEC_E_INVALID_TOKEN))?;
    Ok(SecBuffer { cbBuffer: n_bytes, BufferType: kind, pvBuffer: pointer.cast_mut() })
}

/// Returns a `SEC_CHANNEL_BINDINGS` without addresses, with what is bound to behind it. In words, so that it lies where numbers
/// may lie.
pub(super) fn channel_bindings(application_data: &[u8]) -> Vec<u32> {
    let length = u32::try_from(application_data.len()).unwrap_or(0);
    let mut words = vec![0, 0, 0, 0, 0, 0, length, BINDINGS_HEADER_BYTES];
    for part in application_data.chunks(size_of::<u32>()) {
        let mut word = [0; size_of::<u32>()];
        word[..part.len()].copy_from_slice(part);
        words.push(u32::from_ne_bytes(word));
    }
    words
}

/// Writes the name of a service as Windows has it: `HTTP/host`, where GSSAPI has `HTTP@host`.
pub(super) fn service_name(text: &str) -> String {
    match text.split_once('@') {
        Some((service, host)) if !service.contains('/') => format!("{service}/{host}"),
        _ => text.to_owned(),
    }
}
