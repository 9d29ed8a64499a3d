//! What a task uses and has used, as its groups count it: a table of figures and the files that give them.
//!
//! A figure that no file gives stays absent: a zero is a measured zero. The kernel rounds nothing here that matters, but
//! its counters are read one after the other, while the task runs.

use std::os::fd::OwnedFd;
use std::time::Duration;

use executor_api::Usage;
use executor_api::units::Bytes;
use nix::fcntl::OFlag;

use super::controller::{Controller, Version};
use super::error::{Failure, ReadGroup};
use super::group::{Group, Groups};

/// One figure: how it is stated, and who knows it, best first.
struct Figure {
    /// Its name in a recorded usage, and how many of its units are one there.
    name: &'static str,
    per: u64,
    state: fn(&mut Usage, u64),
    sources: &'static [Source],
}

/// A file that gives a figure.
struct Source {
    version: Version,
    /// None for what every group counts.
    controller: Option<Controller>,
    file: &'static str,
    key: Key,
    /// How many of its units are one of the figure's.
    per: u64,
}

/// Where in the file it stands.
#[derive(Clone, Copy, Debug)]
enum Key {
    /// The file is the number.
    Whole,
    /// `name number` on a line of its own.
    Line(&'static str),
    /// `device name number` on a line for each device: their sum.
    Devices(&'static str),
    /// `name=number` among the words of a line for each device: their sum.
    Words(&'static str),
}

const fn v1(controller: Controller, file: &'static str, key: Key) -> Source {
    Source { version: Version::V1, controller: Some(controller), file, key, per: 1 }
}

const fn v2(controller: Controller, file: &'static str, key: Key) -> Source {
    Source { version: Version::V2, controller: Some(controller), file, key, per: 1 }
}

impl Source {
    const fn in_every_group(self) -> Self {
        Self { controller: None, ..self }
    }

    const fn nanoseconds(self) -> Self {
        Self { per: 1000, ..self }
    }
}

const OOM_KILLS: Figure = Figure {
    name: "oom_kills",
    per: 1,
    state: |usage, count| usage.oom_kills = Some(count),
    sources: &[
        v2(Controller::Memory, "memory.events", Key::Line("oom_kill")),
        v1(Controller::Memory, "memory.oom_control", Key::Line("oom_kill")),
    ],
};

/// Every figure; times are in microseconds.
static FIGURES: [Figure; 10] = [
    Figure {
        name: "memory_bytes",
        per: 1,
        state: |usage, bytes| usage.memory = Some(Bytes::new(bytes)),
        sources: &[
            v2(Controller::Memory, "memory.current", Key::Whole),
            v1(Controller::Memory, "memory.usage_in_bytes", Key::Whole),
        ],
    },
    Figure {
        name: "memory_peak_bytes",
        per: 1,
        state: |usage, bytes| usage.memory_peak = Some(Bytes::new(bytes)),
        sources: &[
            v2(Controller::Memory, "memory.peak", Key::Whole),
            v1(Controller::Memory, "memory.max_usage_in_bytes", Key::Whole),
        ],
    },
    Figure {
        name: "cpu_user_ms",
        per: 1000,
        state: |usage, us| usage.cpu_user = Some(Duration::from_micros(us)),
        sources: &[
            v2(Controller::Cpu, "cpu.stat", Key::Line("user_usec")).in_every_group(),
            v1(Controller::Cpuacct, "cpuacct.usage_user", Key::Whole).nanoseconds(),
        ],
    },
    Figure {
        name: "cpu_system_ms",
        per: 1000,
        state: |usage, us| usage.cpu_system = Some(Duration::from_micros(us)),
        sources: &[
            v2(Controller::Cpu, "cpu.stat", Key::Line("system_usec")).in_every_group(),
            v1(Controller::Cpuacct, "cpuacct.usage_sys", Key::Whole).nanoseconds(),
        ],
    },
    Figure {
        name: "cpu_throttled_ms",
        per: 1000,
        state: |usage, us| usage.cpu_throttled = Some(Duration::from_micros(us)),
        sources: &[
            v2(Controller::Cpu, "cpu.stat", Key::Line("throttled_usec")),
            v1(Controller::Cpu, "cpu.stat", Key::Line("throttled_time")).nanoseconds(),
        ],
    },
    Figure {
        name: "pids",
        per: 1,
        state: |usage, count| usage.pids = Some(count),
        sources: &[v2(Controller::Pids, "pids.current", Key::Whole), v1(Controller::Pids, "pids.current", Key::Whole)],
    },
    Figure {
        name: "pids_peak",
        per: 1,
        state: |usage, count| usage.pids_peak = Some(count),
        sources: &[v2(Controller::Pids, "pids.peak", Key::Whole), v1(Controller::Pids, "pids.peak", Key::Whole)],
    },
    Figure {
        name: "io_read_bytes",
        per: 1,
        state: |usage, bytes| usage.io_read = Some(Bytes::new(bytes)),
        sources: &[
            v2(Controller::Io, "io.stat", Key::Words("rbytes")),
            v1(Controller::Io, "blkio.throttle.io_service_bytes_recursive", Key::Devices("Read")),
            v1(Controller::Io, "blkio.throttle.io_service_bytes", Key::Devices("Read")),
        ],
    },
    Figure {
        name: "io_written_bytes",
        per: 1,
        state: |usage, bytes| usage.io_written = Some(Bytes::new(bytes)),
        sources: &[
            v2(Controller::Io, "io.stat", Key::Words("wbytes")),
            v1(Controller::Io, "blkio.throttle.io_service_bytes_recursive", Key::Devices("Write")),
            v1(Controller::Io, "blkio.throttle.io_service_bytes", Key::Devices("Write")),
        ],
    },
    OOM_KILLS,
];

/// A figure that is one number of one file, for a supervisor that reads it by itself at the end.
#[derive(Debug)]
pub struct Reading {
    /// Its name in a recorded [`Usage`].
    pub figure: &'static str,
    /// The file.
    pub file: OwnedFd,
    /// What stands in front of the number, at the beginning of a line; empty where the file is the number.
    pub key: &'static str,
    /// What the number is divided by.
    pub divisor: u64,
}

impl Groups {
    /// Where the figures are that one number of one file gives: all but those of devices.
    ///
    /// # Errors
    ///
    /// `OpenGroup` with the errno of open(2), `ReadGroup` as [`usage`](Self::usage).
    pub fn readings(&self) -> Result<Vec<Reading>, Failure> {
        let mut found = Vec::new();
        for figure in &FIGURES {
            let Some((group, source, _)) = self.source(figure)? else { continue };
            let key = match source.key {
                Key::Whole => "",
                Key::Line(name) => name,
                Key::Devices(_) | Key::Words(_) => continue,
            };
            let (file, divisor) = (group.dir().open_file(source.file, OFlag::O_RDONLY)?, source.per * figure.per);
            found.push(Reading { figure: figure.name, file, key, divisor });
        }
        Ok(found)
    }

    /// What the task uses and has used so far. Figures that nobody counts are absent.
    ///
    /// # Errors
    ///
    /// `ReadGroup` where a file cannot be read, or says what no version of the kernel does; `ENODEV` once the group was
    /// removed.
    pub fn usage(&self) -> Result<Usage, Failure> {
        let mut usage = Usage::default();
        for figure in &FIGURES {
            if let Some(number) = self.figure(figure)? {
                (figure.state)(&mut usage, number);
            }
        }
        Ok(usage)
    }

    /// How often the kernel has killed for memory in the task; absent where nobody counts memory. No count of processes.
    ///
    /// # Errors
    ///
    /// As [`usage`](Self::usage).
    pub fn oom_kills(&self) -> Result<Option<u64>, Failure> {
        self.figure(&OOM_KILLS)
    }

    fn figure(&self, figure: &Figure) -> Result<Option<u64>, Failure> {
        Ok(self.source(figure)?.map(|(_, source, number)| number / source.per))
    }

    /// Who knows `figure`, and what it says.
    fn source(&self, figure: &Figure) -> Result<Option<(&Group, &'static Source, u64)>, Failure> {
        for source in figure.sources {
            let knows = |group: &&Group| {
                let counts = source.controller.is_none_or(|controller| group.controllers().contains(&controller));
                group.version() == source.version && counts
            };
            let Some(group) = self.iter().find(knows) else { continue };
            let Some(text) = group.dir().read_if_there(source.file)? else { continue };
            let number = source.key.find(&text).map_err(|Odd| {
                let (group, source_of) = (group.dir().path().to_owned(), std::io::ErrorKind::InvalidData.into());
                ReadGroup { file: source.file, group, source: source_of }
            })?;
            if let Some(number) = number {
                return Ok(Some((group, source, number)));
            }
        }
        Ok(None)
    }
}

/// A text that is not what the kernel writes.
#[derive(Debug, PartialEq, Eq)]
struct Odd;

impl Key {
    /// The number in `text`; none where the file does not have that figure.
    fn find(self, text: &str) -> Result<Option<u64>, Odd> {
        let number = |word: &str| word.parse::<u64>().map_err(|_| Odd);
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        match self {
            Self::Whole => number(text).map(Some),
            Self::Line(name) => match lines.find(|words| words.first() == Some(&name)) {
                Some(words) => number(words.get(1).ok_or(Odd)?).map(Some),
                None => Ok(None),
            },
            Self::Devices(name) => {
                let of_devices = lines.filter(|words| words.len() == 3 && words[1] == name);
                of_devices.map(|words| number(words[2])).sum::<Result<u64, _>>().map(Some)
            }
            Self::Words(name) => {
                let words = text.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                words.map(number).sum::<Result<u64, _>>().map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_in_each_form_of_file() {
        let check = |key: Key, text: &str, found: Result<Option<u64>, Odd>| assert_eq!(key.find(text), found, "{text}");
        check(Key::Whole, "12", Ok(Some(12)));
        check(Key::Whole, "max", Err(Odd));
        check(Key::Line("oom_kill"), "oom 3\noom_kill 2\noom_group_kill 1", Ok(Some(2)));
        check(Key::Line("oom_kill"), "oom_kill_disable 0\nunder_oom 0", Ok(None));
        check(Key::Line("oom_kill"), "oom_kill", Err(Odd));
        check(Key::Line("oom_kill"), "oom_kill -1", Err(Odd));
        let v1 = "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\n8:16 Read 7\n8:16 Write 0\nTotal 18";
        check(Key::Devices("Read"), v1, Ok(Some(12)));
        check(Key::Devices("Write"), v1, Ok(Some(6)));
        let v2 = "8:16 rbytes=5 wbytes=6 rios=1 wios=1 dbytes=0 dios=0\n8:0 rbytes=7 wbytes=0 rios=1 wios=0";
        check(Key::Words("rbytes"), v2, Ok(Some(12)));
        check(Key::Words("bytes"), v2, Ok(Some(0)));
        check(Key::Words("rbytes"), "", Ok(Some(0)));
    }

    #[test]
    fn every_figure_of_the_interface_is_in_the_table_by_its_name() {
        let stated = |figure: &Figure| {
            let mut usage = Usage::default();
            (figure.state)(&mut usage, 5 * figure.per);
            serde_json::to_value(usage).expect("it serializes")
        };
        let all = serde_json::to_value(Usage::default()).expect("it serializes");
        assert_eq!(FIGURES.len(), all.as_object().expect("an object").len());
        for figure in &FIGURES {
            assert_eq!(stated(figure)[figure.name], 5, "{}", figure.name);
        }
    }
}
