//! `install`: builds everything optimized and puts it below a prefix, with the manual and the shells' completions.
//!
//! Manual and completions are what the installed command prints of itself: a command that cannot is an error. `DESTDIR`
//! is put in front of the prefix, as packagers expect; who can write there is theirs to know. Nothing is removed.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::build::{Built, Installed, Progress, compile};
use crate::cargo::{Workspace, run};
use crate::error::{Doing, Error, Result};
use crate::flags::Profile;
use crate::place::{exposed, missing_directories, nearest, text};
use crate::tally::Stage;

const MANUAL: &str = "share/man/man1";
/// Each shell, and the place and name that it looks for below a prefix.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions", "executor"),
    ("zsh", "share/zsh/site-functions", "_executor"),
    ("fish", "share/fish/vendor_completions.d", "executor.fish"),
];
/// Prefixes whose plugins every host finds, whatever program it is.
const SEARCHED: [&str; 2] = ["/usr/local", "/usr"];

pub(crate) fn verb(prefix: &Path) -> Result {
    let to = Destination::new(prefix, env::var_os("DESTDIR"))?;
    to.check()?;
    let built = compile(&Workspace::find()?, Profile::Release, Progress::Shown)?;
    for placed in to.install(&built)? {
        println!("{}", placed.display());
    }
    println!("{}", to.next_step());
    Ok(())
}

/// Where an installation goes.
#[derive(Debug)]
struct Destination {
    /// Where it will be used.
    prefix: PathBuf,
    /// Where it is put: the prefix, below `DESTDIR` if there is one.
    root: PathBuf,
}

impl Destination {
    fn new(prefix: &Path, destdir: Option<OsString>) -> Result<Self> {
        let absolute = |path: &Path| std::path::absolute(path).doing(format!("find {}", path.display()));
        let prefix = absolute(prefix)?;
        let root = match destdir.filter(|dir| !dir.is_empty()) {
            Some(dir) => absolute(Path::new(&dir))?.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
            None => prefix.clone(),
        };
        Ok(Self { prefix, root })
    }

    fn places(&self) -> Installed {
        Installed::below(&self.root)
    }

    fn directories(&self) -> Vec<PathBuf> {
        let Installed { bin, plugins } = self.places();
        let shells = SHELLS.map(|(_, dir, _)| self.root.join(dir));
        [bin, plugins, self.root.join(MANUAL)].into_iter().chain(shells).collect()
    }

    /// Refuses, before anything is built or made, a place that cannot be written to or that others can write to.
    fn check(&self) -> Result {
        if self.root == self.prefix {
            let Installed { bin, plugins } = self.places();
            if let Some(exposed) = [bin, plugins].iter().find_map(|dir| exposed(dir)) {
                let why = format!("{exposed}, or give another --prefix");
                return Err(Error::new(format!("install below {}: {why}", self.prefix.display())));
            }
        }
        for dir in self.directories() {
            let at = nearest(&dir);
            NamedTempFile::new_in(at).map(drop).map_err(|error| {
                let why = format!("{} cannot be written to: {}", at.display(), error.kind());
                let fix = "give a --prefix of your own, such as ~/.local, or become who may write there";
                Error::new(format!("install into {}: {why}\n  fix: {fix}", dir.display()))
            })?;
        }
        Ok(())
    }

    /// Puts everything in its place and answers with the places.
    fn install(&self, built: &Built) -> Result<Vec<PathBuf>> {
        self.directories().iter().try_for_each(|dir| missing_directories(dir))?;
        let places = self.places();
        let mut placed = built.put(&places)?;
        placed.extend(self.describe(&places.executor())?);
        Ok(placed)
    }

    /// Puts what `executor` prints of itself in its place.
    fn describe(&self, executor: &Path) -> Result<Vec<PathBuf>> {
        let manual = self.root.join(MANUAL);
        let page = ask(executor, &["man"])?;
        let mut placed = vec![text(&page, &manual, "executor.1")?];
        let subcommands = subcommands(&String::from_utf8_lossy(&page));
        if subcommands.is_empty() {
            return Err(Error::new(format!("{} man: it names no page executor-SUBCOMMAND(1)", executor.display())));
        }
        for subcommand in subcommands {
            let page = ask(executor, &["man", &subcommand])?;
            placed.push(text(&page, &manual, &format!("executor-{subcommand}.1"))?);
        }
        for (shell, dir, name) in SHELLS {
            let script = ask(executor, &["completions", shell])?;
            placed.push(text(&script, &self.root.join(dir), name)?);
        }
        Ok(placed)
    }

    fn next_step(&self) -> String {
        let prefix = self.prefix.display();
        let when = if self.root == self.prefix { "next" } else { "once it is in place" };
        let mut step = format!("{when}: {prefix}/bin/executor doctor");
        if !SEARCHED.iter().any(|searched| self.prefix == Path::new(searched)) {
            step += "\n      programs that embed the library need to be told of this place:";
            step += &format!("\n      EXECUTOR_PLUGIN_PATH={prefix}/lib/executor/1");
        }
        step
    }
}

/// What `executor` prints when it is called with `words`; nothing is an error.
fn ask(executor: &Path, words: &[&str]) -> Result<Vec<u8>> {
    let what = format!("{} {}", executor.display(), words.join(" "));
    let output = Command::new(executor).args(words).stdin(Stdio::null()).output().doing(format!("start {what}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("{what}: {}: {}", output.status, said.trim_end())));
    }
    if output.stdout.is_empty() { Err(Error::new(format!("{what}: it printed nothing"))) } else { Ok(output.stdout) }
}

/// The subcommands whose pages the page of the command refers to, as `executor-NAME(1)`.
fn subcommands(page: &str) -> BTreeSet<String> {
    let page =
        ["\\fB", "\\fI", "\\fR", "\\fP"].iter().fold(page.replace("\\-", "-"), |page, font| page.replace(font, ""));
    let named = page.split("executor-").skip(1).filter_map(|rest| rest.split_once("(1)"));
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    named.map(|(name, _)| name.to_owned()).filter(|name| is_name(name)).collect()
}

/// Installs into a temporary prefix and runs a task from there, with nothing in the environment that could help.
pub(crate) fn trial(workspace: &Workspace) -> Result<Stage> {
    let built = compile(workspace, Profile::Dev, Progress::Quiet)?;
    let temporary = tempfile::tempdir().doing("make a directory to install into")?;
    let real = fs::canonicalize(temporary.path()).doing(format!("find {}", temporary.path().display()))?;
    let to = Destination::new(&real.join("prefix"), None)?;
    to.check()?;
    to.install(&built)?;
    let places = to.places();
    let command = || {
        let mut command = Command::new(places.executor());
        command.env_clear().arg("--state-dir").arg(real.join("state"));
        command
    };
    run(command().args(["run", "-q", "--", "true"]), "the installed executor run")?;
    let listing = command().args(["plugins", "--json"]).output().doing("start the installed executor plugins")?;
    let listing: Value = serde_json::from_slice(&listing.stdout).doing("read what executor plugins says")?;
    let taken = taken(&listing, &places.plugins);
    if taken.iter().any(|status| status == "usable") && !taken.iter().any(|status| status == "refused") {
        return Ok(Stage::Passed);
    }
    Err(Error::new(format!("the plugins in {} are {}", places.plugins.display(), taken.join(", "))))
}

/// What became of each plugin in `dir`.
fn taken(listing: &Value, dir: &Path) -> Vec<String> {
    let all = listing["plugins"].as_array().into_iter().flatten();
    let here = all.filter(|plugin| plugin["path"].as_str().is_some_and(|path| Path::new(path).starts_with(dir)));
    here.filter_map(|plugin| plugin["status"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A command that prints its own words, and a manual that names two pages.
    const COMMAND: &str = "#!/bin/sh
        words=$*
        [ \"$words\" = man ] && words='\\fBexecutor\\-run\\fR(1), executor-wait(1)'
        printf '%s\\n' \"$words\"";

    /// A destination in `root` whose command is this script.
    fn installed(root: &Path, script: &str) -> (Destination, PathBuf) {
        let to = Destination::new(&root.join("prefix"), None).unwrap();
        to.directories().iter().try_for_each(|dir| missing_directories(dir)).unwrap();
        let [source, executor] = [root.join("script"), to.places().executor()];
        fs::write(&source, script).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        // By another process: what this one has open for writing, a child of another test may keep busy.
        assert!(
            Command::new("cp")
                .args(["-p".as_ref(), source.as_os_str(), executor.as_os_str()])
                .status()
                .unwrap()
                .success()
        );
        (to, executor)
    }

    #[test]
    fn the_command_prints_its_own_manual_and_completions() {
        let root = tempfile::tempdir().unwrap();
        let (to, executor) = installed(root.path(), COMMAND);
        let placed = to.describe(&executor).unwrap();
        let placed = placed.iter().map(|file| {
            let place = file.strip_prefix(to.root.join("share")).unwrap().to_str().unwrap();
            (place, fs::read_to_string(file).unwrap())
        });
        let placed: Vec<_> = placed.map(|(place, content)| format!("{place}: {}", content.trim_end())).collect();
        let expected = [
            "man/man1/executor.1: \\fBexecutor\\-run\\fR(1), executor-wait(1)",
            "man/man1/executor-run.1: man run",
            "man/man1/executor-wait.1: man wait",
            "bash-completion/completions/executor: completions bash",
            "zsh/site-functions/_executor: completions zsh",
            "fish/vendor_completions.d/executor.fish: completions fish",
        ];
        assert_eq!(placed, expected);
    }

    #[test]
    fn a_command_that_cannot_describe_itself_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        for (script, why) in [
            ("#!/bin/sh\necho no such subcommand >&2; exit 2\n", "no such subcommand"),
            ("#!/bin/sh\n", "it printed nothing"),
            ("#!/bin/sh\necho executor - run tasks\n", "names no page"),
        ] {
            let (to, executor) = installed(root.path(), script);
            let error = to.describe(&executor).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("executor man"), "{error}");
        }
    }

    #[test]
    fn a_place_that_others_can_write_to_is_refused_but_for_a_packagers_root() {
        let root = tempfile::tempdir().unwrap();
        let open = fs::canonicalize(root.path()).unwrap().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Destination::new(&open.join("usr"), None).unwrap().check().unwrap_err().to_string();
        assert!(refused.contains("open can be written to by others\n  fix: chmod go-w"), "{refused}");
        assert!(!open.join("usr").exists(), "a refusal leaves nothing");
        let packager = Destination::new(Path::new("/usr"), Some(open.clone().into())).unwrap();
        packager.check().unwrap();
        assert_eq!(packager.places().plugins, open.join("usr/lib/executor/1"));
        assert_eq!(packager.next_step(), "once it is in place: /usr/bin/executor doctor");
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_refused_with_a_way_out() {
        // A file in the place of a directory: this stops root as well.
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = Destination::new(&file, Some("".into())).unwrap().check().unwrap_err().to_string();
        assert!(
            refused.contains("file cannot be written to") && refused.contains("\n  fix: give a --prefix"),
            "{refused}"
        );
    }

    #[test]
    fn a_place_that_hosts_do_not_search_is_told() {
        let step = Destination::new(Path::new("/opt/executor"), None).unwrap().next_step();
        assert!(step.contains("EXECUTOR_PLUGIN_PATH=/opt/executor/lib/executor/1"), "{step}");
        let step = Destination::new(Path::new("/usr/local"), None).unwrap().next_step();
        assert_eq!(step, "next: /usr/local/bin/executor doctor");
    }

    #[test]
    fn plugins_of_other_places_do_not_count() {
        let listing = r#"{"plugins":[{"path":"/a/x.so","status":"usable"},{"path":"/b/y.so","status":"refused"}]}"#;
        let listing: Value = serde_json::from_str(listing).unwrap();
        assert_eq!(taken(&listing, Path::new("/b")), ["refused"]);
        assert!(taken(&Value::Null, Path::new("/b")).is_empty());
    }
}
