//! `table`: what each plugin enforces, in docs/capabilities as the plugins say it and in README.md as a table.
//!
//! The files are reports of `executor plugins --json`, one for each plugin and situation: `<plugin>-<os>-<who>.json`. A
//! test holds them against the plugins, and tidy, which builds nothing, holds the table against them. What another system
//! would say cannot be asked here, so those files are written there.

mod ask;
mod render;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use self::ask::{Answer, Asked, ask};
use self::render::render;
use self::report::Report;
use crate::build::{Progress, compile};
use crate::cargo::Workspace;
use crate::error::{Doing, Error, Result};
use crate::flags::Profile;
use crate::tally::{Stage, Tally};

const HOME: &str = "docs/capabilities/";
const README: &str = "README.md";
const BEGIN: &str = "<!-- capabilities: begin";
const END: &str = "<!-- capabilities: end -->";
const ADVICE: &str = "run cargo xtask table";

/// Texts by their path, relative to the root.
type Texts = BTreeMap<String, String>;

pub(crate) fn verb() -> Result {
    let workspace = Workspace::find()?;
    let built = compile(&workspace, Profile::Dev, Progress::Quiet)?;
    let mut kept = kept(&workspace.root)?;
    for asked in ask(&built)? {
        match asked.answer {
            Answer::Reports(reports) => {
                for path in kept.keys().filter(|path| asked.situation.is_of(path) && !reports.contains_key(*path)) {
                    fs::remove_file(workspace.root.join(path)).doing(format!("remove {path}"))?;
                    println!("removed {path}");
                }
                kept.retain(|path, _| !asked.situation.is_of(path));
                for (path, text) in &reports {
                    write(&workspace.root, path, text)?;
                }
                kept.extend(reports);
            }
            Answer::NotHere(why) => println!("left as it is: {HOME}*-{}.json: {why}", asked.situation),
        }
    }
    let readme = fs::read_to_string(workspace.root.join(README)).doing(format!("read {README}"))?;
    let place = place(&readme)?;
    let text = [&readme[..place.start], &table(&kept)?, &readme[place.end..]].concat();
    write(&workspace.root, README, &text)
}

/// Holds the files against what the plugins say, one stage for each situation. Where root is promised, that it cannot be
/// asked as root is a failure.
pub(crate) fn check(workspace: &Workspace, tally: &mut Tally, root_is_promised: bool) -> Result {
    let kept = kept(&workspace.root)?;
    for asked in ask(&compile(workspace, Profile::Dev, Progress::Quiet)?)? {
        let name = format!("what plugins enforce, {}", asked.situation);
        let stage = match compare(&kept, asked) {
            Stage::Skipped(why) if root_is_promised => Stage::Failed(why),
            stage => stage,
        };
        tally.stage(&name, stage);
    }
    Ok(())
}

fn compare(kept: &Texts, asked: Asked) -> Stage {
    let reports = match asked.answer {
        Answer::Reports(reports) => reports,
        Answer::NotHere(why) => return Stage::Skipped(why),
    };
    let kept: Texts = kept.clone().into_iter().filter(|(path, _)| asked.situation.is_of(path)).collect();
    let differs = |path: &&String| kept.get(*path) != reports.get(*path);
    let paths: Vec<&str> = kept.keys().chain(reports.keys()).filter(differs).map(String::as_str).collect();
    match paths.first() {
        None => Stage::Passed,
        Some(path) => Stage::Failed(format!("{path} is not what the plugin says: {ADVICE}")),
    }
}

/// What tidy has to say: for which file, at which line counted from 0, and what to do. Builds and asks nothing.
pub(crate) fn findings<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, usize, String)> {
    let texts: Vec<_> = texts.collect();
    let reports = texts.iter().filter(|(path, _)| is_report(path));
    let reports: Texts = reports.map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let Some((_, readme)) = texts.iter().find(|(path, _)| *path == README) else { return Vec::new() };
    let line = |at: usize| readme[..at].lines().count();
    match (table(&reports), place(readme)) {
        (Err(error), _) | (_, Err(error)) => vec![(README.to_owned(), 0, error.to_string())],
        (Ok(table), Ok(place)) if readme[place.clone()] != table => {
            vec![(README.to_owned(), line(place.start), format!("this is not what {HOME} says: {ADVICE}"))]
        }
        (Ok(_), Ok(_)) => Vec::new(),
    }
}

/// The table that the files give.
fn table(reports: &Texts) -> Result<String> {
    let reports: Vec<Report> = reports.iter().map(|(path, text)| Report::read(path, text)).collect::<Result<_>>()?;
    if reports.is_empty() { Err(Error::new(format!("{HOME} is empty: {ADVICE}"))) } else { render(&reports) }
}

/// Where the table is in the README: between the lines with the two marks.
fn place(readme: &str) -> Result<Range<usize>> {
    let missing =
        |mark: &str| format!("write a line {mark}, for cargo xtask table to fill in what each plugin enforces");
    let begin = readme.find(BEGIN).doing(missing(&format!("{BEGIN} -->")))?;
    let start = begin + readme[begin..].find('\n').doing(missing(END))? + 1;
    let end = start + readme[start..].find(END).doing(missing(END))?;
    Ok(start..end)
}

fn is_report(path: &str) -> bool {
    path.starts_with(HOME) && path.ends_with(".json")
}

/// The files as they are.
fn kept(root: &Path) -> Result<Texts> {
    let mut kept = Texts::new();
    let dir = root.join(HOME);
    if !dir.exists() {
        return Ok(kept);
    }
    for entry in fs::read_dir(&dir).doing(format!("read {HOME}"))? {
        let entry = entry.doing(format!("read {HOME}"))?;
        let path = format!("{HOME}{}", entry.file_name().to_string_lossy());
        if is_report(&path) {
            kept.insert(path, fs::read_to_string(entry.path()).doing(format!("read {}", entry.path().display()))?);
        }
    }
    Ok(kept)
}

/// Writes a file that has changed, and says so.
fn write(root: &Path, path: &str, text: &str) -> Result {
    let place = root.join(path);
    if fs::read_to_string(&place).is_ok_and(|now| now == text) {
        return Ok(());
    }
    fs::create_dir_all(place.parent().unwrap_or(root)).doing(format!("make the directory of {path}"))?;
    fs::write(&place, text).doing(format!("write {path}"))?;
    println!("wrote {path}");
    Ok(())
}

#[cfg(test)]
mod tests;
