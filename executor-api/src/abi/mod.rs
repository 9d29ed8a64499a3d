//! The border between host and plugin. Not for authors and hosts: they use the plain types of this crate.
//!
//! Owns every type that crosses, the glue on both sides, and the checks before the first call. All `abi_stable` types of
//! the project are here. Follows `abi_stable` 0.11's rules for prefix types; ARCHITECTURE.md, "The border", says what
//! may change within a major.

mod attach;
mod bridge;
mod difference;
pub(crate) mod export;
mod guard;
mod log;
mod metadata;
mod object;
mod phase;
mod poison;
mod slot;
#[cfg(test)]
mod tests;
mod types;

pub use abi_stable::library::{LibHeader, RootModuleResult};
pub use abi_stable::std_types::RStr;
pub use attach::{PluginHandle, ROOT_SYMBOL, Refusal, TaskHandle, attach};
pub use bridge::init;
pub use export::{construct, header, module};
pub use log::{HostLog, LogSink};
pub use metadata::{API_VERSION, METADATA_SECTION, METADATA_SIZE, PluginMetadata, metadata};
pub use object::{AbiHostBox, AbiPluginBox, AbiResult, ExecutorModRef};
