//! Files and descriptors.

use core::ffi::CStr;

use super::{Errno, Fd, Result, call, number, plain};

pub(crate) const O_RDONLY: u32 = 0;
pub(crate) const O_WRONLY: u32 = 1;
/// `O_PATH | O_CLOEXEC`.
pub(crate) const O_PATH: u32 = 0o12_000_000;
/// The machine's own: `O_DIRECTORY` and `O_CLOEXEC`.
pub(crate) const O_DIRECTORY: u32 = if cfg!(target_arch = "aarch64") { 0o40_000 } else { 0o200_000 };
pub(crate) const O_CLOEXEC: u32 = 0o2_000_000;

/// `openat(directory, path, flags | O_CLOEXEC)`; creates nothing.
///
/// Errors: `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE`. See openat(2).
pub(crate) fn openat(directory: Fd, path: &CStr, flags: u32) -> Result<Fd> {
    let flags = (flags | O_CLOEXEC) as usize;
    // SAFETY: `path` is a C string that is borrowed for the call, and the kernel copies it.
    let fd = unsafe { call(number::OPENAT, [directory.raw(), path.as_ptr() as usize, flags, 0]) }?;
    Ok(Fd(fd as i32))
}

/// `openat2(root, path, O_PATH | flags)` within `root`: no link is followed, and nothing leads out.
///
/// Errors: `ELOOP` for a link, `EXDEV` for a way out, `ENOENT`, `ENOTDIR`, `ENOSYS` before Linux 5.6. See openat2(2).
pub(crate) fn open_within(root: Fd, path: &CStr, flags: u32) -> Result<Fd> {
    /// `RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT`.
    const RESOLVE: u64 = 0x02 | 0x04 | 0x10;
    let how = [u64::from(flags | O_PATH | O_CLOEXEC), 0, RESOLVE];
    let (path, how_at) = (path.as_ptr() as usize, how.as_ptr() as usize);
    // SAFETY: `path` is a C string and `how` a `struct open_how` of the size that is given; both outlive the call, and the
    // kernel copies them.
    let fd = unsafe { call(number::OPENAT2, [root.raw(), path, how_at, size_of_val(&how)]) }?;
    Ok(Fd(fd as i32))
}

/// `close(fd)`. Whatever it answers, the descriptor is gone. See close(2).
pub(crate) fn close(fd: Fd) {
    // EBADF is the only answer that could matter, and says that it is closed.
    _ = plain(number::CLOSE, [fd.raw()]);
}

/// `close_range(first, all, 0)`.
///
/// Errors: `ENOSYS` before Linux 5.9. See close_range(2).
pub(crate) fn close_from(first: u32) -> Result<()> {
    plain(number::CLOSE_RANGE, [first as usize, u32::MAX as usize, 0]).map(drop)
}

/// `dup3(from, to)`, closing with execve or not; the same number twice is left as it is.
///
/// Errors: `EBADF`; `EINVAL` for the same number twice. See dup3(2).
pub(crate) fn dup_onto(from: Fd, to: Fd, closes: bool) -> Result<()> {
    let flags = if closes { O_CLOEXEC as usize } else { 0 };
    plain(number::DUP3, [from.raw(), to.raw(), flags]).map(drop)
}

/// `read(fd, room)`; zero at the end.
///
/// Errors: `EAGAIN`, `EINTR`, `EIO`. See read(2).
pub(crate) fn read(fd: Fd, room: &mut [u8]) -> Result<usize> {
    // SAFETY: `room` is writable memory of the length that is given and is borrowed for the call.
    unsafe { call(number::READ, [fd.raw(), room.as_mut_ptr() as usize, room.len()]) }
}

/// `pread64(fd, room, 0)`: the beginning of a file.
///
/// Errors: `ENODEV` for a file of a group that is gone, `EIO`. See pread(2).
pub(crate) fn read_beginning(fd: Fd, room: &mut [u8]) -> Result<usize> {
    // SAFETY: `room` is writable memory of the length that is given and is borrowed for the call.
    unsafe { call(number::PREAD64, [fd.raw(), room.as_mut_ptr() as usize, room.len(), 0]) }
}

/// `write(fd, bytes)`; a part written is `EIO`.
///
/// Errors: what the file says: `EAGAIN`, `ENOSPC`, `EPIPE`, and for the files of groups `EBUSY`, `ENODEV`. See write(2).
pub(crate) fn write(fd: Fd, bytes: &[u8]) -> Result<()> {
    // SAFETY: `bytes` is readable memory of the length that is given and is borrowed for the call.
    let written = unsafe { call(number::WRITE, [fd.raw(), bytes.as_ptr() as usize, bytes.len()]) }?;
    if written == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// `pwrite64(fd, bytes, 0)`: replaces the beginning of a file at once; a part written is `EIO`.
///
/// Errors: `ENOSPC`, `EIO`. See pwrite(2).
pub(crate) fn write_beginning(fd: Fd, bytes: &[u8]) -> Result<()> {
    // SAFETY: `bytes` is readable memory of the length that is given and is borrowed for the call.
    let written = unsafe { call(number::PWRITE64, [fd.raw(), bytes.as_ptr() as usize, bytes.len(), 0]) }?;
    if written == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// `unlinkat(parent, name, AT_REMOVEDIR)`.
///
/// Errors: `EBUSY` for a group that still has a process, `ENOTEMPTY`, `ENOENT`. See unlinkat(2).
pub(crate) fn remove_directory(parent: Fd, name: &CStr) -> Result<()> {
    const AT_REMOVEDIR: usize = 0x200;
    // SAFETY: `name` is a C string that is borrowed for the call, and the kernel copies it.
    unsafe { call(number::UNLINKAT, [parent.raw(), name.as_ptr() as usize, AT_REMOVEDIR]) }.map(drop)
}

/// `mknodat(directory, name, S_IFCHR | 0666, 1:minor)`: one of the memory devices; the umask is 0.
///
/// Errors: `EPERM` in a user namespace, `EEXIST`. See mknodat(2).
pub(crate) fn make_device(directory: Fd, name: &CStr, minor: usize) -> Result<()> {
    const CHARACTER_0666: usize = 0o020_666;
    const MEMORY: usize = 1 << 8;
    let name = name.as_ptr() as usize;
    // SAFETY: `name` is a C string that is borrowed for the call, and the kernel copies it.
    unsafe { call(number::MKNODAT, [directory.raw(), name, CHARACTER_0666, MEMORY | minor]) }.map(drop)
}

/// `symlinkat(target, directory, name)`.
///
/// Errors: `EEXIST`, `EROFS`. See symlinkat(2).
pub(crate) fn make_link(target: &CStr, directory: Fd, name: &CStr) -> Result<()> {
    let (target, name) = (target.as_ptr() as usize, name.as_ptr() as usize);
    // SAFETY: both are C strings that are borrowed for the call, and the kernel copies them.
    unsafe { call(number::SYMLINKAT, [target, directory.raw(), name]) }.map(drop)
}

/// `getdents64(directory, room)`: as many entries as fit; zero bytes at the end.
///
/// Errors: `EINVAL` for room that is too small, `ENOTDIR`. See getdents(2).
pub(crate) fn entries(directory: Fd, room: &mut [u8]) -> Result<usize> {
    // SAFETY: `room` is writable memory of the length that is given and is borrowed for the call.
    unsafe { call(number::GETDENTS64, [directory.raw(), room.as_mut_ptr() as usize, room.len()]) }
}

/// `mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)`: this process's own copy of a file, for as long as it lives.
///
/// Errors: `ENOMEM`, `EACCES` for a file that is not readable. See mmap(2).
pub(crate) fn map_copy(fd: Fd, size: usize) -> Result<&'static mut [u8]> {
    const READ_WRITE: usize = 0x3;
    const PRIVATE: usize = 0x02;
    // SAFETY: without a wanted address the kernel picks one that nothing else has.
    let at = unsafe { call(number::MMAP, [0, size, READ_WRITE, PRIVATE, fd.raw(), 0]) }?;
    // SAFETY: the kernel has just mapped `size` bytes there, readable and writable, for nobody but this slice; they are
    // never unmapped. The file is sealed by its maker, so it does not shrink.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, size) })
}
