//! What a plugin's library exports.

use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::RStr;

use super::metadata::{METADATA_SIZE, metadata_text};
use super::object::{AbiHostBox, AbiPluginBox, AbiResult, ExecutorMod, ExecutorModRef};

/// The entry that makes a plugin.
pub type InitEntry = extern "C" fn(AbiHostBox, RStr<'_>) -> AbiResult<AbiPluginBox>;

/// The module of a plugin.
#[must_use]
pub fn module(metadata: &'static [u8; METADATA_SIZE], init: InitEntry) -> ExecutorModRef {
    ExecutorMod { metadata: metadata_text(metadata).into(), init }.leak_into_prefix()
}

/// Makes the module with `make`, once, guarded.
#[must_use]
pub fn construct(make: fn() -> ExecutorModRef) -> RootModuleResult {
    __call_root_module_loader(make)
}

/// The header that a loader looks for, with the whole layout to check.
#[must_use]
pub const fn header(constructor: extern "C" fn() -> RootModuleResult) -> LibHeader {
    // SAFETY: `export_executor!` passes a constructor that returns an `ExecutorModRef`, the type named here.
    unsafe { LibHeader::from_constructor::<ExecutorModRef>(constructor, CheckTypeLayout::Yes) }
}

/// Exports a [`Plugin`](crate::Plugin) from this library: the symbol, the metadata, and the glue around it.
///
/// Once in a `cdylib` crate, whose file is to be named `libexecutor_<name>.so`. The name is 1 to 32 of `a-z 0-9 _`, the
/// version is the crate's own. A crate built with `panic = "abort"` does not compile: a panic in it would end the host.
///
/// # Examples
///
/// ```
/// # use executor_api::{Capabilities, Error, Executor, Host, Outcome, Plugin, Resources, Result, StdioFds, TaskId, TaskSpec};
/// # use std::time::Duration;
/// # struct Task;
/// # impl Executor for Task {
/// #     fn limit(&self, _: &Resources) -> Result<()> { Ok(()) }
/// #     fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> { Ok(()) }
/// #     fn wait(&self, _: Option<Duration>) -> Result<Option<Outcome>> { Ok(None) }
/// #     fn shutdown(&self, _: Duration) -> Result<()> { Ok(()) }
/// #     fn force_stop(&self) -> Result<()> { Ok(()) }
/// # }
/// struct Mine;
/// impl Plugin for Mine {
///     // …
/// #     type Task = Task;
/// #     fn init(_: Host) -> Result<Self> { Ok(Self) }
/// #     fn probe(&self) -> Result<Capabilities> { Ok(Capabilities::usable(5)) }
/// #     fn create(&self, _: &TaskId) -> Result<Task> { Ok(Task) }
/// #     fn open(&self, id: &TaskId) -> Result<Task> { Err(Error::unsupported(&format!("open {id}"))) }
/// }
/// executor_api::export_executor! { name: "mine", plugin: Mine }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_executor {
    (name: $name:literal, plugin: $plugin:ty $(,)?) => {
        const _: () = {
            #[cfg(not(panic = "unwind"))]
            ::core::compile_error!(
                "an executor plugin must be built with panic = \"unwind\": its panics would end the host"
            );

            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__executor"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".executor_plugin"))]
            static METADATA: [u8; $crate::abi::METADATA_SIZE] =
                $crate::abi::metadata($name, ::core::env!("CARGO_PKG_VERSION"));

            extern "C" fn init(
                host: $crate::abi::AbiHostBox,
                settings: $crate::abi::RStr<'_>,
            ) -> $crate::abi::AbiResult<$crate::abi::AbiPluginBox> {
                $crate::abi::init::<$plugin>(host, settings)
            }

            fn module() -> $crate::abi::ExecutorModRef {
                $crate::abi::module(&METADATA, init)
            }

            extern "C" fn construct() -> $crate::abi::RootModuleResult {
                $crate::abi::construct(module)
            }

            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static EXECUTOR_ROOT: $crate::abi::LibHeader = $crate::abi::header(construct);
        };
    };
}
