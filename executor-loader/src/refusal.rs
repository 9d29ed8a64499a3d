//! Why a file, or a directory, gives no plugin: one line, and how to mend it.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The longest reason; what a file says of itself can be as long as its author likes.
const LONGEST: usize = 400;

/// What kept a candidate from being used. `Display` is one line: the step at which it stopped, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{stage}: {}", one_line(why))]
pub struct Refusal {
    /// The step at which it stopped.
    pub stage: Stage,
    /// The reason, on one line, free of control characters.
    pub why: String,
    /// What the user can do about it, on one line; empty where nothing can be said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// Everything that is known, over many lines, for whoever builds the plugin; often empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub report: String,
}

impl Refusal {
    /// A refusal at `stage` for the reason `why`; a text of several lines becomes one.
    pub(crate) fn new(stage: Stage, why: impl AsRef<str>) -> Self {
        Self { stage, why: one_line(why.as_ref()), fix: String::new(), report: String::new() }
    }

    /// The same refusal, with what the user can do about it.
    #[must_use]
    pub(crate) fn with_fix(self, fix: impl AsRef<str>) -> Self {
        Self { fix: one_line(fix.as_ref()), ..self }
    }

    /// The same refusal, with the long text behind it.
    #[must_use]
    pub(crate) fn with_report(self, report: impl Into<String>) -> Self {
        Self { report: report.into(), ..self }
    }
}

/// The steps that a candidate goes through, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// Directories are read for files with the name of a plugin.
    Search,
    /// Owner and mode of the file and of everything above it are checked.
    Trust,
    /// The file is compared with the list of allowed files.
    Lock,
    /// The file is read, without running anything of it.
    Metadata,
    /// The plugin runs in a process of its own and is asked what it can do.
    Probe,
    /// The file is loaded into the host.
    Load,
    /// The plugin is made.
    Init,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Search => "search",
            Self::Trust => "trust",
            Self::Lock => "lock",
            Self::Metadata => "metadata",
            Self::Probe => "probe",
            Self::Load => "load",
            Self::Init => "init",
        })
    }
}

/// `text` on one line, cut to a bearable length: no control characters and none that turn the direction of writing, so
/// that a file's name or contents cannot forge lines of a report or drive a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line: String =
        words.join(" ").chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect();
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// `path` as a shell takes it, for the commands in a fix.
pub(crate) fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(plain) && !text.is_empty() {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_whatever_it_quotes() {
        let refusal = Refusal::new(Stage::Metadata, "a\nb\r\tc\u{1b}[2Jd\u{202e}e").with_fix("x\ny");
        assert_eq!(refusal.to_string(), "metadata: a b c\u{fffd}[2Jd\u{fffd}e");
        assert_eq!(refusal.fix, "x y");
        assert_eq!(Refusal::new(Stage::Load, "ä".repeat(5000)).why.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_path_survives_the_shell() {
        assert_eq!(shell(Path::new("/usr/lib/x.so")), "/usr/lib/x.so");
        assert_eq!(shell(Path::new("/it's here")), "'/it'\\''s here'");
    }

    #[test]
    fn a_refusal_reads_back_from_a_cache() {
        let refusal = Refusal::new(Stage::Probe, "it crashed").with_report("signal 11\n");
        let json = serde_json::to_string(&refusal).expect("it is written");
        assert_eq!(json, r#"{"stage":"probe","why":"it crashed","report":"signal 11\n"}"#);
        assert_eq!(serde_json::from_str::<Refusal>(&json).expect("it is read"), refusal);
    }
}
