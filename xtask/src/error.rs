//! What kept a verb from doing its work: one line for a person.
//!
//! Nothing here is matched on, so it holds words only; [`Doing`] puts the act in front of the cause.

use std::fmt;

/// Acts of this crate answer with this.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

/// The act that did not work, and why.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Error {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// A failure that the verb has told in full: nothing is printed after its closing line.
    pub(crate) fn told() -> Self {
        Self(String::new())
    }

    pub(crate) fn is_told(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// The result, with `act` before the words of its error.
    fn doing(self, act: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, act: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Error(format!("{act}: {cause}")))
    }
}

impl<T> Doing<T> for Option<T> {
    fn doing(self, act: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error(act.to_string()))
    }
}
