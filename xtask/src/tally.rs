//! Counts what passed, failed and was skipped, over test programs and whole stages.
//!
//! A test program's output is passed on line by line and read on its way: `test result:` lines for the sums, `test …`
//! lines for names, and `skipped: NAME: reason` lines, by which the suites say why they ignore a trial.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::error::{Doing, Error, Result};

/// How a stage of the run ended.
#[derive(Debug)]
pub(crate) enum Stage {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The sums so far, and the names behind those that are not passes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
    skips: Vec<String>,
    reasons: BTreeMap<String, String>,
    /// A test whose line was begun, and then somebody's reason came in between.
    half_told: Option<String>,
}

/// What a line begins with that says why a test is ignored.
const SKIPPED: &str = "skipped: ";
/// How the line of a test may end.
const ENDS: [&str; 3] = ["ok", "FAILED", "ignored"];

impl Tally {
    /// Counts a stage.
    pub(crate) fn stage(&mut self, name: &str, stage: Stage) {
        match stage {
            Stage::Passed => self.passed += 1,
            Stage::Failed(why) => {
                self.failed += 1;
                self.failures.push(format!("{name}: {why}"));
            }
            Stage::Skipped(why) => {
                self.skipped += 1;
                self.skips.push(name.to_owned());
                self.reasons.insert(name.to_owned(), why);
            }
        }
    }

    /// Runs test programs and counts their tests. One that ends badly without counting a failure is itself one.
    pub(crate) fn tests(&mut self, name: &str, command: &mut Command) -> Result {
        let failed_before = self.failed;
        let mut child = command.stdout(Stdio::piped()).spawn().doing(format!("start {name}"))?;
        let stdout = child.stdout.take().doing("take the output of the tests")?;
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.doing(format!("read what {name} prints"))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            self.line(&line);
        }
        let status = child.wait().doing(format!("wait for {name}"))?;
        if !status.success() && self.failed == failed_before {
            self.stage(name, Stage::Failed(status.to_string()));
        }
        Ok(())
    }

    /// Reads a line of a test program, and counts what it says.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(sums) = line.strip_prefix("test result: ") {
            let count =
                |word| sums.split(['.', ';']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
            let count = |word| count(word).unwrap_or(0);
            let [passed, failed, ignored] = ["passed", "failed", "ignored"].map(count);
            self.passed += passed;
            self.failed += failed;
            self.skipped += ignored;
        } else if let Some(said) = line.strip_prefix(SKIPPED) {
            self.reason(said);
        } else if let Some(name) = self.half_told.take_if(|_| ENDS.iter().any(|end| line.starts_with(end))) {
            self.end_of_test(&name, line);
        } else if let Some((name, end)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            match end.strip_prefix(SKIPPED) {
                Some(said) => {
                    self.reason(said);
                    self.half_told = Some(name.trim_end().to_owned());
                }
                None => self.end_of_test(name.trim_end(), end),
            }
        }
    }

    fn reason(&mut self, said: &str) {
        let (name, reason) = said.split_once(": ").unwrap_or((said, ""));
        self.reasons.insert(name.to_owned(), reason.to_owned());
    }

    fn end_of_test(&mut self, name: &str, end: &str) {
        if end.starts_with("FAILED") {
            self.failures.push(name.to_owned());
        } else if let Some(reason) = end.strip_prefix("ignored") {
            self.skips.push(name.to_owned());
            // libtest writes a comma before the reason, libtest-mimic puts it in parentheses.
            let bare = reason.strip_prefix(", ").or_else(|| reason.strip_prefix(" (")?.strip_suffix(')'));
            if let Some(reason) = bare {
                self.reasons.insert(name.to_owned(), reason.to_owned());
            }
        }
    }

    /// Prints each skip with its reason, each failure, and last the sums on a line of their own.
    pub(crate) fn close(&self) -> Result {
        println!();
        for name in &self.skips {
            let reason = self.reasons.get(name).map_or("it gives no reason", String::as_str);
            println!("skipped: {name}: {reason}");
        }
        for name in &self.failures {
            println!("failed: {name}");
        }
        println!("{}", self.sums());
        if self.failed == 0 { Ok(()) } else { Err(Error::told()) }
    }

    /// The sums, as the closing line has them.
    pub(crate) fn sums(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn the_sums_of_several_programs_are_added() {
        let tally = read(
            "running 2 tests\n\
             test a::b ... ok\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             test kills::tree      ... FAILED\n\
             test result: FAILED. 10 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.00s\n",
        );
        assert_eq!(tally.sums(), "12 passed, 1 failed, 3 skipped");
        assert_eq!(tally.failures, ["kills::tree"]);
    }

    #[test]
    fn reasons_are_found_wherever_they_are_given() {
        let tally = read(
            "skipped: limits::memory: needs cgroup2: not mounted\n\
             test limits::memory   ... ignored\n\
             test slow ... ignored, takes an hour\n\
             test linux::pids ... ignored (the plugin does not state pids)\n\
             test src/lib.rs - spec (line 3) ... ignored\n",
        );
        assert_eq!(tally.skips, ["limits::memory", "slow", "linux::pids", "src/lib.rs - spec (line 3)"]);
        assert_eq!(tally.reasons["limits::memory"], "needs cgroup2: not mounted");
        assert_eq!(tally.reasons["slow"], "takes an hour");
        assert_eq!(tally.reasons["linux::pids"], "the plugin does not state pids");
    }

    #[test]
    fn a_reason_within_another_tests_line_hides_neither() {
        let tally = read(
            "test one ... skipped: two: needs root\nignored\n\
             test two ... ignored\n\
             test three ... skipped: one: needs cc\nFAILED\n",
        );
        assert_eq!((tally.skips, tally.failures), (vec!["one".into(), "two".into()], vec!["three".to_owned()]));
        assert_eq!((tally.reasons["one"].as_str(), tally.reasons["two"].as_str()), ("needs cc", "needs root"));
    }

    #[test]
    fn a_program_that_dies_without_a_word_is_a_failure() {
        let mut tally = Tally::default();
        tally.tests("suite", Command::new("sh").args(["-c", "kill -9 $$"])).unwrap();
        assert_eq!(tally.sums(), "0 passed, 1 failed, 0 skipped");
        assert!(tally.failures[0].starts_with("suite: signal: 9"), "{:?}", tally.failures);
        assert!(tally.close().is_err_and(|error| error.is_told()));
    }

    #[test]
    fn a_stage_counts_as_one() {
        let mut tally = Tally::default();
        tally.stage("fmt", Stage::Passed);
        tally.stage("deny", Stage::Skipped("it is not installed".into()));
        assert_eq!(tally.sums(), "1 passed, 0 failed, 1 skipped");
        assert!(tally.close().is_ok());
    }
}
