//! Where files are: a name twice, too many of them, one that is replaced while it is looked at.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use executor_tests::{misbehaving, trial};
use libtest_mimic::{Failed, Trial};

use crate::answers::Row;
use crate::run::{dir, discover, expect, host, write};

/// Gives the answer for the table.
type Test = fn() -> Result<String, Failed>;

pub(crate) fn trials() -> Vec<Trial> {
    let places: [(&str, &str, Test); 5] = [
        ("a name twice", "the_first_of_a_name_wins_and_the_second_is_shown", twice),
        ("a bad file before a good one", "a_bad_file_keeps_its_name_from_a_good_one", bad_before_good),
        ("a link to another plugin", "a_link_to_a_file_of_another_name_is_refused", linked),
        ("10,000 files", "ten_thousand_files_are_looked_at_in_part_and_quickly", ten_thousand),
        ("replaced while it is looked at", "a_file_that_is_swapped_is_one_of_the_two_or_refused", swapped),
    ];
    let trials = places.into_iter().map(|(what, name, test)| {
        let row = Row::next();
        trial(name, &[], move || {
            row.fill(what, &test()?);
            Ok(())
        })
    });
    trials.collect()
}

/// The answers for the same name in two directories.
fn pair(first: &str, second: &str) -> Result<[String; 2], Failed> {
    let (one, two) = (dir(), dir());
    drop(misbehaving(first, "misbehave", one.path()));
    drop(misbehaving(second, "misbehave", two.path()));
    let lines = discover(&[one.path(), two.path()])?;
    let place = |line: &String| {
        line.replace(&one.path().display().to_string(), "FIRST").replace(&two.path().display().to_string(), "SECOND")
    };
    let lines: Vec<String> = lines.iter().filter(|line| !line.starts_with("used ")).map(place).collect();
    <[String; 2]>::try_from(lines).map_err(|lines| format!("not two lines: {lines:#?}").into())
}

fn twice() -> Result<String, Failed> {
    let [first, second] = pair("good", "good")?;
    expect(&first, "FIRST/libexecutor_misbehave.so: usable, score 1")?;
    let shown = second.strip_prefix("SECOND/libexecutor_misbehave.so: ").unwrap_or(&second).to_owned();
    expect(&shown, "shadowed by FIRST/libexecutor_misbehave.so")?;
    Ok(format!("first: usable, score 1; second: {shown}"))
}

fn bad_before_good() -> Result<String, Failed> {
    let [first, second] = pair("constructor-crash", "good")?;
    expect(&first, "FIRST/libexecutor_misbehave.so: refused: ")?;
    expect(&second, "SECOND/libexecutor_misbehave.so: shadowed by FIRST/libexecutor_misbehave.so")?;
    Ok("first: refused, second: shadowed".into())
}

fn linked() -> Result<String, Failed> {
    let dir = dir();
    drop(misbehaving("good", "misbehave", dir.path()));
    std::os::unix::fs::symlink("libexecutor_misbehave.so", dir.path().join("libexecutor_other.so")).expect("a link");
    let lines = discover(&[dir.path()])?;
    expect(&lines[0], "libexecutor_misbehave.so: usable, score 1")?;
    let answer = lines[1].rsplit("libexecutor_other.so: ").next().unwrap_or_default().to_owned();
    expect(&answer, "refused: metadata: it calls itself \"misbehave\"")?;
    Ok(answer)
}

fn ten_thousand() -> Result<String, Failed> {
    let dir = dir();
    for number in 0..10_000 {
        write(&dir.path().join(format!("libexecutor_p{number:04}.so")), "not a plugin");
    }
    let start = Instant::now();
    let lines = discover(&[dir.path()])?;
    let took = start.elapsed();
    if lines.len() != 257 || took > Duration::from_secs(2) {
        return Err(format!("{} lines in {took:?}", lines.len()).into());
    }
    let (of_the_directory, of_files): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("left out"));
    expect(of_the_directory[0], "holds 10000 files named like plugins: the first 256 were taken, 9744 left out")?;
    of_files.iter().try_for_each(|line| expect(line, ": refused: metadata: not an ELF file"))?;
    let name = format!("{}", dir.path().display());
    let answer = of_the_directory[0].rsplit(": refused: ").next().unwrap_or_default().replace(&name, "DIR");
    Ok(format!("{answer} (and 256 lines: not an ELF file)"))
}

/// Two versions of a file take turns, by rename, while a host looks 200 times.
fn swapped() -> Result<String, Failed> {
    let (looked_at, versions) = (dir(), dir());
    let make = |behaviour: &str, name: &str| {
        let version = versions.path().join(name);
        fs::rename(misbehaving(behaviour, "misbehave", versions.path()), &version).expect("a rename");
        version
    };
    let (good, other) = (make("good", "good"), make("probe-unusable", "other"));
    let file = looked_at.path().join("libexecutor_misbehave.so");
    fs::hard_link(&good, &file).expect("a link");
    let args: [&Path; 4] = [looked_at.path(), &file, &good, &other];
    let lines = host("swap", &args.map(Path::as_os_str) as &[&OsStr], Duration::from_secs(120))?;
    let answers = [": usable, score 1", ": not usable here: it was asked to say", ": refused: "];
    let count = |answer: &str| lines.iter().filter(|line| line.contains(answer)).count();
    let counts = answers.map(count);
    if lines.len() != 200 || counts.iter().sum::<usize>() != 200 {
        return Err(format!("{counts:?} of {}: {lines:#?}", lines.len()).into());
    }
    let reasons: std::collections::BTreeSet<&str> =
        lines.iter().filter_map(|line| line.split_once(": refused: ").map(|(_, why)| why)).collect();
    let reasons = format!("{reasons:?}").replace(&looked_at.path().display().to_string(), "DIR");
    Ok(format!("of 200 looks {} found the first, {} the second, {} refused {reasons}", counts[0], counts[1], counts[2]))
}
