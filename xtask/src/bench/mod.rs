//! `bench`: reports of what things cost. A figure fails nothing, since machines differ; one that could not be had does.

mod border;
mod measure;
mod start;

use crate::error::Result;
use crate::flags::Measured;

pub(crate) fn verb(what: Measured) -> Result {
    match what {
        Measured::Border => border::border(),
        Measured::Start => start::start(),
    }
}

const MICROSECOND: f64 = 1e3;
const MILLISECOND: f64 = 1e6;

/// Nanoseconds in a unit that is easy to read.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds.abs() {
        time if time >= MILLISECOND => format!("{:.2} ms", nanoseconds / MILLISECOND),
        time if time >= MICROSECOND => format!("{:.2} us", nanoseconds / MICROSECOND),
        _ => format!("{nanoseconds:.1} ns"),
    }
}
