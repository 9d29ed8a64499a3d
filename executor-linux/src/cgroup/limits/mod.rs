//! Every limit that a group can have, as a table: which controller, which file in which version, and what is written.
//!
//! [`ROWS`] is all there is to know of a limit, and its order is the order of the writes. Pure: from limits to writes.
//! Follows the kernel's cgroup-v1/ and cgroup-v2 documents.

use executor_api::limits::IoLimit;
use executor_api::{Feature, Resources};

use super::agree::Rule;
use super::controller::{Controller, Version};

/// One limit: where it is set in each version.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) feature: Feature,
    pub(super) controller: Controller,
    v1: &'static [File],
    v2: &'static [File],
}

/// One control file of a limit.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: &'static str,
    /// Where the value is read back, and how that compares.
    pub(super) back: &'static str,
    pub(super) rule: Rule,
    pub(super) act: Act,
    pub(super) absent: Absent,
    /// What to write, in as many writes as there are; nothing where it was not asked for.
    value: fn(&Ask<'_>) -> Vec<String>,
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It is written.
    Write,
    /// It has the right value in a fresh group, which is read and not written: writing would be dear.
    Expect,
    /// It is written always: where nothing is asked, with what the parent has. Without, nobody can enter the group.
    Fill,
}

/// What a kernel without the file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The limit cannot be set: why, and what an operator can do.
    Refuse { why: &'static str, fix: &'static str },
    /// Nothing is lost on a host without swap; else the limit cannot be set.
    RefuseWithSwap { why: &'static str, fix: &'static str },
    /// Nothing: an older kernel, and the limit holds without.
    Skip,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) resources: &'a Resources,
    /// The devices of [`Resources::io`], each by its number.
    pub(super) devices: &'a [Device],
}

/// A block device whose rates are capped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// `major:minor`.
    pub(super) number: String,
    pub(super) caps: IoLimit,
}

/// One write, and how to see that it holds.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) row: &'static Row,
    pub(super) file: &'static File,
    /// None for what the parent has.
    pub(super) value: Option<String>,
}

impl Row {
    /// The files of this limit in `version`.
    pub(super) fn files(&self, version: Version) -> &'static [File] {
        match version {
            Version::V1 => self.v1,
            Version::V2 => self.v2,
        }
    }

    fn is_asked(&self, ask: &Ask<'_>) -> bool {
        self.v1.iter().any(|file| !(file.value)(ask).is_empty())
    }
}

/// The rows of what is asked for.
pub(super) fn asked<'a>(ask: &'a Ask<'_>) -> impl Iterator<Item = &'static Row> + 'a {
    ROWS.iter().filter(|row| row.is_asked(ask))
}

/// What is to be written to the groups of `controllers`, each with the version that it lives in; in this order.
pub(super) fn settings(ask: &Ask<'_>, controllers: &[(Controller, Version)]) -> Vec<Setting> {
    let mut found = Vec::new();
    for row in &ROWS {
        let home = controllers.iter().find(|(controller, _)| *controller == row.controller);
        for file in home.map_or(&[][..], |(_, version)| row.files(*version)) {
            let values = (file.value)(ask);
            let fill = values.is_empty() && file.act == Act::Fill;
            found.extend(fill.then_some(Setting { row, file, value: None }));
            found.extend(values.into_iter().map(|value| Setting { row, file, value: Some(value) }));
        }
    }
    found
}

const fn file(name: &'static str, value: fn(&Ask<'_>) -> Vec<String>, rule: Rule) -> File {
    let absent = Absent::Refuse { why: "the kernel was built without this limit", fix: "" };
    File { name, back: name, rule, act: Act::Write, absent, value }
}

impl File {
    const fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }

    const fn back(self, back: &'static str) -> Self {
        Self { back, ..self }
    }

    const fn absent(self, absent: Absent) -> Self {
        Self { absent, ..self }
    }
}

const NO_SWAP_COUNTED: Absent =
    Absent::RefuseWithSwap { why: "the kernel does not count swap", fix: "boot with swapaccount=1, or swapoff -a" };
const NO_BFQ: Absent = Absent::Refuse {
    why: "the io scheduler bfq, which alone knows weights of groups, is not in the kernel",
    fix: "modprobe bfq, then echo bfq > /sys/block/DISK/queue/scheduler",
};

/// The limits. Swap comes after memory: the sum of both may never be below memory.
pub(super) static ROWS: [Row; 9] = [
    Row {
        feature: Feature::Memory,
        controller: Controller::Memory,
        v1: &[file("memory.limit_in_bytes", memory, Rule::Pages)],
        v2: &[
            file("memory.max", memory, Rule::Pages),
            // Out of memory, the task ends as a whole and not as a torso.
            file("memory.oom.group", one_with_memory, Rule::Exact).absent(Absent::Skip),
        ],
    },
    Row {
        feature: Feature::Swap,
        controller: Controller::Memory,
        v1: &[file("memory.memsw.limit_in_bytes", memory_and_swap, Rule::Pages).absent(NO_SWAP_COUNTED)],
        v2: &[file("memory.swap.max", swap, Rule::Pages).absent(NO_SWAP_COUNTED)],
    },
    Row {
        feature: Feature::MemorySoft,
        controller: Controller::Memory,
        v1: &[file("memory.soft_limit_in_bytes", memory_soft, Rule::Pages)],
        v2: &[file("memory.high", memory_soft, Rule::Pages)],
    },
    Row {
        feature: Feature::CpuShares,
        controller: Controller::Cpu,
        v1: &[file("cpu.shares", shares, Rule::Exact)],
        v2: &[file("cpu.weight", weight, Rule::Exact)],
    },
    Row {
        feature: Feature::CpuQuota,
        controller: Controller::Cpu,
        // Each write to one of these walks all groups of the host: 1.2 ms with 5,000.
        v1: &[
            file("cpu.cfs_period_us", period_us, Rule::Exact).act(Act::Expect),
            file("cpu.cfs_quota_us", quota_us, Rule::Exact),
        ],
        v2: &[file("cpu.max", quota_and_period_us, Rule::Exact)],
    },
    Row {
        feature: Feature::Cpuset,
        controller: Controller::Cpuset,
        v1: &[
            file("cpuset.mems", nothing, Rule::Numbers).act(Act::Fill),
            file("cpuset.cpus", processors, Rule::Numbers).act(Act::Fill),
        ],
        // It takes processors that are not there, and uses others instead.
        v2: &[file("cpuset.cpus", processors, Rule::Numbers).back("cpuset.cpus.effective")],
    },
    Row {
        feature: Feature::Pids,
        controller: Controller::Pids,
        v1: &[file("pids.max", pids, Rule::Exact)],
        v2: &[file("pids.max", pids, Rule::Exact)],
    },
    Row {
        feature: Feature::IoWeight,
        controller: Controller::Io,
        v1: &[file("blkio.bfq.weight", io_weight, Rule::Weight).absent(NO_BFQ)],
        v2: &[file("io.bfq.weight", io_weight, Rule::Weight).absent(NO_BFQ)],
    },
    Row {
        feature: Feature::IoRate,
        controller: Controller::Io,
        v1: &[
            file("blkio.throttle.read_bps_device", |ask| rates(ask, 0), Rule::Device),
            file("blkio.throttle.write_bps_device", |ask| rates(ask, 1), Rule::Device),
            file("blkio.throttle.read_iops_device", |ask| rates(ask, 2), Rule::Device),
            file("blkio.throttle.write_iops_device", |ask| rates(ask, 3), Rule::Device),
        ],
        v2: &[file("io.max", all_rates, Rule::Device)],
    },
];

/// The period over which a quota counts, in both versions the kernel's own.
const PERIOD_US: u32 = 100_000;

fn one(value: Option<impl ToString>) -> Vec<String> {
    value.iter().map(ToString::to_string).collect()
}

fn nothing(_: &Ask<'_>) -> Vec<String> {
    Vec::new()
}

fn memory(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.memory.map(|memory| memory.get()))
}

fn one_with_memory(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.memory.map(|_| 1))
}

/// None unless it is asked for, or memory is.
fn swap(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.memory.map(|_| ask.resources.swap.unwrap_or_default().get()))
}

fn memory_and_swap(ask: &Ask<'_>) -> Vec<String> {
    let swap = ask.resources.swap.unwrap_or_default().get();
    one(ask.resources.memory.map(|memory| memory.get().saturating_add(swap)))
}

fn memory_soft(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.memory_soft.map(|memory| memory.get()))
}

fn shares(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.cpu_mhz)
}

/// 2 to 262,144 shares onto weights of 1 to 10,000, as every runtime maps them.
fn weight(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.cpu_mhz.map(|mhz| 1 + (u64::from(mhz.get()) - 2) * 9999 / 262_142))
}

fn quota_us(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.cpus.map(|cpus| cpus.millis() * (PERIOD_US / 1000)))
}

fn period_us(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.cpus.map(|_| PERIOD_US))
}

fn quota_and_period_us(ask: &Ask<'_>) -> Vec<String> {
    quota_us(ask).into_iter().map(|quota| format!("{quota} {PERIOD_US}")).collect()
}

fn processors(ask: &Ask<'_>) -> Vec<String> {
    let numbers: Vec<String> = ask.resources.cpuset.iter().map(u16::to_string).collect();
    one((!numbers.is_empty()).then(|| numbers.join(",")))
}

fn pids(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.pids)
}

fn io_weight(ask: &Ask<'_>) -> Vec<String> {
    one(ask.resources.io_weight)
}

/// The caps of a device in the order of version 1's files, each with its name in version 2.
fn caps(of: &IoLimit) -> [(&'static str, Option<u64>); 4] {
    let bytes = [of.read_bps, of.write_bps].map(|bytes| bytes.map(|bytes| bytes.get()));
    [("rbps", bytes[0]), ("wbps", bytes[1]), ("riops", of.read_iops), ("wiops", of.write_iops)]
}

fn rates(ask: &Ask<'_>, at: usize) -> Vec<String> {
    let capped = ask.devices.iter().filter_map(|device| Some((&device.number, caps(&device.caps)[at].1?)));
    capped.map(|(number, cap)| format!("{number} {cap}")).collect()
}

fn all_rates(ask: &Ask<'_>) -> Vec<String> {
    let line = |device: &Device| {
        let capped = caps(&device.caps).into_iter().filter_map(|(name, cap)| Some(format!(" {name}={}", cap?)));
        capped.fold(device.number.clone(), |line, cap| line + &cap)
    };
    ask.devices.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
