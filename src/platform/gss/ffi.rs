//! The C side: types and functions as MIT's `gssapi/gssapi.h` and `gssapi/gssapi_ext.h` have them.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use libloading::Library;

/// MIT's library as Debian, Red Hat and their kin name it.
pub(super) const LIBRARY: &str = "libgssapi_krb5.so.2";

pub(super) static SPNEGO: Oid = Oid::new(b"\x2b\x06\x01\x05\x05\x02");
pub(super) static KERBEROS: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
pub(super) static NTLM: Oid = Oid::new(b"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a");
pub(super) static HOST_BASED_SERVICE: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");
pub(super) static USER_NAME: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01");
pub(super) static KERBEROS_PRINCIPAL: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01");

pub(super) const INITIATE: c_int = 1;
pub(super) const MUTUAL_FLAG: u32 = 2;
pub(super) const INDEFINITE: u32 = 0xffff_ffff;
/// The bits of a major status that say that the call failed.
pub(super) const ERROR_BITS: u32 = 0xffff_0000;
pub(super) const CONTINUE_NEEDED: u32 = 1;
pub(super) const BAD_MECHANISM: u32 = 1 << 16;
pub(super) const CREDENTIALS_EXPIRED: u32 = 11 << 16;
pub(super) const GSS_CODE: c_int = 1;
pub(super) const MECH_CODE: c_int = 2;

/// An octet string; the library frees what it allocated.
#[repr(C)]
pub(super) struct Buffer {
    pub(super) length: usize,
    pub(super) value: *mut c_void,
}

impl Buffer {
    pub(super) const EMPTY: Self = Self { length: 0, value: null_mut() };

    /// Points to bytes that the library only reads.
    pub(super) const fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }
}

/// An object identifier in the encoding of ASN.1, without tag and length.
#[repr(C)]
pub(super) struct Oid {
    pub(super) length: u32,
    pub(super) elements: *const c_void,
}

// SAFETY: it points to bytes that nobody changes.
unsafe impl Sync for Oid {}

impl Oid {
    #[expect(clippy::cast_possible_truncation, reason = "a few bytes")]
    pub(super) const fn new(bytes: &'static [u8]) -> Self {
        Self { length: bytes.len() as u32, elements: bytes.as_ptr().cast() }
    }
}

#[repr(C)]
pub(super) struct OidSet {
    pub(super) count: usize,
    pub(super) elements: *const Oid,
}

impl OidSet {
    pub(super) const fn of(oid: &Oid) -> Self {
        Self { count: 1, elements: oid }
    }
}

#[repr(C)]
pub(super) struct ChannelBindings {
    pub(super) initiator_type: u32,
    pub(super) initiator_address: Buffer,
    pub(super) acceptor_type: u32,
    pub(super) acceptor_address: Buffer,
    pub(super) application_data: Buffer,
}

#[repr(C)]
pub(super) struct KeyValue {
    pub(super) key: *const c_char,
    pub(super) value: *const c_char,
}

#[repr(C)]
pub(super) struct KeyValueSet {
    pub(super) count: u32,
    pub(super) elements: *const KeyValue,
}

pub(super) type Handle = *mut c_void;

/// The functions of the library that are used.
pub(super) struct Functions {
    pub(super) acquire_cred_from: unsafe extern "C" fn(
        *mut u32,
        Handle,
        u32,
        *const OidSet,
        c_int,
        *const KeyValueSet,
        *mut Handle,
        *mut *mut OidSet,
        *mut u32,
    ) -> u32,
    pub(super) acquire_cred_with_password: unsafe extern "C" fn(
        *mut u32,
        Handle,
        *const Buffer,
        u32,
        *const OidSet,
        c_int,
        *mut Handle,
        *mut *mut OidSet,
        *mut u32,
    ) -> u32,
    pub(super) set_neg_mechs: unsafe extern "C" fn(*mut u32, Handle, *const OidSet) -> u32,
    pub(super) import_name: unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32,
    pub(super) init_sec_context: unsafe extern "C" fn(
        *mut u32,
        Handle,
        *mut Handle,
        Handle,
        *const Oid,
        u32,
        u32,
        *const ChannelBindings,
        *const Buffer,
        *mut *const Oid,
        *mut Buffer,
        *mut u32,
        *mut u32,
    ) -> u32,
    pub(super) inquire_cred:
        unsafe extern "C" fn(*mut u32, Handle, *mut Handle, *mut u32, *mut c_int, *mut *mut OidSet) -> u32,
    pub(super) display_name: unsafe extern "C" fn(*mut u32, Handle, *mut Buffer, *mut *const Oid) -> u32,
    pub(super) display_status: unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32,
    pub(super) release_buffer: unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32,
    pub(super) release_name: unsafe extern "C" fn(*mut u32, *mut Handle) -> u32,
    pub(super) release_cred: unsafe extern "C" fn(*mut u32, *mut Handle) -> u32,
    pub(super) delete_sec_context: unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32,
}

impl Functions {
    pub(super) fn of(library: &Library) -> Result<Self, libloading::Error> {
        // SAFETY: the types of the fields are those of the functions of these names in RFC 2744 and, for the first three, in
        // MIT's gssapi_ext.h. The library is never unloaded, so the copied pointers stay good.
        unsafe {
            Ok(Self {
                acquire_cred_from: *library.get("gss_acquire_cred_from")?,
                acquire_cred_with_password: *library.get("gss_acquire_cred_with_password")?,
                set_neg_mechs: *library.get("gss_set_neg_mechs")?,
                import_name: *library.get("gss_import_name")?,
                init_sec_context: *library.get("gss_init_sec_context")?,
                inquire_cred: *library.get("gss_inquire_cred")?,
                display_name: *library.get("gss_display_name")?,
                display_status: *library.get("gss_display_status")?,
                release_buffer: *library.get("gss_release_buffer")?,
                release_name: *library.get("gss_release_name")?,
                release_cred: *library.get("gss_release_cred")?,
                delete_sec_context: *library.get("gss_delete_sec_context")?,
            })
        }
    }
}
