//! Maps a checked library into this process and makes its plugin. The only place that runs a plugin's code here.
//!
//! A library is never unloaded: its threads and thread-locals would outlive its code. That holds for one that is refused
//! after it was mapped as well.

use std::error::Error as _;
use std::ffi::{OsString, c_void};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use executor_api::abi::{self, LogSink, PluginHandle, PluginMetadata, ROOT_SYMBOL};
use executor_api::plugin::HostSettings;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::refusal::{Refusal, Stage};
use crate::trust::TrustedFile;

/// By which name the dynamic linker is to find the checked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// By its path, which only trusted users can change: debuggers then see the true name.
    Path,
    /// By the very descriptor that was checked: what a digest promises must be what is mapped.
    Descriptor,
}

/// Loads `file`, whose metadata was read as `metadata`, and makes its plugin.
///
/// # Errors
///
/// A [`Refusal`] of the stage load (the dynamic linker refuses, or the file was replaced meanwhile) or init.
pub(crate) fn open(
    file: TrustedFile,
    metadata: &PluginMetadata,
    by: By,
    settings: &HostSettings,
    sink: LogSink,
) -> Result<PluginHandle, Refusal> {
    file.is_unchanged()?;
    let library = map(&file, by)?;
    // By path, a file that was swapped in between is mapped by now: it may not be used.
    file.is_unchanged()?;
    // SAFETY: the symbol is taken as an address alone, and `attach` checks what is there before it reads it as anything.
    let symbol = unsafe { library.get::<*const c_void>(ROOT_SYMBOL) };
    let symbol = symbol.map(|symbol| symbol.as_raw_ptr().cast_const());
    let address = symbol.map_err(|error| Refusal::new(Stage::Load, reason(&error)))?;
    mem::forget(library);
    // SAFETY: the library was just leaked, so it stays mapped; that the symbol is 40 bytes or more in a readable segment
    // was read from the same file before (elf.rs), whose identity has not changed.
    let attached = unsafe { abi::attach(address, metadata, settings, sink) };
    attached.map_err(|refusal| Refusal::new(Stage::Init, refusal.why).with_report(refusal.report))
}

fn map(file: &TrustedFile, by: By) -> Result<Library, Refusal> {
    let name = match by {
        By::Path => file.path.clone().into_os_string(),
        By::Descriptor => descriptor_name(file)?,
    };
    // SAFETY: running the library's constructors is the purpose; the file was checked, and the same file went through
    // this in a process of its own before. RTLD_NOW: a missing function is a refusal here and not a crash later.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
    library.map_err(|error| Refusal::new(Stage::Load, reason(&error)))
}

/// A name for the checked descriptor itself. The linker remembers libraries by name, so the number must stay taken for
/// the rest of the process: with a number used again it would hand out the earlier library.
fn descriptor_name(file: &TrustedFile) -> Result<OsString, Refusal> {
    let kept: OwnedFd = file
        .file
        .try_clone()
        .map(OwnedFd::from)
        .map_err(|error| Refusal::new(Stage::Load, format!("its descriptor cannot be kept: {error}")))?;
    let name = format!("/proc/self/fd/{}", kept.as_raw_fd());
    mem::forget(kept);
    Ok(name.into())
}

/// The dynamic linker's words, which are the innermost source.
fn reason(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
