//! The host's side of the border: checks a library's module, makes its plugin, and gives plain Rust types for it.

use std::ffi::c_void;
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, LibHeader, RootModule};
use abi_stable::std_types::{RResult, RString};
use abi_stable::type_layout::TypeLayout;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::difference;
use super::log::{HostCallbacks, LogSink};
use super::metadata::PluginMetadata;
use super::object::{AbiPluginBox, AbiTask, ExecutorModRef};
use super::types::{AbiError, AbiStdio};
use crate::error::{Error, ErrorKind, Result};
use crate::id::TaskId;
use crate::limits::Resources;
use crate::outcome::Outcome;
use crate::plugin::HostSettings;
use crate::spec::{CommandLine, StdioFds, TaskSpec};
use crate::support::{Applied, Capabilities};
use crate::task_dir::TaskDir;
use crate::units::Signal;
use crate::usage::Usage;

/// The symbol that a plugin library exports, NUL at the end.
pub const ROOT_SYMBOL: &[u8] = b"_1as_0lib_1header_0root_bmodule_bloader\0";

// The name is written out above and in `export_executor!`; this fails to compile if abi_stable ever changes it.
const _: () = {
    let expected = abi_stable::library::ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes();
    assert!(expected.len() == ROOT_SYMBOL.len());
    let mut at = 0;
    while at < expected.len() {
        assert!(expected[at] == ROOT_SYMBOL[at]);
        at += 1;
    }
};

/// Why a library is not a plugin that this host can use. `Display` is one line; `report` may be hundreds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The reason, on one line.
    pub why: String,
    /// Everything that is known, for whoever builds the plugin; often empty.
    pub report: String,
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), report: String::new() }
    }
}

/// Checks the module behind `symbol`, and makes its plugin.
///
/// # Errors
///
/// [`Refusal`] for a symbol that is no module of this ABI, another major version, another layout, a module whose
/// metadata is not `expected` (the file on disk and the loaded code differ), or an `init` that failed.
///
/// # Safety
///
/// `symbol` is the address of [`ROOT_SYMBOL`] in a library that stays loaded for the rest of the process, and at least
/// 40 bytes are readable there.
pub unsafe fn attach(
    symbol: *const c_void,
    expected: &PluginMetadata,
    settings: &HostSettings,
    sink: LogSink,
) -> std::result::Result<PluginHandle, Refusal> {
    if symbol.is_null() || !symbol.cast::<LibHeader>().is_aligned() {
        return Err(Refusal::new("its root module has no valid address"));
    }
    // SAFETY: `AbiHeaderRef` is a transparent reference to a static; the caller promises a readable one that is never
    // unmapped, and null and alignment were checked above.
    let header = unsafe { std::mem::transmute::<*const c_void, AbiHeaderRef>(symbol) };
    if !header.is_valid() {
        return Err(Refusal::new("its root module is not of this ABI (abi_stable 0.11)"));
    }
    let library = header.upgrade().map_err(|error| Refusal::new(format!("its C ABI differs: {error}")))?;
    let theirs = library.layout().ok_or_else(|| Refusal::new("it carries no layout to check"))?;
    check_major(library)?;
    check_layout(<ExecutorModRef as StableAbi>::LAYOUT, theirs)?;
    // SAFETY: the layout was checked in the line above, in the direction that suits an older or a newer plugin.
    let module = unsafe { library.init_root_module_with_unchecked_layout::<ExecutorModRef>() };
    let module = module.map_err(|error| Refusal::new(one_line(&format!("its root module cannot be made: {error}"))))?;
    let metadata = PluginMetadata::parse(module.metadata().as_str().as_bytes());
    if metadata.as_ref() != Ok(expected) {
        return Err(Refusal::new("the code that was loaded is not that of the file that was checked"));
    }
    let callbacks = HostCallbacks::new(sink);
    let json = to_json(settings).map_err(|error| Refusal::new(error.to_string()))?;
    match module.init()(callbacks.object(), json.as_str().into()) {
        RResult::ROk(object) => Ok(PluginHandle { object, callbacks }),
        RResult::RErr(error) => Err(Refusal::new(one_line(&Error::from(error).to_string()))),
    }
}

fn check_major(library: &LibHeader) -> std::result::Result<(), Refusal> {
    let ours = ExecutorModRef::VERSION_STRINGS.version;
    let theirs = library.version_strings().version;
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(ours.as_str()) == major(theirs.as_str()) {
        return Ok(());
    }
    Err(Refusal::new(format!("built for executor-api {theirs}, this host has {ours}")))
}

fn check_layout(ours: &'static TypeLayout, theirs: &'static TypeLayout) -> std::result::Result<(), Refusal> {
    difference::check(ours, theirs)
        .map_err(|(place, report)| Refusal { why: one_line(&format!("its layout differs at {place}")), report })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn to_json<T: Serialize>(document: &T) -> Result<String> {
    // Room for a task with an environment: growing to it costs as much as writing it.
    let mut json = Vec::with_capacity(4096);
    let failed = |why: String| Error::invalid("write a request", why);
    serde_json::to_writer(&mut json, document).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(json).map_err(|error| failed(error.to_string()))
}

fn from_json<T: DeserializeOwned>(what: &str, json: &RString) -> Result<T> {
    let act = || format!("read the plugin's {what}");
    serde_json::from_str(json.as_str()).map_err(|error| Error::new(ErrorKind::Internal, act(), error.to_string()))
}

fn plain<T>(answer: RResult<T, AbiError>) -> Result<T> {
    answer.into_result().map_err(Error::from)
}

/// Whole milliseconds, rounded up: a wait never returns early for rounding.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A plugin that was loaded, checked and made.
pub struct PluginHandle {
    object: AbiPluginBox,
    callbacks: HostCallbacks,
}

impl fmt::Debug for PluginHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PluginHandle")
    }
}

#[expect(missing_docs, reason = "each is the method of the same name in `Plugin`")]
impl PluginHandle {
    pub fn probe(&self) -> Result<Capabilities> {
        from_json("capabilities", &plain(self.object.probe())?)
    }

    pub fn create(&self, id: &TaskId) -> Result<TaskHandle> {
        plain(self.object.create(id.to_string().as_str().into())).map(TaskHandle)
    }

    pub fn open(&self, id: &TaskId) -> Result<TaskHandle> {
        plain(self.object.open(id.to_string().as_str().into())).map(TaskHandle)
    }

    /// The last panic of the host's own log sink, called by this plugin.
    pub fn callback_panic(&self) -> Option<Error> {
        self.callbacks.panicked()
    }
}

/// A task of a plugin that was loaded.
pub struct TaskHandle(AbiTask);

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskHandle")
    }
}

#[expect(missing_docs, reason = "each is the method of the same name in `Executor`")]
impl TaskHandle {
    pub fn limit(&self, resources: &Resources) -> Result<()> {
        self.limit_json(&to_json(resources)?)
    }

    pub fn limit_json(&self, resources: &str) -> Result<()> {
        plain(self.0.limit(resources.into()))
    }

    pub fn configure_task_dir(&self, dir: &TaskDir) -> Result<()> {
        plain(self.0.configure_task_dir(to_json(dir)?.as_str().into()))
    }

    pub fn start(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<()> {
        self.start_json(&to_json(spec)?, fds)
    }

    pub fn start_json(&self, spec: &str, fds: StdioFds<'_>) -> Result<()> {
        plain(self.0.start(spec.into(), AbiStdio::from(fds)))
    }

    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
        let timeout_ms = timeout.map_or(-1, |timeout| i64::try_from(millis(timeout)).unwrap_or(i64::MAX));
        plain(self.0.wait(timeout_ms)).map(Option::from)
    }

    pub fn exit_handle(&self) -> Result<OwnedFd> {
        plain(self.0.exit_handle())?.into_fd()
    }

    pub fn shutdown(&self, grace: Duration) -> Result<()> {
        plain(self.0.shutdown(millis(grace)))
    }

    pub fn force_stop(&self) -> Result<()> {
        plain(self.0.force_stop())
    }

    pub fn command(&self) -> Result<Vec<std::ffi::OsString>> {
        from_json::<CommandLine>("command", &plain(self.0.command())?).map(|line| line.words)
    }

    pub fn applied(&self) -> Result<Applied> {
        from_json("report", &plain(self.0.applied())?)
    }

    pub fn stats(&self) -> Result<Usage> {
        plain(self.0.stats()).map(Usage::from)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        plain(self.0.signal(signal.number()))
    }

    pub fn update(&self, resources: &Resources) -> Result<()> {
        plain(self.0.update(to_json(resources)?.as_str().into()))
    }

    pub fn pause(&self) -> Result<()> {
        plain(self.0.pause())
    }

    pub fn resume(&self) -> Result<()> {
        plain(self.0.resume())
    }

    pub fn exec(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<Self> {
        plain(self.0.exec(to_json(spec)?.as_str().into(), AbiStdio::from(fds))).map(Self)
    }

    pub fn call(&self, operation: &str, request: &str) -> Result<String> {
        plain(self.0.call(operation.into(), request.into())).map(RString::into_string)
    }
}
