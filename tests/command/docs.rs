//! Every command line that the documentation shows is executed, and the documents that each verb prints are compared.
//!
//! `trycmd` runs the `console` blocks of a file one after the other and compares what is printed; `[..]` stands for what
//! differs from run to run. `TRYCMD=overwrite` writes `cases/*.md` anew, `EXECUTOR_TEST_BLESS=1` the reference. A command
//! line that is shown and not executed is in [`NOT_EXECUTED`], word for word.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use executor_tests::Need;
use libtest_mimic::Failed;
use trycmd::TestCases;

use crate::Case;
use crate::place::{PATIENCE, Place, each, ended, quoted_program, same, text};

pub(crate) const CASES: &[Case] = &[
    ("every_command_line_in_the_documentation_does_what_it_shows", &[Need::Built, Need::Root], documentation),
    ("the_documents_of_every_verb_are_as_they_were", &[Need::Built, Need::Root], documents),
    ("every_settings_file_and_every_task_in_the_documentation_is_read", &[Need::Built], settings),
    ("a_command_line_that_nobody_executes_is_found", &[], shown_is_found),
    ("the_reference_is_what_the_command_says", &[Need::Built], reference),
];

/// Shown, and left to others: CI runs the first five itself, the last two are for a plugin of the reader's own.
const NOT_EXECUTED: [&str; 7] = [
    "cargo xtask run --timeout 5s -- sh -c 'echo hello'",
    "cargo xtask test",
    "cargo xtask new-plugin mine --dir /tmp",
    "cargo build --release --manifest-path /tmp/mine/Cargo.toml",
    "cargo xtask conformance /tmp/mine/target/release/libexecutor_mine.so",
    "EXECUTOR_PLUGIN_PATH=/absolute/path/to/target/release executor run --plugin mine -- echo hello",
    "executor plugins",
];

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The README and the pages of `docs`, but for the reference, which shows no command lines to run.
fn pages() -> Result<Vec<PathBuf>, Failed> {
    let mut pages = vec![Path::new(ROOT).join("README.md")];
    pages.extend(markdown(&Path::new(ROOT).join("docs"))?);
    pages.retain(|page| !page.ends_with("command.md"));
    Ok(pages)
}

/// The pages in a directory, in the order of their names.
fn markdown(dir: &Path) -> Result<Vec<PathBuf>, Failed> {
    let entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failed>>()?;
    let mut pages: Vec<PathBuf> =
        entries.into_iter().filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort_unstable();
    Ok(pages)
}

/// A page as `trycmd` is to see it, which takes blocks without a language for its own; and what is not executed.
fn read(page: &str) -> (String, Vec<String>) {
    let (mut seen, mut left) = (String::new(), Vec::new());
    let mut language = None;
    for line in page.lines() {
        let fence = line.strip_prefix("```");
        match (fence, language) {
            (Some(""), None) => {
                (language, seen) = (Some(""), seen + "```text\n");
                continue;
            }
            (Some(named), None) => language = Some(named),
            (Some(_), Some(_)) => language = None,
            (None, Some("console")) => {
                left.extend(line.strip_prefix("$ ").filter(|line| !is_ours(line)).map(str::to_owned))
            }
            (None, Some(_)) if line.starts_with("$ ") || is_ours(line) => {
                left.push(line.trim_start_matches("$ ").to_owned());
            }
            (None, _) => (),
        }
        seen = seen + line + "\n";
    }
    (seen, left)
}

/// Whether a line calls the command: only those are executed.
fn is_ours(line: &str) -> bool {
    let mut words = line.split(' ').skip_while(|word| word.split_once('=').is_some_and(|(name, _)| !name.is_empty()));
    words.next() == Some("executor")
}

fn documentation() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut left = Vec::new();
    let mut copies = Vec::new();
    for page in pages()? {
        let name = page.file_name().and_then(|name| name.to_str()).ok_or("a page without a name")?;
        let (seen, not_executed) = read(&fs::read_to_string(&page)?);
        left.extend(not_executed);
        copies.push(place.file(name, &seen)?);
    }
    left.sort_unstable();
    let mut expected = NOT_EXECUTED.map(str::to_owned);
    expected.sort_unstable();
    same("shown and not executed", left, expected.to_vec())?;
    each(&copies, |page| run(page))
}

fn documents() -> Result<(), Failed> {
    each(&markdown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("command/cases"))?, |page| run(page))
}

/// Runs the blocks of one page in a place of its own.
fn run(page: &Path) -> Result<(), Failed> {
    let place = Place::new()?;
    // Its environment cannot be taken away otherwise, and what it makes by a path from here is made in there.
    let call = place.command::<&str>(&[]);
    let variables = call.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    let variables: String = variables.map(|(name, value)| format!(" {name}='{value}'")).collect();
    let dir = place.path("");
    let script = format!("#!/bin/sh\ncd '{}' && exec env -i{variables} {} \"$@\"\n", dir.display(), quoted_program());
    let wrapped = place.file("executor", &script)?;
    fs::set_permissions(&wrapped, fs::Permissions::from_mode(0o755))?;
    let cases = TestCases::new();
    cases.register_bin("executor", wrapped).timeout(PATIENCE).case(page);
    // It says on standard error what differs, and panics.
    catch_unwind(AssertUnwindSafe(|| cases.run())).map_err(|_| "what is shown is not what comes".into())
}

/// The blocks of a page in `language`.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(&*opening).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn settings() -> Result<(), Failed> {
    let place = Place::new()?;
    let page = fs::read_to_string(Path::new(ROOT).join("docs/settings.md"))?;
    let (tasks, settings): (Vec<&str>, Vec<&str>) =
        blocks(&page, "toml").iter().partition(|block| block.contains("[spec]"));
    same("tasks and settings", (tasks.is_empty(), settings.is_empty()), (false, false))?;
    for task in tasks {
        place.file("task.toml", task)?;
        ended(&place.line("run --dry-run --spec task.toml")?, 0, &[])?;
    }
    for text in settings {
        place.file("shown.toml", text)?;
        // What they name need not be there for this; the variable comes before their state directory.
        ended(&place.line("ps --config shown.toml")?, 0, &[])?;
    }
    Ok(())
}

fn shown_is_found() -> Result<(), Failed> {
    let page = "```\n$ cargo test\nrough\n```\n```console\n$ executor ps\nexecutor\n$ A=1 executor ps\n$ excutor ps\n```\n```sh\nB=2 executor run x\nls\n```\nexecutor gc\n```text\nexecutor ps\n```\n";
    let (seen, left) = read(page);
    same(
        "not executed",
        left,
        ["cargo test", "excutor ps", "B=2 executor run x", "executor ps"].map(str::to_owned).to_vec(),
    )?;
    same("what trycmd sees", seen, page.replacen("```\n", "```text\n", 1))
}

fn reference() -> Result<(), Failed> {
    let path = Path::new(ROOT).join("docs/command.md");
    let output = Place::new()?.line("reference")?;
    ended(&output, 0, &[])?;
    if std::env::var_os("EXECUTOR_TEST_BLESS").is_some() {
        fs::write(&path, &output.stdout)?;
    }
    let (said, written) = (text(&output.stdout), fs::read_to_string(&path).unwrap_or_default());
    let differs = said.lines().zip(written.lines()).find(|(said, written)| said != written);
    match (differs, said == written) {
        (_, true) => Ok(()),
        (Some((said, written)), _) => Err(format!(
            "docs/command.md has {written:?}, the command says {said:?}; EXECUTOR_TEST_BLESS=1 writes it anew"
        )
        .into()),
        _ => {
            Err("docs/command.md is not as long as what the command says; EXECUTOR_TEST_BLESS=1 writes it anew".into())
        }
    }
}
