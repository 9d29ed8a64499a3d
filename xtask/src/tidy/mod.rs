//! `tidy`: the rules that no compiler and no linter checks.
//!
//! Every rule is a pure function over one file's path and text, and answers with findings: a line, and what to do there.
//! README.md's table of what plugins enforce is held against docs/capabilities in the same way, as one text of several.
//! `tests/fixtures` is left out: those are copies of other versions, kept as they were.

mod examples;
mod layers;
mod names;
mod source;
mod text;
mod unsafety;

use std::fs;
use std::path::Path;

use self::source::Source;
use crate::cargo::Workspace;
use crate::error::{Doing, Error, Result};
use crate::table;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Counted from 1.
    line: usize,
    /// What to do, in the imperative.
    advice: String,
}

impl Finding {
    /// For the line with this index, counted from 0.
    fn at(index: usize, advice: impl Into<String>) -> Self {
        Self { line: index + 1, advice: advice.into() }
    }
}

const RULES: [fn(&Source) -> Vec<Finding>; 12] = [
    text::length,
    text::module_doc,
    text::machine_paths,
    text::open_points,
    text::changelog,
    layers::arrows,
    layers::versions,
    layers::border_crate,
    names::files,
    names::types,
    unsafety::home,
    unsafety::reasons,
];

/// Left out wherever they lie.
const NOT_OURS: [&str; 3] = [".git", "target", "fixtures"];

pub(crate) fn verb() -> Result {
    check(&Workspace::find()?)
}

/// Holds every file of the workspace against every rule and prints what is to be done.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let mut sources = Vec::new();
    read(&workspace.root, &workspace.root, &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    let mut count = 0;
    for source in &sources {
        for Finding { line, advice } in findings(source) {
            println!("{}:{line}: {advice}", source.path);
            count += 1;
        }
    }
    for (path, index, advice) in table::findings(sources.iter().map(|source| (&*source.path, &*source.text))) {
        println!("{path}:{}: {advice}", index + 1);
        count += 1;
    }
    match count {
        0 => Ok(()),
        1 => Err(Error::new("one thing to do")),
        count => Err(Error::new(format!("{count} things to do"))),
    }
}

fn findings(source: &Source) -> Vec<Finding> {
    let mut found: Vec<_> = RULES.iter().chain(&[examples::public_items as _]).flat_map(|rule| rule(source)).collect();
    found.sort_by_key(|finding| finding.line);
    found
}

/// Reads the text files below `dir`; what is not UTF-8 is no text.
fn read(root: &Path, dir: &Path, sources: &mut Vec<Source>) -> Result {
    let entries = fs::read_dir(dir).doing(format!("read {}", dir.display()))?;
    for entry in entries {
        let entry = entry.doing(format!("read {}", dir.display()))?;
        let (path, kind) = (entry.path(), entry.file_type().doing(entry.path().display())?);
        if kind.is_dir() && !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            read(root, &path, sources)?;
        } else if kind.is_file() {
            let bytes = fs::read(&path).doing(format!("read {}", path.display()))?;
            let name = path.strip_prefix(root).doing(path.display())?.to_string_lossy().into_owned();
            sources.extend(String::from_utf8(bytes).ok().map(|text| Source::new(name, text)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_in_the_order_of_their_lines() {
        let source = Source::new("executor-loader/src/plugin.rs", "struct TaskManager;\nunsafe fn f() {}\n");
        let lines: Vec<_> = findings(&source).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 1, 2], "{:#?}", findings(&source));
    }

    #[test]
    fn the_fixtures_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["tests/fixtures/old", "target", "src"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
            fs::write(root.path().join(dir).join("a.rs"), "//! A.\n").unwrap();
        }
        fs::write(root.path().join("binary"), [0xff, 0xfe]).unwrap();
        let mut sources = Vec::new();
        read(root.path(), root.path(), &mut sources).unwrap();
        assert_eq!(sources.iter().map(|source| source.path.as_str()).collect::<Vec<_>>(), ["src/a.rs"]);
    }
}
