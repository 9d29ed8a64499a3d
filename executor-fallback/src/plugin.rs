//! What the library `libexecutor_fallback.so` exports: the plugin, behind the stable interface.
//!
//! All of it is written by `export_executor!`; the plugin itself is in `executor.rs`. Nothing else belongs here.

executor_api::export_executor! { name: "fallback", plugin: crate::FallbackPlugin }
