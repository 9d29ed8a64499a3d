//! Which plugin files an operator allows: those on a list of digests, those signed with a key, or both.

use std::path::PathBuf;

use crate::lock::LockFile;
use crate::refusal::Refusal;
use crate::signature::Keys;
use crate::trust::TrustedFile;

/// What a file must show beside trusted owners; nothing, where the operator asks for nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    lock: Option<LockFile>,
    keys: Option<Keys>,
}

impl Allowed {
    /// Reads the list and the public keys that were named.
    ///
    /// # Errors
    ///
    /// A refusal for a file that cannot be read, is not trusted, or is not what it should be.
    pub(crate) fn read(lock: Option<PathBuf>, keys: &[PathBuf]) -> Result<Self, Refusal> {
        let lock = lock.as_deref().map(LockFile::read).transpose()?;
        let keys = (!keys.is_empty()).then(|| Keys::read(keys)).transpose()?;
        Ok(Self { lock, keys })
    }

    /// Whether anything is asked of the contents of a file.
    pub(crate) fn by_content(&self) -> bool {
        self.lock.is_some() || self.keys.is_some()
    }

    /// Checks `file` against all that is asked.
    ///
    /// # Errors
    ///
    /// A refusal when it is not on the list, or has no valid signature beside it.
    pub(crate) fn check(&self, file: &TrustedFile) -> Result<(), Refusal> {
        self.lock.as_ref().map(|lock| lock.check(file)).transpose()?;
        self.keys.as_ref().map(|keys| keys.check(file)).transpose()?;
        Ok(())
    }
}
