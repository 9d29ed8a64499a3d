//! Whether what a control file says is what was written to it. Pure.
//!
//! The kernel keeps numbers of pages, orders lists and adds names; each of these is allowed for, file by file, and
//! nothing else is.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use nix::unistd::{SysconfVar, sysconf};

/// How a file gives back what was written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Word for word.
    Exact,
    /// In bytes, whole pages, rounded down; `max` from the most that the kernel can count.
    Pages,
    /// A list of numbers and ranges, in the kernel's own form.
    Numbers,
    /// A number, with or without `default` in front, maybe lines for single devices below it.
    Weight,
    /// A line of its own for each device: the device, then words in any order, maybe with others between them.
    Device,
}

impl Rule {
    /// Whether `found` is `written`.
    pub(super) fn agrees(self, written: &str, found: &str) -> bool {
        match self {
            Self::Exact => written == found,
            Self::Pages => pages(written).is_some_and(|pages_written| pages(found) == Some(pages_written)),
            Self::Numbers => numbers(written).is_some_and(|set| numbers(found) == Some(set)),
            Self::Weight => {
                let first = found.lines().next().unwrap_or_default();
                first.strip_prefix("default ").unwrap_or(first) == written
            }
            Self::Device => words_of_device(found, written).is_some(),
        }
    }
}

/// The line of `text` that is of the device that `written` begins with, if it has every word of `written`.
fn words_of_device<'a>(text: &'a str, written: &str) -> Option<&'a str> {
    let mut wanted = written.split_whitespace();
    let line = line_of(text, wanted.next()?)?;
    wanted.all(|word| line.split_whitespace().any(|found| found == word)).then_some(line)
}

/// The line of `text` that begins with `device`.
pub(super) fn line_of<'a>(text: &'a str, device: &str) -> Option<&'a str> {
    text.lines().find(|line| line.split_whitespace().next() == Some(device))
}

/// Bytes as whole pages; the kernel counts no more of them than fit into a signed word of bytes.
fn pages(bytes: &str) -> Option<u64> {
    static PAGE: LazyLock<u64> = LazyLock::new(|| {
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        // Every page is a multiple of the smallest one that Linux has.
        size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0).unwrap_or(4096)
    });
    let most = u64::try_from(isize::MAX).unwrap_or(u64::MAX) / *PAGE;
    match bytes {
        "max" => Some(most),
        _ => Some((bytes.parse::<u64>().ok()? / *PAGE).min(most)),
    }
}

/// The numbers of a list such as `0-2,7`.
fn numbers(list: &str) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        found.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, written: &str, agree: &[&str], differ: &[&str]) {
        for found in agree {
            assert!(rule.agrees(written, found), "{rule:?}: {found} is {written}");
        }
        for found in differ {
            assert!(!rule.agrees(written, found), "{rule:?}: {found} is not {written}");
        }
    }

    #[test]
    fn the_kernels_own_form_of_a_value_agrees_and_another_value_does_not() {
        check(Rule::Exact, "1000", &["1000"], &["1001", "", "1000 100000"]);
        // The size of a page is this machine's; a MiB is whole pages on all of them.
        check(Rule::Pages, "1048577", &["1048576", "1048577"], &["0", "2097152", "max", "", "x"]);
        check(Rule::Pages, "18446744073709551615", &["9223372036854771712", "max"], &["9223372036854000000"]);
        check(Rule::Pages, "x", &[], &["x", ""]);
        check(Rule::Numbers, "0,1,2,7", &["0-2,7", "0,1-2,7"], &["0-2", "0-7", "", "x"]);
        check(Rule::Weight, "100", &["100", "default 100", "default 100\n8:0 50"], &["10", "default 1000", ""]);
        check(Rule::Device, "8:0 5", &["8:0 5", "7:0 1\n8:0 5"], &["", "8:0 50", "18:0 5", "8:1 5\n8:0 4"]);
        let all = "8:16 rbps=1 wbps=max riops=max wiops=2";
        check(Rule::Device, "8:16 rbps=1 wiops=2", &[all], &["8:16 rbps=1 wbps=2", "8:0 rbps=1 wiops=2"]);
    }
}
