//! Quantities with their unit and their bounds in the type: memory, processor shares, process counts, weights.
//!
//! A bare integer never crosses the border: each type here checks its bounds when it is made, parsed or read from
//! JSON, so a plugin that receives one need not check again. In JSON each is one integer in the unit that its field
//! names (`memory_bytes`, `cpus_milli`).
//!
//! # Examples
//!
//! ```
//! use executor_api::units::{Bytes, CpuMhz, Cpus, IoWeight, Nice, OomScoreAdj, Pids, Signal, Umask};
//!
//! assert_eq!("64M".parse::<Bytes>()?, Bytes::mib(64));        // binary, as in docker, systemd and Slurm
//! assert_eq!("64MB".parse::<Bytes>()?, Bytes::new(64_000_000)); // decimal
//! assert_eq!(Bytes::mib(64).to_string(), "64M");
//! assert_eq!("0.5".parse::<Cpus>()?.millis(), 500);
//! assert!(CpuMhz::new(1).is_err(), "the kernel knows no share below 2");
//! assert!(Pids::new(0).is_err());
//! assert_eq!(IoWeight::new(100)?.get(), 100);
//! assert_eq!(Nice::new(-5)?.get(), -5);
//! assert_eq!(OomScoreAdj::new(500)?.get(), 500);
//! assert_eq!("022".parse::<Umask>()?.bits(), 0o022);
//! assert_eq!("TERM".parse::<Signal>()?, Signal::TERM);
//! # Ok::<(), executor_api::units::OutOfRange>(())
//! ```

use std::fmt;
use std::io;
use std::str::FromStr;

use nix::sys::signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A quantity that its type does not allow, with the range that it does.
///
/// Example: [units](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {expected}")]
pub struct OutOfRange {
    what: &'static str,
    text: String,
    expected: &'static str,
}

impl OutOfRange {
    fn new(what: &'static str, text: &dyn fmt::Display, expected: &'static str) -> Self {
        Self { what, text: text.to_string(), expected }
    }
}

/// Declares an integer with a unit: bounds are checked in `new`, in `FromStr` and when read from JSON.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident($repr:ty), $what:literal, $min:literal..=$max:literal, $expected:literal) => {
        $(#[$doc])*
        ///
        /// Example: [units](self#examples).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name($repr);

        impl $name {
            #[doc = concat!("Makes ", $what, ": ", $expected, ".")]
            ///
            /// Example: [units](self#examples).
            ///
            /// # Errors
            ///
            /// [`OutOfRange`] outside that range.
            pub fn new(value: $repr) -> Result<Self, OutOfRange> {
                match value {
                    $min..=$max => Ok(Self(value)),
                    _ => Err(OutOfRange::new($what, &value, $expected)),
                }
            }
        }

        impl TryFrom<i64> for $name {
            type Error = OutOfRange;
            fn try_from(value: i64) -> Result<Self, OutOfRange> {
                <$repr>::try_from(value).ok().and_then(|value| Self::new(value).ok())
                    .ok_or_else(|| OutOfRange::new($what, &value, $expected))
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> i64 { i64::from(value.0) }
        }

        #[cfg(feature = "schema")]
        crate::schema::bounded! { $name, $what, $min, $max }
    };
}

/// Declares reading and printing as a plain integer in the type's own unit.
macro_rules! plain_integer {
    ($name:ident($repr:ty), $what:literal, $expected:literal) => {
        impl $name {
            /// The bare number.
            ///
            /// Example: [units](self#examples).
            #[must_use]
            pub fn get(self) -> $repr {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = OutOfRange;
            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                text.parse::<i64>()
                    .ok()
                    .and_then(|value| Self::try_from(value).ok())
                    .ok_or_else(|| OutOfRange::new($what, &text, $expected))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded! {
    /// A relative share of processor time, in the seed's megahertz: two tasks with 1000 and 250 that both want one
    /// processor get it 4 : 1. Not a cap; that is [`Cpus`]. 2 to 262,144, the bounds of `cpu.shares`.
    CpuMhz(u32), "share of cpu in MHz", 2..=262_144, "2 to 262144"
}
plain_integer!(CpuMhz(u32), "share of cpu in MHz", "2 to 262144");

bounded! {
    /// A cap on processor time, in thousandths of one processor: 500 is half a processor in every period of 100 ms.
    /// 10 (the kernel's shortest quota, 1 ms) to 1,000,000 (a thousand processors).
    Cpus(u32), "number of cpus", 10..=1_000_000, "0.01 to 1000 processors"
}

impl Cpus {
    /// Thousandths of one processor.
    ///
    /// Example: [units](self#examples).
    #[must_use]
    pub fn millis(self) -> u32 {
        self.0
    }
}

impl FromStr for Cpus {
    type Err = OutOfRange;

    /// Reads a decimal number of processors, to three places: `2`, `0.5`, `1.125`.
    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let refuse = || OutOfRange::new("number of cpus", &text, "0.01 to 1000 processors, three decimals at most");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return Err(refuse());
        }
        let millis = format!("{fraction:0<3}").parse::<u32>().ok();
        let total = whole.parse::<u32>().ok().and_then(|whole| whole.checked_mul(1000)?.checked_add(millis?));
        total.and_then(|total| Self::new(total).ok()).ok_or_else(refuse)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

bounded! {
    /// How many processes and threads a task may have at once, 1 to 4,194,304 (the kernel's own limit).
    Pids(u32), "number of processes", 1..=4_194_304, "1 to 4194304"
}
plain_integer!(Pids(u32), "number of processes", "1 to 4194304");

bounded! {
    /// A relative share of disk time, 10 to 1000, as the seed's IOPS: counts only where the device's scheduler is bfq.
    IoWeight(u16), "io weight", 10..=1000, "10 to 1000"
}
plain_integer!(IoWeight(u16), "io weight", "10 to 1000");

bounded! {
    /// Scheduling niceness, -20 (first) to 19 (last).
    Nice(i8), "nice value", -20..=19, "-20 to 19"
}
plain_integer!(Nice(i8), "nice value", "-20 to 19");

bounded! {
    /// What is added to a task's badness when the machine runs out of memory: -1000 (never killed) to 1000 (first).
    OomScoreAdj(i16), "oom_score_adj", -1000..=1000, "-1000 to 1000"
}
plain_integer!(OomScoreAdj(i16), "oom_score_adj", "-1000 to 1000");

bounded! {
    /// Permission bits that new files do not get, 0 to 0o777; written in octal.
    Umask(u16), "umask", 0..=0o777, "000 to 777, octal"
}

impl Umask {
    /// The permission bits.
    ///
    /// Example: [units](self#examples).
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }
}

impl FromStr for Umask {
    type Err = OutOfRange;
    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let bits = u16::from_str_radix(text, 8).ok().and_then(|bits| Self::new(bits).ok());
        bits.ok_or_else(|| OutOfRange::new("umask", &text, "000 to 777, octal"))
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

/// An amount of memory or disk, in bytes.
///
/// Read as `512` (bytes), `64K` `64M` `1.5G` `2T` or `64Ki` `64KiB` (powers of 1024), `64KB` `64MB` `64GB` (powers of
/// 1000). Printed in the largest binary unit that is exact. No lower bound lives here: whether 512 bytes make sense is
/// the question of what they limit.
///
/// Example: [units](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// `count` bytes.
    ///
    /// Example: [units](self#examples).
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// `count` mebibytes (2^20 bytes), at most 2^64 - 1 bytes.
    ///
    /// Example: [units](self#examples).
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// The bare number of bytes.
    ///
    /// Example: [units](self#examples).
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let refuse = || OutOfRange::new("size", &text, "write bytes, or 64K, 64M, 1.5G (binary), 64MB (decimal)");
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit = unit.to_ascii_uppercase();
        let base: u128 = if unit.ends_with('B') && !unit.ends_with("IB") { 1000 } else { 1024 };
        let exponent = match unit.trim_end_matches('B').trim_end_matches('I') {
            "" if unit.len() <= 1 => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            _ => return Err(refuse()),
        };
        scaled(number, base.pow(exponent)).map(Self).ok_or_else(refuse)
    }
}

/// `number`, a decimal with up to nine places, times `scale`, rounded down to a whole.
fn scaled(number: &str, scale: u128) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 || (scale == 1 && number.contains('.')) {
        return None;
    }
    let whole = whole.parse::<u128>().ok()?.checked_mul(scale)?;
    let part = format!("{fraction:0<9}").parse::<u128>().ok()? * scale / 1_000_000_000;
    u64::try_from(whole.checked_add(part)?).ok()
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1u64 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        match units.into_iter().find(|(size, _)| self.0 != 0 && self.0.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

bounded! {
    /// A signal by its number on this platform, 1 to 64; read and printed by name where the number is the same
    /// everywhere (`TERM` or `SIGTERM`), else as the number.
    Signal(i32), "signal", 1..=64, "a name such as TERM, or 1 to 64"
}

/// The signals that have one number on every Unix.
const NAMED_SIGNALS: [(Signal, &str); 9] = [
    (Signal::HUP, "HUP"),
    (Signal::INT, "INT"),
    (Signal::QUIT, "QUIT"),
    (Signal::ABRT, "ABRT"),
    (Signal::KILL, "KILL"),
    (Signal::SEGV, "SEGV"),
    (Signal::PIPE, "PIPE"),
    (Signal::ALRM, "ALRM"),
    (Signal::TERM, "TERM"),
];

#[expect(missing_docs, reason = "the names are POSIX's own")]
impl Signal {
    pub const HUP: Self = Self(1);
    pub const INT: Self = Self(2);
    pub const QUIT: Self = Self(3);
    pub const ABRT: Self = Self(6);
    pub const KILL: Self = Self(9);
    pub const SEGV: Self = Self(11);
    pub const PIPE: Self = Self(13);
    pub const ALRM: Self = Self(14);
    pub const TERM: Self = Self(15);
}

impl Signal {
    /// The number on this platform.
    ///
    /// Example: [units](self#examples).
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Sends this signal to every process of the group that `leader` leads.
    ///
    /// The caller sees to it that the number is still the group's: `leader` is a child of this process that it has not
    /// reaped. For plugins that run a task as a plain child; one that needs more has calls of its own.
    ///
    /// # Errors
    ///
    /// `ESRCH` when nobody is left in the group, `EPERM` when none of them may be signalled, `EINVAL` for a real-time
    /// signal or a number that is no process.
    ///
    /// # Examples
    ///
    /// ```
    /// use executor_api::units::Signal;
    /// use std::os::unix::process::{CommandExt, ExitStatusExt};
    ///
    /// let mut child = std::process::Command::new("sleep").arg("1000").process_group(0).spawn()?;
    /// Signal::TERM.send_to_group(child.id())?;
    /// assert_eq!(child.wait()?.signal(), Some(15));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # References
    ///
    /// - [killpg(3)](https://man7.org/linux/man-pages/man3/killpg.3.html)
    pub fn send_to_group(self, leader: u32) -> io::Result<()> {
        let group = i32::try_from(leader).ok().filter(|group| *group > 1).ok_or(io::ErrorKind::InvalidInput)?;
        let signal = signal::Signal::try_from(self.0)?;
        Ok(signal::killpg(Pid::from_raw(group), signal)?)
    }
}

impl FromStr for Signal {
    type Err = OutOfRange;
    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named = NAMED_SIGNALS.iter().find(|(_, known)| *known == name).map(|(signal, _)| *signal);
        let numbered = || text.parse::<i32>().ok().and_then(|number| Self::new(number).ok());
        named.or_else(numbered).ok_or_else(|| OutOfRange::new("signal", &text, "a name such as TERM, or 1 to 64"))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED_SIGNALS.iter().find(|(signal, _)| signal == self) {
            Some((_, name)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests;
