//! The objects whose methods cross the border, and the module that a library exports.
//!
//! Frozen: methods and fields are added at the end only, methods with a default body, fields behind the last prefix
//! field; nothing is moved, renamed or given another type within a major. `layout.txt` beside the fixtures pins it.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, RResult, RStr, RString};
use abi_stable::{package_version_strings, sabi_trait};

use super::types::{AbiError, AbiExit, AbiStats, AbiStdio, AbiWaitable};

/// A task behind the border.
pub type AbiTask = AbiExecutor_TO<'static, RBox<()>>;
/// A plugin behind the border.
pub type AbiPluginBox = AbiPlugin_TO<'static, RBox<()>>;
/// The host, as a plugin sees it.
pub type AbiHostBox = AbiHost_TO<'static, RBox<()>>;
/// What every entry returns.
pub type AbiResult<T> = RResult<T, AbiError>;

/// One task: [`Executor`](crate::Executor) with documents as JSON and times as integers.
#[sabi_trait]
pub trait AbiExecutor: Send + Sync {
    fn limit(&self, resources: RStr<'_>) -> RResult<(), AbiError>;
    fn configure_task_dir(&self, dir: RStr<'_>) -> RResult<(), AbiError>;
    fn start(&self, spec: RStr<'_>, stdio: AbiStdio) -> RResult<(), AbiError>;
    /// Milliseconds at most; -1 for ever.
    fn wait(&self, timeout_ms: i64) -> RResult<AbiExit, AbiError>;
    fn exit_handle(&self) -> RResult<AbiWaitable, AbiError>;
    fn shutdown(&self, grace_ms: u64) -> RResult<(), AbiError>;
    fn force_stop(&self) -> RResult<(), AbiError>;
    fn command(&self) -> RResult<RString, AbiError>;
    #[sabi(last_prefix_field)]
    fn call(&self, operation: RStr<'_>, request: RStr<'_>) -> RResult<RString, AbiError>;
    // From here on, what executors have grown since the seed: a plugin built without one answers with the body here.
    fn applied(&self) -> RResult<RString, AbiError> {
        AbiError::unsupported("applied")
    }
    fn stats(&self) -> RResult<AbiStats, AbiError> {
        AbiError::unsupported("stats")
    }
    fn signal(&self, _signal: i32) -> RResult<(), AbiError> {
        AbiError::unsupported("signal")
    }
    fn update(&self, _resources: RStr<'_>) -> RResult<(), AbiError> {
        AbiError::unsupported("update")
    }
    fn pause(&self) -> RResult<(), AbiError> {
        AbiError::unsupported("pause")
    }
    fn resume(&self) -> RResult<(), AbiError> {
        AbiError::unsupported("resume")
    }
    fn exec(&self, _spec: RStr<'_>, _stdio: AbiStdio) -> RResult<AbiTask, AbiError> {
        AbiError::unsupported("exec")
    }
    // Methods of later versions: below, in the same manner.
}

/// A plugin: [`Plugin`](crate::Plugin) behind the border.
#[sabi_trait]
pub trait AbiPlugin: Send + Sync {
    fn probe(&self) -> RResult<RString, AbiError>;
    fn create(&self, id: RStr<'_>) -> RResult<AbiTask, AbiError>;
    #[sabi(last_prefix_field)]
    fn open(&self, id: RStr<'_>) -> RResult<AbiTask, AbiError>;
}

/// The host's side: what a plugin may call back.
#[sabi_trait]
pub trait AbiHost: Send + Sync {
    /// Levels: 1 error, 2 warn, 3 info, 4 debug.
    #[sabi(last_prefix_field)]
    fn log(&self, level: u32, message: RStr<'_>) -> RResult<(), AbiError>;
}

/// What a plugin library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ExecutorModRef)))]
#[sabi(missing_field(option))]
pub struct ExecutorMod {
    /// The metadata, as in the library's `.executor_plugin` section.
    pub metadata: RStr<'static>,
    /// Makes the plugin. `settings` is the JSON of [`HostSettings`](crate::plugin::HostSettings).
    #[sabi(last_prefix_field)]
    pub init: extern "C" fn(host: AbiHostBox, settings: RStr<'_>) -> RResult<AbiPluginBox, AbiError>,
}

impl RootModule for ExecutorModRef {
    abi_stable::declare_root_module_statics! {ExecutorModRef}
    const BASE_NAME: &'static str = "executor";
    const NAME: &'static str = "executor";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
