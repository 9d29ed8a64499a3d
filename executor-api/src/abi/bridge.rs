//! A plugin behind the border: what [`export_executor!`](crate::export_executor) puts around an author's type.

use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RStr, RString};

use super::guard::{guard, words};
use super::log::HostLog;
use super::object::{AbiHostBox, AbiPlugin, AbiPlugin_TO, AbiPluginBox, AbiResult, AbiTask};
use super::phase::Phase;
use super::poison::{Poison, drop_guarded, drop_result};
use super::slot::{Slot, read, write};
use crate::error::Result;
use crate::id::TaskId;
use crate::plugin::{Host, HostSettings, LogLevel, Plugin};
use crate::support::Capabilities;

/// A plugin behind the border.
struct Bridge<P: Plugin> {
    plugin: ManuallyDrop<P>,
    capabilities: OnceLock<Arc<Capabilities>>,
    log: HostLog,
    poison: Poison,
}

impl<P: Plugin> Bridge<P> {
    /// The plugin's report on this host: the one that the host has already, else asked for once.
    fn capabilities(&self) -> Result<Arc<Capabilities>> {
        if let Some(known) = self.capabilities.get() {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(self.plugin.probe()?);
        Ok(Arc::clone(self.capabilities.get_or_init(|| found)))
    }

    fn task(&self, task: P::Task, capabilities: Arc<Capabilities>, phase: Phase) -> AbiTask {
        Slot::object(Box::new(task), capabilities, self.log.clone(), phase)
    }
}

impl<P: Plugin> AbiPlugin for Bridge<P> {
    fn probe(&self) -> AbiResult<RString> {
        self.poison.enter("probe", || write(&*self.capabilities()?))
    }

    fn create(&self, id: RStr<'_>) -> AbiResult<AbiTask> {
        self.poison.enter("create", || {
            let capabilities = self.capabilities()?;
            let task = self.plugin.create(&id.as_str().parse::<TaskId>()?)?;
            Ok(self.task(task, capabilities, Phase::Created))
        })
    }

    fn open(&self, id: RStr<'_>) -> AbiResult<AbiTask> {
        // Even after a panic elsewhere: a running task must stay within reach.
        self.poison.enter_always("open", || {
            let task = self.plugin.open(&id.as_str().parse::<TaskId>()?)?;
            // A report that cannot be had must not keep a running task out of reach: it then admits nothing new.
            let capabilities = self.capabilities().unwrap_or_default();
            Ok(self.task(task, capabilities, Phase::Opened))
        })
    }
}

impl<P: Plugin> Drop for Bridge<P> {
    fn drop(&mut self) {
        // SAFETY: this is the only place that drops the field, and `self` is not used afterwards.
        drop_guarded("drop the plugin", &self.log, || unsafe { ManuallyDrop::drop(&mut self.plugin) });
    }
}

/// The module's `init`: makes the plugin and sends this library's panics to the host's log.
pub fn init<P: Plugin>(host: AbiHostBox, settings: RStr<'_>) -> AbiResult<AbiPluginBox> {
    guard("init", || {
        let log = HostLog::new(host);
        forward_panics(log.clone());
        object::<P>(log, settings)
    })
}

/// The plugin behind the border.
pub(super) fn object<P: Plugin>(log: HostLog, settings: RStr<'_>) -> Result<AbiPluginBox> {
    let settings: HostSettings = read("host settings", settings)?;
    let capabilities = settings.probed.clone().map(|known| OnceLock::from(Arc::new(known))).unwrap_or_default();
    let plugin = P::init(Host::new(settings, log.clone()))?;
    let bridge = Bridge { plugin: ManuallyDrop::new(plugin), capabilities, log, poison: Poison::default() };
    Ok(AbiPlugin_TO::from_value(bridge, TD_Opaque))
}

/// A cdylib has a panic hook of its own: without this one it would print to the host's standard error.
fn forward_panics(log: HostLog) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = words(panic.payload());
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        drop_result(log.write(LogLevel::Error, &format!("panic at {place}: {message}")));
    }));
}
