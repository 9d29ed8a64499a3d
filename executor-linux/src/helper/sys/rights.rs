//! What a process may do: its ids, its capabilities, its keyring, and what it can gain or be seen of.

use core::ffi::CStr;

use super::{Errno, Result, call, number, plain};

const PR_SET_DUMPABLE: usize = 4;
const PR_SET_NAME: usize = 15;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_GET_NO_NEW_PRIVS: usize = 39;
const PR_CAP_AMBIENT: usize = 47;

fn prctl(option: usize, argument: usize) -> Result<usize> {
    plain(number::PRCTL, [option, argument, 0, 0, 0])
}

/// `prctl(PR_SET_DUMPABLE, 0)`: no core dumps, and only root of the host sees into it.
///
/// Errors: none that could come of these arguments. See PR_SET_DUMPABLE(2const).
pub(crate) fn hide_memory() -> Result<()> {
    prctl(PR_SET_DUMPABLE, 0).map(drop)
}

/// `prctl(PR_SET_NAME, name)`.
///
/// Errors: none that could come of these arguments. See PR_SET_NAME(2const).
pub(crate) fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: `name` is a C string that is borrowed for the call, and the kernel copies 16 bytes of it at most.
    unsafe { call(number::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0]) }.map(drop)
}

/// `prctl(PR_SET_NO_NEW_PRIVS, 1)`, and reads back that it holds.
///
/// Errors: `EPERM` where the kernel says that it does not hold. See PR_SET_NO_NEW_PRIVS(2const).
pub(crate) fn forbid_new_privileges() -> Result<()> {
    prctl(PR_SET_NO_NEW_PRIVS, 1)?;
    if prctl(PR_GET_NO_NEW_PRIVS, 0)? == 1 { Ok(()) } else { Err(Errno::PERM) }
}

/// `prctl(PR_CAPBSET_DROP)` of every capability that the kernel has: no program gives any of them.
///
/// Errors: `EPERM` without `CAP_SETPCAP`. See capabilities(7).
pub(crate) fn empty_bounding_set() -> Result<()> {
    for capability in 0..64 {
        match prctl(PR_CAPBSET_DROP, capability) {
            // One past the last that the kernel has.
            Err(Errno::INVAL) if capability != 0 => break,
            dropped => dropped.map(drop)?,
        }
    }
    Ok(())
}

/// `capset(none, none, none)` and `PR_CAP_AMBIENT_CLEAR_ALL`, and reads nothing back: a set that is given up is empty.
///
/// Errors: none that could come of these arguments. See capset(2).
pub(crate) fn give_up_capabilities() -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    const CLEAR_ALL: usize = 4;
    let (head, none) = ([VERSION_3, 0], [0_u32; 6]);
    // SAFETY: `head` is a `struct __user_cap_header_struct` and `none` two `struct __user_cap_data_struct`; both outlive
    // the call. The kernel writes to the head only where the version is unknown.
    unsafe { call(number::CAPSET, [head.as_ptr() as usize, none.as_ptr() as usize]) }?;
    prctl(PR_CAP_AMBIENT, CLEAR_ALL).map(drop)
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, null)`: a keyring of its own that nobody else has.
///
/// Errors: `EDQUOT` at the user's quota, `ENOSYS` where the kernel has no keys. See keyctl(2).
pub(crate) fn join_own_keyring() -> Result<()> {
    const JOIN_SESSION: usize = 1;
    plain(number::KEYCTL, [JOIN_SESSION, 0]).map(drop)
}

/// `setgroups(groups)`; `list` holds four bytes of each, in the machine's order. Reads back that it holds.
///
/// Errors: `EPERM` without `CAP_SETGID`, or where the kernel has others; `EINVAL` for too many. See setgroups(2).
pub(crate) fn set_groups(list: &[u8]) -> Result<()> {
    // The kernel reads numbers of four bytes from any address that user space may have.
    let count = list.len() / 4;
    // SAFETY: `list` is readable memory of `count` times four bytes that is borrowed for the call.
    unsafe { call(number::SETGROUPS, [count, list.as_ptr() as usize]) }?;
    let found = plain(number::GETGROUPS, [0, 0])?;
    if found == count { Ok(()) } else { Err(Errno::PERM) }
}

/// `setresgid(gid, gid, gid)`, and reads back that it holds.
///
/// Errors: `EPERM` without `CAP_SETGID`, or where the kernel has another. See setresgid(2).
pub(crate) fn set_gid(gid: u64) -> Result<()> {
    let gid = u32::try_from(gid).map_err(|_| Errno::INVAL)?;
    plain(number::SETRESGID, [gid as usize; 3])?;
    if ids(number::GETRESGID)? == [gid; 3] { Ok(()) } else { Err(Errno::PERM) }
}

/// `setresuid(real, effective, saved)`, and reads back that it holds. Its capabilities stay with an effective 0.
///
/// Errors: `EPERM` without `CAP_SETUID`, or where the kernel has others; `EAGAIN`. See setresuid(2).
pub(crate) fn set_uids(wanted: [u32; 3]) -> Result<()> {
    plain(number::SETRESUID, wanted.map(|uid| uid as usize))?;
    if ids(number::GETRESUID)? == wanted { Ok(()) } else { Err(Errno::PERM) }
}

/// Whether this process can become root by its ids, which changes them where it can.
pub(crate) fn can_become_root() -> bool {
    const SAME: usize = u32::MAX as usize;
    let became = |wanted: [usize; 3]| plain(number::SETRESUID, wanted).is_ok();
    let is_root = || ids(number::GETRESUID).map_or(true, |uids| uids.contains(&0));
    is_root() || became([0, SAME, SAME]) || became([SAME, 0, SAME]) || became([SAME, SAME, 0])
}

/// Real, effective and saved id, by `getresuid` or `getresgid`.
fn ids(number: usize) -> Result<[u32; 3]> {
    let mut found = [u32::MAX; 3];
    let at = |which: usize| &raw const found[which] as usize;
    let args = [at(0), at(1), at(2)];
    // SAFETY: each argument is the address of four writable bytes that outlive the call.
    unsafe { call(number, args) }?;
    // Read anew: the compiler did not see the kernel write.
    for id in &mut found {
        // SAFETY: `id` is an initialised number that is borrowed here alone.
        *id = unsafe { core::ptr::read_volatile(id) };
    }
    Ok(found)
}
