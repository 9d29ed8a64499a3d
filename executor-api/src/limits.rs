//! What a task may use at most: the document that `limit` takes, before the task starts.
//!
//! Everything that is set is required, unless [`Resources::enforcement`] says best effort; what is absent is not limited.
//! Limits enter a task here and nowhere else. The seed's `CPU`, `MemoryMB` and `IOPS` are [`Resources::cpu_mhz`],
//! [`Resources::memory`] and [`Resources::io_weight`], with the seed's bounds.
//!
//! # Examples
//!
//! ```
//! use executor_api::limits::{IoLimit, Resources, Rlimit};
//! use executor_api::units::{Bytes, Cpus, Pids};
//! use std::time::Duration;
//!
//! let mut resources = Resources::default();
//! resources.memory = Some(Bytes::mib(64));
//! resources.cpus = Some("0.5".parse::<Cpus>()?);
//! resources.pids = Some(Pids::new(32)?);
//! resources.wall_time = Some(Duration::from_secs(5));
//! resources.rlimits.insert("nofile".into(), Rlimit { soft: Some(256), hard: Some(256) });
//! resources.io.push(IoLimit { read_bps: Some(Bytes::mib(10)), ..IoLimit::new("/dev/vda") });
//! resources.validate()?;
//!
//! let json = serde_json::to_string(&resources)?;
//! assert!(json.contains(r#""memory_bytes":67108864"#) && !json.contains("pids_peak"));
//! assert!(serde_json::from_str::<Resources>(r#"{"memory_byte":1}"#).is_err(), "a limit is never ignored");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::isolation::absolute;
use crate::support::{Demands, Feature};
use crate::text::{is_default, millis, optional, word};
use crate::units::{Bytes, CpuMhz, Cpus, IoWeight, Pids};

/// Whether what a document asks for is a condition or a wish.
///
/// Example: [limits](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// What was asked for and cannot be enforced is an error before anything runs.
    #[default]
    Strict,
    /// What was asked for and cannot be enforced is listed in the outcome.
    BestEffort,
}

/// The limits of one task.
///
/// A request: unknown keys are refused, and what has its default is not written, so that an older plugin can read what
/// it knows.
///
/// Example: [limits](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Resources {
    /// Whether the limits below are conditions (the default) or wishes.
    #[serde(skip_serializing_if = "is_default")]
    pub enforcement: Enforcement,
    /// The most memory that the whole task may hold, page cache included; at least 1 MiB. Swap is 0 then, unless given.
    #[serde(rename = "memory_bytes", skip_serializing_if = "is_default")]
    pub memory: Option<Bytes>,
    /// Memory above which the kernel takes back from this task first; at most `memory`.
    #[serde(rename = "memory_soft_bytes", skip_serializing_if = "is_default")]
    pub memory_soft: Option<Bytes>,
    /// The most swap, on top of `memory`; needs `memory`.
    #[serde(rename = "swap_bytes", skip_serializing_if = "is_default")]
    pub swap: Option<Bytes>,
    /// Share of processor time in the seed's MHz.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_mhz: Option<CpuMhz>,
    /// Cap on processor time, in thousandths of one processor.
    #[serde(rename = "cpus_milli", skip_serializing_if = "is_default")]
    pub cpus: Option<Cpus>,
    /// Processors that the task may run on, by number; empty for all.
    #[serde(skip_serializing_if = "is_default")]
    pub cpuset: Vec<u16>,
    /// The most processes and threads.
    #[serde(skip_serializing_if = "is_default")]
    pub pids: Option<Pids>,
    /// Share of disk time, the seed's IOPS.
    #[serde(skip_serializing_if = "is_default")]
    pub io_weight: Option<IoWeight>,
    /// Caps on disk throughput, at most one entry per device.
    #[serde(skip_serializing_if = "is_default")]
    pub io: Vec<IoLimit>,
    /// The most that the task may write to its own directories.
    #[serde(rename = "disk_bytes", skip_serializing_if = "is_default")]
    pub disk: Option<Bytes>,
    /// Per-process limits by the lower-case name of setrlimit(2) without `RLIMIT_`: `nofile`, `core`, `stack`.
    #[serde(skip_serializing_if = "is_default")]
    pub rlimits: BTreeMap<String, Rlimit>,
    /// The most processor time that the task may use in all; whole milliseconds.
    #[serde(rename = "cpu_time_ms", with = "millis", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub cpu_time: Option<Duration>,
    /// How long the task may run by the wall clock, from start; whole milliseconds, at least 1. At the end its whole
    /// tree is killed.
    #[serde(rename = "wall_time_ms", with = "millis", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub wall_time: Option<Duration>,
    /// The resource group that the task's own are made in, by its path below the hierarchy's root, with a `/` in front; absent
    /// for the executor's choice.
    #[serde(with = "optional", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Word>"))]
    pub cgroup_parent: Option<PathBuf>,
}

/// The two bounds of one per-process limit; `None` is unlimited.
///
/// Example: [limits](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Rlimit {
    /// What is in force; the process may raise it up to `hard`.
    pub soft: Option<u64>,
    /// The ceiling; at least `soft`.
    pub hard: Option<u64>,
}

/// Caps on the throughput of one block device.
///
/// Example: [limits](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct IoLimit {
    /// The device's path on the host, such as `/dev/vda`.
    #[serde(with = "word")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
    pub device: PathBuf,
    /// Bytes read in a second.
    #[serde(rename = "read_bytes_per_second", skip_serializing_if = "is_default")]
    pub read_bps: Option<Bytes>,
    /// Bytes written in a second.
    #[serde(rename = "write_bytes_per_second", skip_serializing_if = "is_default")]
    pub write_bps: Option<Bytes>,
    /// Reads in a second.
    #[serde(rename = "reads_per_second", skip_serializing_if = "is_default")]
    pub read_iops: Option<u64>,
    /// Writes in a second.
    #[serde(rename = "writes_per_second", skip_serializing_if = "is_default")]
    pub write_iops: Option<u64>,
}

impl IoLimit {
    /// No cap yet on `device`.
    ///
    /// Example: [limits](self#examples).
    pub fn new(device: impl Into<PathBuf>) -> Self {
        Self { device: device.into(), ..Self::default() }
    }
}

/// The smallest memory limit: below this no program starts, so a smaller number is a missing unit.
const LEAST_MEMORY: Bytes = Bytes::mib(1);

/// The names of setrlimit(2) that a task may be given.
const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Refuses a size that nothing can be done in, and that was meant in another unit.
fn not_too_small(name: &str, size: Bytes) -> Result<()> {
    if size >= LEAST_MEMORY {
        return Ok(());
    }
    let error = Error::invalid(format!("limit {name} to {} bytes", size.get()), "too small; the least is 1M");
    Err(match size.get() {
        0 => error,
        // A bare number, most likely.
        megabytes @ ..65536 => error.with_fix(format!("did you mean {megabytes}M?")),
        _ => error.with_fix("ask for 1M or more"),
    })
}

impl Resources {
    /// Checks what no single type can: that the limits fit each other.
    ///
    /// # Errors
    ///
    /// `InvalidSpec`: memory under 1 MiB, soft over hard, swap without memory, an empty time, a device named twice or
    /// without a cap, an unknown rlimit.
    ///
    /// Example: [limits](self#examples).
    pub fn validate(&self) -> Result<()> {
        for (name, size) in [("memory", self.memory), ("memory_soft", self.memory_soft), ("disk", self.disk)] {
            size.map_or(Ok(()), |size| not_too_small(name, size))?;
        }
        let memory = self.memory.unwrap_or(Bytes::new(u64::MAX));
        if self.memory_soft.is_some_and(|soft| soft > memory) {
            return Err(Error::invalid("limit memory_soft", "it is above the memory limit"));
        }
        if self.swap.is_some() && self.memory.is_none() {
            return Err(Error::invalid("limit swap", "it counts on top of a memory limit, and none is given")
                .with_fix("give a memory limit too"));
        }
        for (name, time) in [("wall_time", self.wall_time), ("cpu_time", self.cpu_time)] {
            if time.is_some_and(|time| time < Duration::from_millis(1)) {
                return Err(Error::invalid(format!("limit {name}"), "the shortest time is 1 ms"));
            }
        }
        self.cgroup_parent.iter().try_for_each(|group| absolute(group))?;
        self.validate_io()?;
        self.validate_rlimits()
    }

    fn validate_io(&self) -> Result<()> {
        for (at, limit) in self.io.iter().enumerate() {
            let what = format!("limit io of {}", limit.device.display());
            if !limit.device.is_absolute() {
                return Err(Error::invalid(what, "a device is an absolute path"));
            }
            if self.io[..at].iter().any(|earlier| earlier.device == limit.device) {
                return Err(Error::invalid(what, "the device is given twice"));
            }
            if *limit == IoLimit::new(&limit.device) {
                return Err(Error::invalid(what, "no rate is given"));
            }
        }
        Ok(())
    }

    fn validate_rlimits(&self) -> Result<()> {
        for (name, limit) in &self.rlimits {
            if !RLIMITS.contains(&name.as_str()) {
                let what = format!("limit rlimit {name:?}");
                return Err(Error::invalid(what, "no such limit").with_fix(format!("one of {}", RLIMITS.join(" "))));
            }
            if limit.soft.unwrap_or(u64::MAX) > limit.hard.unwrap_or(u64::MAX) {
                return Err(Error::invalid(format!("limit rlimit {name}"), "soft is above hard"));
            }
        }
        Ok(())
    }

    /// The features that must be enforced for these limits to hold.
    ///
    /// Example: [limits](self#examples).
    #[must_use]
    pub fn demands(&self) -> Demands {
        let asked = [
            (Feature::Memory, self.memory.is_some()),
            (Feature::MemorySoft, self.memory_soft.is_some()),
            (Feature::Swap, self.swap.is_some()),
            (Feature::CpuShares, self.cpu_mhz.is_some()),
            (Feature::CpuQuota, self.cpus.is_some()),
            (Feature::Cpuset, !self.cpuset.is_empty()),
            (Feature::Pids, self.pids.is_some()),
            (Feature::IoWeight, self.io_weight.is_some()),
            (Feature::IoRate, !self.io.is_empty()),
            (Feature::Disk, self.disk.is_some()),
            (Feature::Rlimits, !self.rlimits.is_empty()),
            (Feature::CpuTime, self.cpu_time.is_some()),
            (Feature::WallTime, self.wall_time.is_some()),
            (Feature::CgroupParent, self.cgroup_parent.is_some()),
        ];
        let mut demands = Demands::default();
        asked.iter().filter(|(_, asked)| *asked).for_each(|(feature, _)| demands.require(*feature));
        match self.enforcement {
            Enforcement::Strict => demands,
            Enforcement::BestEffort => demands.relaxed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_be_meant_are_refused_with_the_reason() {
        let refused = |json: &str, why: &str| {
            let resources: Resources = serde_json::from_str(json).expect("well formed");
            let error = resources.validate().expect_err(json);
            assert!(error.to_string().contains(why), "{json}: {error}");
        };
        refused(r#"{"memory_bytes":512}"#, "the least is 1M");
        refused(r#"{"memory_soft_bytes":512}"#, "limit memory_soft to 512 bytes");
        refused(r#"{"disk_bytes":64000}"#, "the least is 1M");
        refused(r#"{"memory_bytes":2097152,"memory_soft_bytes":4194304}"#, "above the memory limit");
        refused(r#"{"swap_bytes":0}"#, "none is given");
        refused(r#"{"wall_time_ms":0}"#, "1 ms");
        refused(r#"{"rlimits":{"nofiles":{}}}"#, "no such limit");
        refused(r#"{"rlimits":{"nofile":{"hard":1}}}"#, "soft is above hard");
        refused(r#"{"io":[{"device":"/dev/a"}]}"#, "no rate");
        refused(r#"{"io":[{"device":"a","reads_per_second":1}]}"#, "absolute");
        refused(r#"{"io":[{"device":"/a","reads_per_second":1},{"device":"/a","reads_per_second":1}]}"#, "twice");
    }

    #[test]
    fn every_limit_is_a_demand() {
        let json = r#"{"memory_bytes":1048576,"memory_soft_bytes":1048576,"swap_bytes":0,"cpu_mhz":2,"cpus_milli":10,
            "cpuset":[0],"pids":1,"io_weight":10,"io":[{"device":"/d","reads_per_second":1}],"disk_bytes":1048576,
            "rlimits":{"core":{"soft":0,"hard":0}},"cpu_time_ms":1,"wall_time_ms":1,"cgroup_parent":"/a"}"#;
        let resources: Resources = serde_json::from_str(json).expect("well formed");
        resources.validate().expect("they fit each other");
        let written = serde_json::to_value(&resources).expect("it serializes");
        let limits = written.as_object().expect("an object").len();
        assert_eq!(resources.demands().iter().count(), limits, "a limit without a demand would be ignored");
        assert_eq!(serde_json::to_string(&Resources::default()).ok().as_deref(), Some("{}"));
    }
}
