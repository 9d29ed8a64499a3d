//! Rules about a file as a text: its length, its head, and words that do not belong in a repository.

use super::Finding;
use super::source::{Source, has_word};

const MOST_LINES: usize = 400;
/// An example is read at a glance.
const MOST_LINES_OF_AN_EXAMPLE: usize = 50;
/// Directories of one machine, by their first component.
const MACHINE_DIRS: [&str; 2] = ["work", "root"];

/// A Rust file is at most 400 lines long, its tests included; an example at most 50.
pub(super) fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let most = if source.place().0.contains(&"examples") { MOST_LINES_OF_AN_EXAMPLE } else { MOST_LINES };
    let long = source.is_rust() && lines > most;
    let advice = || format!("split this file: it has {lines} lines, {most} at most");
    long.then(|| Finding::at(most, advice())).into_iter().collect()
}

/// A Rust file begins with `//!`: what it owns and what it refuses to do.
pub(super) fn module_doc(source: &Source) -> Vec<Finding> {
    let mut head = source.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("#!["));
    let documented = !source.is_rust() || head.next().is_some_and(|line| line.starts_with("//!"));
    let advice = "begin the file with //! and what it owns, what it refuses to do, and the source it follows";
    (!documented).then(|| Finding::at(0, advice)).into_iter().collect()
}

/// No path of somebody's machine.
pub(super) fn machine_paths(source: &Source) -> Vec<Finding> {
    let names_one = |line: &str| {
        MACHINE_DIRS.iter().any(|dir| {
            let path = format!("/{dir}/");
            let starts =
                |at: usize| !line[..at].ends_with(|char: char| char.is_alphanumeric() || "._-/})".contains(char));
            line.match_indices(&path).any(|(at, _)| starts(at))
        })
    };
    let lines = source.text.lines().enumerate().filter(|(_, line)| names_one(line));
    lines.map(|(at, _)| Finding::at(at, "take out the path of one machine")).collect()
}

/// An open point in a comment has the number of its issue.
pub(super) fn open_points(source: &Source) -> Vec<Finding> {
    let marks = ["TODO", "FIXME", "XXX"];
    let has_number =
        |line: &str| line.split('#').skip(1).any(|after| after.starts_with(|char: char| char.is_ascii_digit()));
    let lines = source.comments.lines().enumerate();
    let open = lines.filter(|(_, line)| marks.iter().any(|mark| has_word(line, mark)) && !has_number(line));
    open.map(|(at, _)| Finding::at(at, "give the open point the number of its issue, or settle it")).collect()
}

/// The changelog has a section for what is not released yet.
pub(super) fn changelog(source: &Source) -> Vec<Finding> {
    let has_section =
        || source.text.lines().any(|line| ["## [Unreleased]", "## Unreleased"].contains(&line.trim_end()));
    let missing = source.path == "CHANGELOG.md" && !has_section();
    missing.then(|| Finding::at(0, "add the section ## [Unreleased]")).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_of_401_lines_is_too_long() {
        assert_eq!(lines(length, "a.rs", &"x\n".repeat(401)), [401]);
        assert!(lines(length, "a.rs", &"x\n".repeat(400)).is_empty());
        assert!(lines(length, "a.md", &"x\n".repeat(401)).is_empty());
        assert_eq!(lines(length, "loader/examples/a.rs", &"x\n".repeat(51)), [51]);
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(lines(module_doc, "a.rs", "use x;\n//! late\n"), [1]);
        assert_eq!(lines(module_doc, "a.rs", ""), [1]);
        assert!(lines(module_doc, "a.rs", "#![no_std]\n\n//! Doc.\n").is_empty());
        assert!(lines(module_doc, "a.toml", "x = 1").is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let [work, root] = MACHINE_DIRS.map(|dir| format!("/{dir}/x"));
        assert_eq!(lines(machine_paths, "a.md", &format!("a\nsee {work}\n`{root}`\n")), [2, 3]);
        assert!(lines(machine_paths, "a.rs", &format!("\"/proc/1{root}\" ${{dir}}{work} src{work}")).is_empty());
    }

    #[test]
    fn an_open_point_without_a_number_is_found() {
        let mark = "TODO";
        assert_eq!(lines(open_points, "a.rs", &format!("a(); // {mark}: later\n// {mark} by issue#\n")), [1, 2]);
        assert!(lines(open_points, "a.rs", &format!("// {mark}(#12): then\nlet x = \"{mark}\";\n")).is_empty());
    }

    #[test]
    fn a_changelog_without_its_section_is_found() {
        assert_eq!(lines(changelog, "CHANGELOG.md", "# Changelog\n## [1.0.0]\n"), [1]);
        assert!(lines(changelog, "CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n").is_empty());
    }
}
