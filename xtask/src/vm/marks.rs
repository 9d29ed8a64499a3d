//! What comes out of a guest, read line by line: marks of its first process, and lines of the suites between them.
//!
//! A suite's tests are counted where all tests are, by names that say the lane. What was to run and did not is a
//! failure, by name.

use std::fmt;

use super::suites::Extent;
use crate::tally::{Stage, Tally};

const MARK: &str = "@vm ";
/// How a suite's line begins that has its sums.
const SUMS: &str = "test result: ";
const TEST: &str = "test ";
/// What stands between a test's name and its end.
const END_OF_NAME: &str = " ... ";
const SKIPPED: &str = "skipped: ";
/// Controllers that a guest must have for its suites to mean anything.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// How timeout(1) of busybox has ended a suite: by SIGTERM, or later by SIGKILL.
const TIMED_OUT: [&str; 2] = ["143", "137"];

/// A mark of the guest's first process.
#[derive(Debug, PartialEq, Eq)]
enum Mark<'a> {
    /// It is up: kernel, cgroups, uid, seconds since it began, controllers.
    Boot(&'a str),
    Begin(&'a str),
    /// A suite has ended, with this code.
    End {
        suite: &'a str,
        code: &'a str,
    },
    Done,
}

impl<'a> Mark<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (kind, rest) = line.strip_prefix(MARK)?.split_once(' ')?;
        let mut words = rest.split(' ');
        match kind {
            "boot" => Some(Self::Boot(rest)),
            "begin" => Some(Self::Begin(words.next()?)),
            "end" => Some(Self::End { suite: words.next()?, code: words.next()? }),
            "done" => Some(Self::Done),
            _ => None,
        }
    }
}

/// How far a guest has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    NotUp,
    /// Between two suites.
    Up,
    In(String),
    Done,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUp => f.write_str("before it was up"),
            Self::Up => f.write_str("between two suites"),
            Self::In(suite) => write!(f, "in the suite {suite}"),
            Self::Done => f.write_str("after its last suite"),
        }
    }
}

/// Reads what one lane says.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    lane: &'static str,
    /// What is to run.
    extent: Extent,
    tally: &'a mut Tally,
    progress: Progress,
    /// Sums that the suite has printed, and whether failures are among them.
    sums: Option<Failures>,
    ended: Vec<String>,
    /// Suites that ended otherwise than by saying their sums.
    broken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failures {
    None,
    Some,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lane: &'static str, extent: Extent, tally: &'a mut Tally) -> Self {
        Self { lane, extent, tally, progress: Progress::NotUp, sums: None, ended: Vec::new(), broken: 0 }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes a line, and prints it as it came.
    pub(super) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        let Some(mark) = Mark::read(line) else {
            println!("{line}");
            return self.of_suite(line);
        };
        match mark {
            Mark::Boot(what) => {
                println!("-- {}: up: {what}", self.lane);
                self.progress = Progress::Up;
                for missing in CONTROLLERS.iter().filter(|name| !what.split(' ').any(|word| word == **name)) {
                    let why = Stage::Failed(format!("the guest has no controller {missing}"));
                    self.tally.stage(&format!("vm-{}", self.lane), why);
                }
            }
            Mark::Begin(suite) => {
                println!("-- {}: suite {suite}", self.lane);
                self.progress = Progress::In(suite.to_owned());
                self.sums = None;
            }
            Mark::End { suite, code } => self.end_of_suite(suite, code),
            Mark::Done => self.progress = Progress::Done,
        }
    }

    fn of_suite(&mut self, line: &str) {
        let Progress::In(suite) = &self.progress else { return };
        let named = with_names_below(&format!("vm-{}/{suite}/", self.lane), line);
        self.tally.line(&named);
        if let Some(sums) = line.strip_prefix(SUMS) {
            let failed = !sums.contains(" 0 failed");
            self.sums = Some(if failed { Failures::Some } else { Failures::None });
        }
    }

    fn end_of_suite(&mut self, suite: &str, code: &str) {
        let name = format!("vm-{}/{suite}", self.lane);
        let why = match (code, self.sums) {
            (code, _) if TIMED_OUT.contains(&code) => Some("it was killed, most likely at its time limit".to_owned()),
            (_, None) => Some(format!("it ended with {code} and without its sums")),
            ("0", _) | (_, Some(Failures::Some)) => None,
            (_, Some(Failures::None)) => Some(format!("it ended with {code}")),
        };
        if let Some(why) = why {
            self.tally.stage(&name, Stage::Failed(why));
            self.broken += 1;
        }
        self.ended.push(suite.to_owned());
        self.progress = Progress::Up;
    }

    /// The guest is gone: what has not ended in it has failed. Answers with how many suites have not told their sums.
    pub(super) fn close(self, why: &str) -> usize {
        let missing = self.extent.suites().filter(|suite| !self.ended.iter().any(|ended| ended == suite.name));
        missing.fold(self.broken, |broken, suite| {
            self.tally.stage(&format!("vm-{}/{}", self.lane, suite.name), Stage::Failed(why.to_owned()));
            broken + 1
        })
    }
}

/// The line of a suite with `prefix` before each name of a test.
fn with_names_below(prefix: &str, line: &str) -> String {
    if let Some(said) = line.strip_prefix(SKIPPED) {
        return format!("{SKIPPED}{prefix}{said}");
    }
    let named = line.strip_prefix(TEST).filter(|_| !line.starts_with(SUMS));
    let Some((name, end)) = named.and_then(|rest| rest.split_once(END_OF_NAME)) else { return line.to_owned() };
    let end = match end.strip_prefix(SKIPPED) {
        Some(said) => format!("{SKIPPED}{prefix}{said}"),
        None => end.to_owned(),
    };
    format!("{TEST}{prefix}{name}{END_OF_NAME}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> (String, Progress) {
        let mut tally = Tally::default();
        let mut reader = Reader::new("6.1", Extent::Whole, &mut tally);
        lines.lines().for_each(|line| reader.line(line));
        let progress = reader.progress().clone();
        (tally.sums(), progress)
    }

    #[test]
    fn a_suites_tests_are_counted_between_its_marks() {
        let (sums, progress) = read(
            "@vm boot 6.1.0 v2 0 1.9 controllers cpu memory pids\r\n@vm begin command\r\ntest one ... ok\r\ntest two ... ignored\r\n\
             test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1s\r\n\
             @vm end command 0 3.5\n@vm done 3.6\n",
        );
        assert_eq!((sums.as_str(), progress), ("1 passed, 0 failed, 1 skipped", Progress::Done));
    }

    #[test]
    fn a_suite_that_dies_is_a_failure_and_one_that_counts_its_own_is_not_counted_twice() {
        let failed = "@vm begin a\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n@vm end a 101 2\n";
        assert_eq!(read(failed).0, "1 passed, 2 failed, 0 skipped");
        assert_eq!(read("@vm begin a\n@vm end a 0 2\n").0, "0 passed, 1 failed, 0 skipped");
        let late = "@vm begin a\ntest result: ok. 1 passed; 0 failed; 0 ignored\n@vm end a 139 2\n";
        assert_eq!(read(late).0, "1 passed, 1 failed, 0 skipped");
        assert_eq!(read("@vm begin a\n@vm end a 143 2\n").0, "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_guest_without_a_controller_has_failed() {
        assert_eq!(read("@vm boot 6.1.0 v2 0 1.9 controllers cpuset cpu pids").0, "0 passed, 1 failed, 0 skipped");
        assert_eq!(
            read("@vm boot 6.1.0 v1 0 1.9 controllers cpu cpu,cpuacct memory pids").0,
            "0 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn what_has_not_run_has_failed() {
        let mut tally = Tally::default();
        let mut reader = Reader::new("6.1", Extent::Whole, &mut tally);
        reader.line("@vm begin conformance");
        assert_eq!(reader.progress().to_string(), "in the suite conformance");
        let all = Extent::Whole.suites().count();
        assert_eq!(reader.close("the kernel panicked"), all);
        assert_eq!(tally.sums(), format!("0 passed, {all} failed, 0 skipped"));
    }

    #[test]
    fn every_name_says_the_lane_and_the_suite() {
        let named = |line| with_names_below("vm-6.1/a/", line);
        assert_eq!(named("test one ... ok"), "test vm-6.1/a/one ... ok");
        assert_eq!(named("skipped: one: needs cc"), "skipped: vm-6.1/a/one: needs cc");
        assert_eq!(named("test one ... skipped: two: x"), "test vm-6.1/a/one ... skipped: vm-6.1/a/two: x");
        for line in ["test result: ok. 1 passed", "running 2 tests", "ignored", "7. 500 tasks ... at once"] {
            assert_eq!(named(line), line);
        }
    }

    #[test]
    fn only_whole_marks_are_marks() {
        assert_eq!(Mark::read("@vm end a 7 1.5"), Some(Mark::End { suite: "a", code: "7" }));
        for line in ["@vm end a", "@vm", "@vm other x", "x @vm done 1", ""] {
            assert_eq!(Mark::read(line), None, "{line}");
        }
    }
}
