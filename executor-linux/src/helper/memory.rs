//! What the compiler expects of a C library: copying, filling and comparing memory, and a name for unwinding.
//!
//! The loops are volatile or the compiler would turn them into calls of themselves.

use core::ptr::{read_volatile, write_volatile};

/// `memcpy(3)`.
///
/// # Safety
///
/// `from` is readable and `to` writable for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    let words = count / 8;
    for at in 0..words {
        // SAFETY: the eight bytes are within what the caller vouches for.
        let word = unsafe { from.cast::<u64>().wrapping_add(at).read_unaligned() };
        // SAFETY: the eight bytes are within what the caller vouches for.
        unsafe { write_word(to.cast::<u64>().wrapping_add(at), word) };
    }
    for at in words * 8..count {
        // SAFETY: the byte is within what the caller vouches for.
        let byte = unsafe { read_volatile(from.wrapping_add(at)) };
        // SAFETY: the byte is within what the caller vouches for.
        unsafe { write_volatile(to.wrapping_add(at), byte) };
    }
    to
}

/// Writes a word that need not be aligned, in a way that the compiler does not see through.
///
/// # Safety
///
/// `to` is writable for eight bytes.
#[inline(always)]
unsafe fn write_word(to: *mut u64, word: u64) {
    // SAFETY: the caller vouches for the bytes.
    unsafe { to.write_unaligned(core::hint::black_box(word)) };
}

/// `memmove(3)`.
///
/// # Safety
///
/// `from` is readable and `to` writable for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    let forwards = (to as usize) <= (from as usize);
    for step in 0..count {
        let at = if forwards { step } else { count - 1 - step };
        // SAFETY: the byte is within what the caller vouches for, and not written over before it is read.
        let byte = unsafe { read_volatile(from.wrapping_add(at)) };
        // SAFETY: the byte is within what the caller vouches for.
        unsafe { write_volatile(to.wrapping_add(at), byte) };
    }
    to
}

/// `memset(3)`.
///
/// # Safety
///
/// `to` is writable for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: the byte is within what the caller vouches for.
        unsafe { write_volatile(to.wrapping_add(at), byte as u8) };
    }
    to
}

/// `memcmp(3)`.
///
/// # Safety
///
/// Both are readable for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: the byte is within what the caller vouches for.
        let left = unsafe { read_volatile(one.wrapping_add(at)) };
        // SAFETY: the byte is within what the caller vouches for.
        let right = unsafe { read_volatile(other.wrapping_add(at)) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// `bcmp(3)`.
///
/// # Safety
///
/// Both are readable for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    // SAFETY: the caller vouches for the bytes.
    unsafe { memcmp(one, other, count) }
}

/// `strlen(3)`.
///
/// # Safety
///
/// `text` is a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: every byte up to the zero is the string's.
    while unsafe { read_volatile(text.wrapping_add(length)) } != 0 {
        length += 1;
    }
    length
}

/// The name that the unwind tables of `core` refer to; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Zeroes `bytes` for good, also where nobody reads them again.
pub(crate) fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: `byte` is a byte that is borrowed here alone.
        unsafe { write_volatile(byte, 0) };
    }
}
