//! How this library is to misbehave: a field that tests rewrite in a copy of the file.
//!
//! | behaviour | effect |
//! |---|---|
//! | `good` | none |
//! | `panic-<entry>` | it panics: in `init`, `probe`, `create`, `open`, a method of the task, `drop-{plugin,task}` |
//! | `init-error`, `probe-error`, `probe-unusable` | that answer, in words of several lines |
//! | `log` | `create` logs at every level from another thread |
//! | others | see `misdeeds` |

/// The marker that tests look for, and 32 bytes for the behaviour, NUL at the end.
static FIELD: [u8; LENGTH] = field("EXECUTOR_BEHAVIOUR=good");

/// The length of `EXECUTOR_BEHAVIOUR=`, which is written once so that it is in the library once.
const MARKER: usize = 19;
const LENGTH: usize = MARKER + 32;

const fn field(text: &str) -> [u8; LENGTH] {
    let mut field = [0; LENGTH];
    let mut at = 0;
    while at < text.len() {
        field[at] = text.as_bytes()[at];
        at += 1;
    }
    field
}

/// Whether this library was asked for `behaviour`.
pub(crate) fn asked_for(behaviour: &str) -> bool {
    asked_for_both("", behaviour)
}

/// Whether it was asked for `first` with `second` behind it; without memory of its own, since a bench calls it.
fn asked_for_both(first: &str, second: &str) -> bool {
    // SAFETY: reads a static of this library. Volatile: the copy of the file has other bytes than the compiler knows.
    let field = unsafe { (&raw const FIELD).read_volatile() };
    let asked = field[MARKER..].split(|byte| *byte == 0).next().unwrap_or_default();
    asked.strip_prefix(first.as_bytes()) == Some(second.as_bytes())
}

/// Panics if this library was asked to in `entry`.
pub(crate) fn enter(entry: &str) {
    if asked_for_both("panic-", entry) {
        panic!("asked to panic in {entry}");
    }
}
