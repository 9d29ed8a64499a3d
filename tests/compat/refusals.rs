//! Plugins that a host must refuse: a fixture with one thing changed, made and built when the suite runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use executor_tests::trial;
use libtest_mimic::{Failed, Trial};

use crate::fixtures::{Version, build, built, cargo, library, run, scratch, source, write};

/// One change to a copy of executor-api, and the words that its refusal must have.
struct Change {
    name: &'static str,
    of: Version,
    behaviour: &'static str,
    /// File, text, and what replaces it; each text stands exactly once in its file.
    edits: &'static [(&'static str, &'static str, &'static str)],
    words: &'static [&'static str],
}

const CHANGES: &[Change] = &[
    Change {
        name: "value_type",
        of: Version::Newer,
        behaviour: "a_field_of_another_type_is_refused_by_its_name",
        edits: &[
            ("src/abi/types.rs", "    value: i32,\n    cause", "    value: i64,\n    cause"),
            ("src/abi/types.rs", "(Self::EXITED, i32::from(code))", "(Self::EXITED, i64::from(code))"),
            ("src/abi/types.rs", "(Self::SIGNALLED, signal.number())", "(Self::SIGNALLED, i64::from(signal.number()))"),
            ("src/abi/types.rs", "Signal::new(exit.value)", "Signal::new(exit.value as i32)"),
        ],
        words: &["wait", "AbiExit", "value", "i32", "i64"],
    },
    Change {
        name: "value_grown",
        of: Version::Newer,
        behaviour: "a_field_added_to_a_value_is_refused_by_its_name",
        edits: &[("src/abi/types.rs", "    reserved: [u64; 4],\n", "    reserved: [u64; 4],\n    core_size: u64,\n")],
        words: &["wait", "AbiExit", "core_size"],
    },
    Change {
        name: "older_value_grown",
        of: Version::Older,
        behaviour: "a_field_added_to_a_value_of_an_older_version_is_refused_by_its_name",
        edits: &[("src/abi/types.rs", "    reserved: [u64; 4],\n", "    reserved: [u64; 4],\n    core_size: u64,\n")],
        words: &["wait", "AbiExit", "core_size", "this host has no more fields"],
    },
    Change {
        name: "method_moved",
        of: Version::Newer,
        behaviour: "a_method_that_was_moved_is_refused_by_its_name",
        edits: &[
            ("src/abi/object.rs", "    fn force_stop(&self) -> RResult<(), AbiError>;\n", ""),
            (
                "src/abi/object.rs",
                "    fn shutdown(",
                "    fn force_stop(&self) -> RResult<(), AbiError>;\n    fn shutdown(",
            ),
        ],
        words: &["AbiExecutor", "shutdown", "force_stop"],
    },
    Change {
        name: "method_between",
        of: Version::Newer,
        behaviour: "a_method_that_was_not_added_at_the_end_is_refused_by_its_name",
        edits: &[(
            "src/abi/object.rs",
            "    fn stats(",
            "    fn ping(&self) -> RResult<(), AbiError> {\n        AbiError::unsupported(\"ping\")\n    }\n    \
             fn stats(",
        )],
        words: &["AbiExecutor", "stats", "ping"],
    },
    Change {
        name: "argument_type",
        of: Version::Newer,
        behaviour: "a_method_with_another_argument_is_refused_by_its_name",
        edits: &[
            ("src/abi/object.rs", "shutdown(&self, grace_ms: u64)", "shutdown(&self, grace_ms: i64)"),
            ("src/abi/glue.rs", "shutdown(&self, grace_ms: u64)", "shutdown(&self, grace_ms: i64)"),
            ("src/abi/glue.rs", "from_millis(grace_ms)", "from_millis(grace_ms as u64)"),
            ("src/abi/attach.rs", "shutdown(millis(grace))", "shutdown(millis(grace) as i64)"),
        ],
        words: &["shutdown", "u64", "i64"],
    },
    Change {
        name: "forked",
        of: Version::Newer,
        behaviour: "a_version_with_something_more_and_something_less_is_refused",
        edits: &[
            (
                "src/abi/object.rs",
                "    fn exec(&self, _spec: RStr<'_>, _stdio: AbiStdio) -> RResult<AbiTask, AbiError> {\n        \
                 AbiError::unsupported(\"exec\")\n    }\n    // Since 1.1.\n    \
                 fn checkpoint(&self, _directory: RStr<'_>) -> RResult<RString, AbiError> {\n        \
                 AbiError::unsupported(\"checkpoint\")\n    }\n",
                "",
            ),
            ("src/abi/glue.rs", "    fn exec(", "    #[cfg(any())]\n    fn exec("),
            ("src/abi/glue.rs", "    fn checkpoint(", "    #[cfg(any())]\n    fn checkpoint("),
            ("src/abi/attach.rs", "    pub fn exec(", "    #[cfg(any())]\n    pub fn exec("),
            ("src/abi/attach.rs", "    pub fn checkpoint(", "    #[cfg(any())]\n    pub fn checkpoint("),
        ],
        words: &["AbiExecutor", "exec", "no more fields"],
    },
    Change {
        name: "other_major",
        of: Version::Newer,
        behaviour: "another_major_is_refused_with_both_versions",
        edits: &[("Cargo.toml", "version = \"1.1.0+other-major\"", "version = \"2.0.0\"")],
        words: &["2.0.0", "1."],
    },
];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    CHANGES.iter().map(|change| trial(change.behaviour, &[], || refused(change)))
}

fn refused(change: &Change) -> Result<(), Failed> {
    // Between two good ones: a refusal must not spoil the process for those that come after.
    let good = Version::Newer.plugin(built()?);
    let reports = run(Version::Current, &[&good, &library(made()?, change.name), &Version::Current.plugin(built()?)])?;
    let line = |at: usize| reports[at].get("refused").and_then(|line| line.as_str());
    let refusal = line(1).ok_or("it was not refused")?;
    let missing: Vec<_> = change.words.iter().filter(|word| !refusal.contains(**word)).collect();
    if !missing.is_empty() || refusal.contains('\n') || refusal.chars().count() > 200 {
        return Err(format!("not one short line with {:?}, {missing:?} missing: {refusal}", change.words).into());
    }
    match (line(0), line(2)) {
        (None, None) => Ok(()),
        others => Err(format!("a good plugin beside it was refused: {others:?}").into()),
    }
}

/// Makes and builds all of them, once: they share the build of what they depend on with the fixtures.
fn made() -> Result<&'static Path, Failed> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let wanted = built().map_err(said)?;
        let workspace = scratch("fixtures-changed");
        write_workspace(&workspace).map_err(said)?;
        build(&mut cargo(), &workspace, wanted, &[]).map(|()| wanted.to_owned())
    });
    made.as_deref().map_err(Failed::from)
}

fn said(failed: Failed) -> String {
    failed.message().unwrap_or("failed").to_owned()
}

fn write_workspace(workspace: &Path) -> Result<(), Failed> {
    let from = source();
    let names = |prefix: &str| {
        let quoted: Vec<_> = CHANGES.iter().map(|change| format!("\"{prefix}{}\"", change.name)).collect();
        quoted.join(", ")
    };
    let manifest = fs::read_to_string(from.join("Cargo.toml"))?;
    let manifest: Vec<_> = manifest
        .lines()
        .map(|line| match line.split(" = ").next() {
            Some("members") => format!("members = [{}]", names("plugin-")),
            Some("exclude") => format!("exclude = [{}]", names("api-")),
            _ => line.to_owned(),
        })
        .collect();
    write(&workspace.join("Cargo.toml"), &manifest.join("\n"))?;
    write(&workspace.join("Cargo.lock"), &fs::read_to_string(from.join("Cargo.lock"))?)?;
    copy(&from.join("sources"), &workspace.join("sources"), &mut Vec::new(), "")?;
    for Change { name, of, edits, .. } in CHANGES {
        let of = of.name();
        let plugin_edits = [
            ("Cargo.toml", format!("name = \"plugin-{of}\""), format!("name = \"plugin-{name}\"")),
            ("Cargo.toml", format!("executor_{of}"), format!("executor_{name}")),
            ("Cargo.toml", format!("../api-{of}"), format!("../api-{name}")),
        ];
        edited(&from.join(format!("plugin-{of}")), &workspace.join(format!("plugin-{name}")), plugin_edits.into())?;
        // Cargo tells path packages in a lock file apart by name and version only.
        let number = if of == "older" { "1.0.0+older" } else { "1.1.0" };
        let own_number = format!("version = \"1.1.0+{}\"", name.replace('_', "-"));
        let version = ("Cargo.toml", format!("version = \"{number}\""), own_number);
        let edits = edits.iter().map(|(file, text, with)| (*file, (*text).into(), (*with).into()));
        edited(
            &from.join(format!("api-{of}")),
            &workspace.join(format!("api-{name}")),
            [version].into_iter().chain(edits).collect(),
        )?;
    }
    Ok(())
}

/// File, text, replacement.
type Edit = (&'static str, String, String);

/// Copies the crate `from` to `to` with `edits` made; each must have had its text to replace.
fn edited(from: &Path, to: &Path, edits: Vec<Edit>) -> Result<(), Failed> {
    let mut left = edits;
    copy(from, to, &mut left, "")?;
    match left.first() {
        None => Ok(()),
        Some((file, text, _)) => Err(format!("{file} of {} does not have {text:?} once", from.display()).into()),
    }
}

fn copy(from: &Path, to: &Path, edits: &mut Vec<Edit>, inside: &str) -> Result<(), Failed> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?;
        let (path, place) = (entry.path(), format!("{inside}{name}"));
        if path.is_dir() {
            copy(&path, &to.join(&name), edits, &format!("{place}/"))?;
            continue;
        }
        let mut text = fs::read_to_string(&path)?;
        edits.retain(|(file, needle, with)| {
            let found = *file == place && text.matches(needle.as_str()).count() == 1;
            if found {
                text = text.replace(needle.as_str(), with);
            }
            !found
        });
        write(&to.join(name), &text)?;
    }
    Ok(())
}
