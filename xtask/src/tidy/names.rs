//! Rules about names: words that say nothing about a file's or a type's job.

use super::Finding;
use super::source::Source;

/// The words, in lower case. A longer word that ends in one (metadata) is another word.
const EMPTY_WORDS: [&str; 13] = [
    "base",
    "common",
    "data",
    "handler",
    "helper",
    "impl",
    "info",
    "manager",
    "misc",
    "processor",
    "util",
    "utils",
    "wrapper",
];
/// The embedded program is called so after its job: it helps the launch from inside.
const ALLOWED_DIR: &str = "executor-linux/src/helper/";

/// A file and the directories above it are named after their job.
pub(super) fn files(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let (dirs, name) = source.place();
    let dirs = dirs.into_iter().filter(|dir| !(*dir == "helper" && source.path.starts_with(ALLOWED_DIR)));
    let stem = name.trim_end_matches(".rs");
    let named = dirs.chain([stem]).find(|name| name.rsplit(['_', '-']).next().is_some_and(is_empty));
    let advice = |name| format!("rename {name}: say what its job is");
    named.map(|name| Finding::at(0, advice(name))).into_iter().collect()
}

/// A type is named after its job.
pub(super) fn types(source: &Source) -> Vec<Finding> {
    let lines = source.code.lines().enumerate();
    let named = lines.filter_map(|(at, line)| Some((at, declared(line)?)));
    let named = named.filter(|(_, name)| is_empty(&last_word(name).to_lowercase()));
    named.map(|(at, name)| Finding::at(at, format!("rename {name}: say what its job is"))).collect()
}

fn is_empty(word: &str) -> bool {
    EMPTY_WORDS.contains(&word)
}

/// The name of the type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split(|char: char| !(char.is_alphanumeric() || char == '_')).filter(|word| !word.is_empty());
    words.find(|word| ["struct", "enum", "trait", "union", "type"].contains(word))?;
    words.next().filter(|name| name.starts_with(|char: char| char.is_ascii_uppercase()))
}

/// The last word of a name in camel case.
fn last_word(name: &str) -> &str {
    name.rfind(|char: char| char.is_ascii_uppercase()).map_or(name, |at| &name[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_without_a_job_is_found() {
        for path in
            ["a/src/utils.rs", "a/src/task_manager.rs", "a/src/common/mod.rs", "executor-loader/src/helper/x.rs"]
        {
            assert_eq!(lines(files, path, ""), [1], "{path}");
        }
        for path in ["a/src/metadata.rs", "executor-linux/src/helper/main.rs", "docs/data.md", "a/src/base_dir.rs"] {
            assert!(lines(files, path, "").is_empty(), "{path}");
        }
    }

    #[test]
    fn a_type_without_a_job_is_found() {
        let code =
            "pub(crate) struct TaskManager<T>(T);\nenum Info {}\npub trait ExecutorImpl: Send {}\ntype CpuData = u8;\n";
        assert_eq!(lines(types, "a.rs", code), [1, 2, 3, 4]);
        let code = "struct PluginMetadata;\n// struct TaskManager;\nlet x = \"struct Util\";\nstruct Helpers;\nimpl Handlers {}\n";
        assert!(lines(types, "a.rs", code).is_empty());
    }
}
