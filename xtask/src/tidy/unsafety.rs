//! Rules about `unsafe`: where it lives, and what the comment beside it says.

use super::Finding;
use super::source::{Source, has_word};

/// Directories, by name, whose files may be unsafe.
const HOME_DIRS: [&str; 2] = ["helper", "sys"];
/// Files and directories, by path, that may be unsafe as well. The template is one file, for a reader's sake; suites
/// and the plugin that misbehaves on purpose do what a host must survive.
const HOME_PATHS: [&str; 5] = [
    "executor-api/src/abi/",
    "executor-loader/src/open.rs",
    "executor-loader/src/wait_async.rs",
    "tests/",
    "xtask/template/lib.rs",
];
/// What a SAFETY comment says when it proves nothing.
const EMPTY_REASONS: [&str; 5] =
    ["valid parameters", "safe because we call", "this is safe", "trust me", "nothing can go wrong"];
const LEAST_WORDS: usize = 5;

/// Code that may be unsafe is in `sys`, `helper`, the border's module, and where plugins are opened.
pub(super) fn home(source: &Source) -> Vec<Finding> {
    let (dirs, name) = source.place();
    let at_home = name == "sys.rs"
        || dirs.iter().any(|dir| HOME_DIRS.contains(dir))
        || HOME_PATHS.iter().any(|home| source.path.starts_with(home));
    if at_home {
        return Vec::new();
    }
    let lines = source.code.lines().enumerate().filter(|(_, line)| has_word(line, "unsafe"));
    lines.map(|(at, _)| Finding::at(at, "move this into sys: unsafe code does not live here")).collect()
}

/// A SAFETY comment proves: which pointer, how long valid, who keeps it.
pub(super) fn reasons(source: &Source) -> Vec<Finding> {
    let lines: Vec<&str> = source.comments.lines().map(str::trim).collect();
    let starts = lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.split_once("SAFETY:")?.1)));
    let proves = |(at, first): (usize, &str)| {
        let following = lines[at + 1..].iter().take_while(|line| !line.is_empty());
        let words = following.flat_map(|line| line.trim_start_matches('/').split_whitespace());
        let reason: Vec<String> = first.split_whitespace().chain(words).map(str::to_lowercase).collect();
        let reason_text = reason.join(" ");
        reason.len() >= LEAST_WORDS && !EMPTY_REASONS.iter().any(|empty| reason_text.contains(empty))
    };
    let empty = starts.filter(|start| !proves(*start));
    empty.map(|(at, _)| Finding::at(at, "prove it: which pointer, how long valid, who keeps it")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_code_away_from_home_is_found() {
        let code = "// unsafe\nlet x = \"unsafe\";\nunsafe { f() }\n#[unsafe(no_mangle)]\n#![deny(unsafe_code)]\n";
        for path in ["executor-loader/src/search.rs", "executor-linux/src/task.rs", "executor-api/src/spec.rs"] {
            assert_eq!(lines(home, path, code), [3, 4], "{path}");
        }
        for path in [
            "executor-linux/src/sys/clone3.rs",
            "executor-linux/src/helper/child.rs",
            "executor-fallback/src/supervisor/sys.rs",
            "executor-api/src/abi/glue.rs",
            "executor-loader/src/open.rs",
            "tests/plugin/src/lib.rs",
        ] {
            assert!(lines(home, path, code).is_empty(), "{path}");
        }
    }

    #[test]
    fn a_reason_that_proves_nothing_is_found() {
        let word = "SAFETY:";
        let empty = format!(
            "// {word} safe because\n// we call it right\nx();\n// {word} valid parameters here and there\n// {word} ok\n"
        );
        assert_eq!(lines(reasons, "a.rs", &empty), [1, 4, 5]);
        let proof = format!("// {word} `fprog` points at `len` instructions\n// borrowed for the call\nx();\n");
        assert!(lines(reasons, "a.rs", &proof).is_empty());
    }
}
