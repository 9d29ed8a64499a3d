//! The way of a log line from a plugin to its host, guarded on both ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RResult, RStr};

use super::guard::catch;
use super::object::{AbiHost, AbiHost_TO, AbiHostBox, AbiResult};
use super::types::AbiError;
use crate::error::{Error, Result};
use crate::plugin::LogLevel;

/// The numbers of the levels. Never change one; a higher number reads as `Debug`.
const LEVELS: [(u32, LogLevel); 4] =
    [(1, LogLevel::Error), (2, LogLevel::Warn), (3, LogLevel::Info), (4, LogLevel::Debug)];

/// A plugin's end: writes lines to the host.
#[derive(Clone)]
pub struct HostLog(Arc<AbiHostBox>);

impl HostLog {
    pub(super) fn new(host: AbiHostBox) -> Self {
        Self(Arc::new(host))
    }

    pub(crate) fn write(&self, level: LogLevel, message: &str) -> Result<()> {
        let number = LEVELS.iter().find(|(_, known)| *known == level).map_or(4, |(number, _)| *number);
        match self.0.log(number, message.into()) {
            RResult::ROk(()) => Ok(()),
            RResult::RErr(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for HostLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostLog")
    }
}

/// Takes a plugin's log lines: the level and the message. Called from any thread.
pub type LogSink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// The host's end: a sink that may panic, and what it last panicked with.
#[derive(Clone)]
pub(super) struct HostCallbacks {
    sink: LogSink,
    panicked: Arc<Mutex<Option<Error>>>,
}

impl HostCallbacks {
    pub(super) fn new(sink: LogSink) -> Self {
        Self { sink, panicked: Arc::default() }
    }

    /// The object that is handed to the plugin.
    pub(super) fn object(&self) -> AbiHostBox {
        AbiHost_TO::from_value(self.clone(), TD_Opaque)
    }

    /// What the sink last panicked with.
    pub(super) fn panicked(&self) -> Option<Error> {
        self.panicked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AbiHost for HostCallbacks {
    fn log(&self, level: u32, message: RStr<'_>) -> AbiResult<()> {
        let level = LEVELS.iter().find(|(number, _)| *number == level).map_or(LogLevel::Debug, |(_, level)| *level);
        let written = catch("write to the host's log", || {
            (self.sink)(level, message.as_str());
            Ok(())
        });
        if let Err(error) = &written {
            *self.panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        written.map_err(AbiError::from).into()
    }
}
