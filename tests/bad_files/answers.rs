//! The table of what was said of each bad file, printed at the end of a run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use executor_tests::say;

/// Rows by their place in the table: what the file is, and the answer.
static ROWS: Mutex<BTreeMap<usize, (String, String)>> = Mutex::new(BTreeMap::new());

/// The place of one trial's row: trials run in any order.
pub(crate) struct Row(usize);

impl Row {
    /// The next place.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn fill(&self, what: &str, answer: &str) {
        let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(self.0, (what.to_owned(), answer.to_owned()));
    }
}

pub(crate) fn print() {
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if rows.is_empty() {
        return;
    }
    say("| bad file | answer |");
    say("|---|---|");
    rows.values().for_each(|(what, answer)| say(&format!("| {what} | {answer} |")));
}
