//! What goes to SSPI and comes from it.

use std::ffi::c_void;

use windows_sys::Win32::Security::Authentication::Identity::FreeContextBuffer;

use super::SspiError;

/// Text as Windows takes it, with a zero at its end. Overwritten when it is dropped, as it may be a password.
pub(super) struct Wide(Vec<u16>);

impl Wide {
    pub(super) fn new(what: &'static str, text: &str) -> Result<Self, SspiError> {
        if text.contains('\0') {
            return Err(SspiError::zero_byte(what));
        }
        // Text has no more units in UTF-16 than bytes in UTF-8, so that nothing is moved and left behind.
        let mut units = Vec::with_capacity(text.len() + 1);
        units.extend(text.encode_utf16());
        units.push(0);
        Ok(Self(units))
    }

    /// Points to it, for a field that is not `const` in C although it is only read.
    pub(super) fn pointer(&self) -> *mut u16 {
        self.0.as_ptr().cast_mut()
    }

    /// How many units it has, without the zero. There is no text of four billion.
    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.0.len() - 1).unwrap_or(0)
    }
}

impl Drop for Wide {
    fn drop(&mut self) {
        for unit in &mut self.0 {
            // SAFETY: a reference is good to write to. Volatile, because nobody reads it again and it would be left out.
            unsafe { std::ptr::write_volatile(unit, 0) };
        }
    }
}

/// What SSPI allocated, or null.
pub(super) struct Allocated(pub(super) *mut c_void);

impl Drop for Allocated {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: SSPI allocated it; it is given back once, and nothing points to it any more.
            unsafe { FreeContextBuffer(self.0) };
        }
    }
}

/// Copies text that ends with a zero.
///
/// # Safety
/// It is null, or points to such text.
pub(super) unsafe fn text_at(pointer: *const u16) -> String {
    if pointer.is_null() {
        return String::new();
    }
    let mut length = 0;
    // SAFETY: the caller's word: all units up to the zero are there.
    while unsafe { *pointer.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: they were just read.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(pointer, length) })
}
