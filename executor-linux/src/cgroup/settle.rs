//! Carries out one write, and sees to it that it holds.

use std::fs;
use std::io;

use super::error::{Failure, Lacking, LimitDiffers, ReadGroup, SetLimit};
use super::group::Group;
use super::limits::{Absent, Act, Setting};

/// Writes `setting` to `group` and reads it back.
///
/// # Errors
///
/// `SetLimit` with what the kernel has against the value; `LimitDiffers` where it keeps another one; `Lacking` where it
/// has no such limit.
pub(super) fn settle(group: &Group, setting: &Setting) -> Result<(), Failure> {
    let file = setting.file;
    let value = match &setting.value {
        Some(value) => value.clone(),
        None => group.parent().read(file.name)?,
    };
    if file.act != Act::Expect {
        match group.dir().write(file.name, &value) {
            Err(SetLimit { source, .. }) if source.kind() == io::ErrorKind::NotFound => return absent(setting),
            written => written?,
        }
    }
    let found = match group.dir().read(file.back) {
        Err(ReadGroup { source, .. }) if source.kind() == io::ErrorKind::NotFound => return absent(setting),
        read => read?,
    };
    if file.rule.agrees(&value, &found) {
        return Ok(());
    }
    let group = group.dir().path().to_owned();
    Err(LimitDiffers { file: file.name, group, written: value, found }.into())
}

/// What a group without the file means.
fn absent(setting: &Setting) -> Result<(), Failure> {
    lacking(setting).map_or(Ok(()), |lacking| Err(lacking.into()))
}

/// What is lost where there is no such file; none where nothing is.
pub(super) fn lacking(setting: &Setting) -> Option<Lacking> {
    let (why, fix) = match setting.file.absent {
        Absent::Skip => return None,
        Absent::RefuseWithSwap { .. } if !has_swap() => return None,
        Absent::RefuseWithSwap { why, fix } | Absent::Refuse { why, fix } => (why, fix),
    };
    let why = format!("there is no {}: {why}", setting.file.name);
    Some(Lacking { feature: setting.row.feature, why, fix: fix.to_owned() })
}

/// Whether this host has swap; where it does not say, it has.
fn has_swap() -> bool {
    // The first line is the heading.
    fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().count() > 1)
}
