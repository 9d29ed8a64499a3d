//! Mounts, by descriptor, and the root.

use core::ffi::CStr;

use super::{Errno, Fd, Result, call, number, plain};

pub(crate) const READ_ONLY: u32 = 0x1;
pub(crate) const NO_SUID: u32 = 0x2;
pub(crate) const NO_DEVICES: u32 = 0x4;
pub(crate) const NO_EXEC: u32 = 0x8;

const AT_EMPTY_PATH: usize = 0x1000;

/// `mount(none, "/", MS_REC | MS_PRIVATE)`: nothing that is mounted here is seen by another namespace, nor the reverse.
///
/// Errors: `EPERM` without `CAP_SYS_ADMIN`. See mount(2).
pub(crate) fn make_all_private() -> Result<()> {
    const MS_REC_PRIVATE: usize = 0x4000 | 1 << 18;
    let none = c"none".as_ptr() as usize;
    // SAFETY: the strings are constants; type and data are null, which this use of the call does not look at.
    unsafe { call(number::MOUNT, [none, c"/".as_ptr() as usize, 0, MS_REC_PRIVATE, 0]) }.map(drop)
}

/// A filesystem of the type `kind` with these options, each a name and a value, mounted nowhere yet.
///
/// Errors: `ENODEV` for an unknown type, `EINVAL` for an unknown option, `EPERM`. See fsopen(2), fsconfig(2), fsmount(2).
pub(crate) fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], flags: u32) -> Result<Fd> {
    const CLOEXEC: usize = 1;
    const SET_STRING: usize = 1;
    const CREATE: usize = 6;
    // SAFETY: `kind` is a C string that is borrowed for the call.
    let context = unsafe { call(number::FSOPEN, [kind.as_ptr() as usize, CLOEXEC]) }?;
    let made = (|| {
        for (name, value) in options {
            let (name, value) = (name.as_ptr() as usize, value.as_ptr() as usize);
            // SAFETY: both are C strings that are borrowed for the call, and the kernel copies them.
            unsafe { call(number::FSCONFIG, [context, SET_STRING, name, value, 0]) }?;
        }
        plain(number::FSCONFIG, [context, CREATE, 0, 0, 0])?;
        plain(number::FSMOUNT, [context, CLOEXEC, flags as usize])
    })();
    super::close(Fd(context as i32));
    Ok(Fd(made? as i32))
}

/// `move_mount(mount, target)`: puts a mount that is nowhere, or elsewhere, at the directory or file `target`.
///
/// Errors: `EINVAL` where it is not of this namespace and is somewhere, `ENOTDIR` for a directory onto a file. See
/// move_mount(2).
pub(crate) fn put(mount: Fd, target: Fd) -> Result<()> {
    const BOTH_EMPTY: usize = 0x04 | 0x40;
    let empty = c"".as_ptr() as usize;
    // SAFETY: both paths are constants of this program, and the kernel copies them.
    unsafe { call(number::MOVE_MOUNT, [mount.raw(), empty, target.raw(), empty, BOTH_EMPTY]) }.map(drop)
}

/// `move_mount(mount, "/")`: puts it over the root of this process, which still sees what lies beneath.
///
/// Errors: as for [`put`].
pub(crate) fn put_over_root(mount: Fd) -> Result<()> {
    const FROM_EMPTY: usize = 0x04;
    let (empty, root) = (c"".as_ptr() as usize, c"/".as_ptr() as usize);
    // SAFETY: both paths are constants of this program, and the kernel copies them.
    unsafe { call(number::MOVE_MOUNT, [mount.raw(), empty, Fd::HERE.raw(), root, FROM_EMPTY]) }.map(drop)
}

/// `mount_setattr(mount, set)`: sets these flags on one mount.
///
/// Errors: `EINVAL` for a descriptor that is none of a mount, `ENOSYS` before Linux 5.12. See mount_setattr(2).
pub(crate) fn restrict_mount(mount: Fd, flags: u32) -> Result<()> {
    let attributes = [u64::from(flags), 0, 0, 0];
    let (empty, at) = (c"".as_ptr() as usize, attributes.as_ptr() as usize);
    let args = [mount.raw(), empty, AT_EMPTY_PATH, at, size_of_val(&attributes)];
    // SAFETY: the path is a constant; `attributes` is a `struct mount_attr` of the size that is given, and the kernel
    // copies it.
    unsafe { call(number::MOUNT_SETATTR, args) }.map(drop)
}

/// Makes `root` the only mount of this namespace, whose old root is unmounted when nobody uses it any more.
///
/// Errors: `EINVAL` where the root is the first of all, as in an initial ramdisk. See pivot_root(2).
pub(crate) fn replace_root(root: Fd) -> Result<()> {
    const MNT_DETACH: usize = 2;
    put_over_root(root)?;
    enter(root)?;
    let here = c".".as_ptr() as usize;
    // SAFETY: both paths are constants of this program, and the kernel copies them.
    unsafe { call(number::PIVOT_ROOT, [here, here]) }?;
    // SAFETY: the path is a constant of this program, and the kernel copies it.
    unsafe { call(number::UMOUNT2, [here, MNT_DETACH]) }.map(drop)
}

/// `fchdir(directory)`.
///
/// Errors: `EACCES`, `ENOTDIR`. See fchdir(2).
pub(crate) fn enter(directory: Fd) -> Result<()> {
    plain(number::FCHDIR, [directory.raw()]).map(drop)
}

/// `chdir(path)`.
///
/// Errors: `ENOENT`, `ENOTDIR`, `EACCES`. See chdir(2).
pub(crate) fn enter_path(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a C string that is borrowed for the call.
    unsafe { call(number::CHDIR, [path.as_ptr() as usize]) }.map(drop)
}

/// `chroot(".")`: the working directory becomes the root.
///
/// Errors: `EPERM` without `CAP_SYS_CHROOT`. See chroot(2).
pub(crate) fn root_here() -> Result<()> {
    // SAFETY: the path is a constant of this program, and the kernel copies it.
    unsafe { call(number::CHROOT, [c".".as_ptr() as usize]) }.map(drop)
}

/// `unshare(flags)`.
///
/// Errors: `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` at the limit of namespaces. See unshare(2).
pub(crate) fn unshare(flags: u64) -> Result<()> {
    plain(number::UNSHARE, [usize::try_from(flags).map_err(|_| Errno::INVAL)?]).map(drop)
}

/// `sethostname(name)`.
///
/// Errors: `EPERM`, `EINVAL` for a name that is too long. See sethostname(2).
pub(crate) fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: `name` is readable memory of the length that is given and is borrowed for the call.
    unsafe { call(number::SETHOSTNAME, [name.as_ptr() as usize, name.len()]) }.map(drop)
}
