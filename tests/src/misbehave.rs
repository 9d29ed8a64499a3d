//! Copies of the test plugin, each told in its file how to misbehave.
//!
//! `tests/plugin` reads its behaviour from a field of its own, which is rewritten in a copy of the library; its name in
//! the metadata is rewritten in the same way. So one build gives any number of plugins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::named_prefix;

/// What stands before the behaviour in the library.
const MARKER: &[u8] = b"EXECUTOR_BEHAVIOUR=";
/// The room for the behaviour behind it.
const ROOM: usize = 32;
/// The plugin's own name in its metadata.
const NAME: &str = "misbehave";

/// How a test plugin misbehaves; `tests/plugin` says what each name means.
pub type Behaviour<'a> = &'a str;

/// Makes `<dir>/libexecutor_<name>.so`, a plugin of that behaviour; it calls itself `name`.
///
/// # Panics
///
/// When `name` is not as long as `misbehave`, the behaviour does not fit, or the plugin cannot be built.
#[must_use]
pub fn misbehaving(behaviour: Behaviour<'_>, name: &str, dir: &Path) -> PathBuf {
    assert!(behaviour.len() < ROOM, "{behaviour} is too long");
    assert_eq!(name.len(), NAME.len(), "{name} must be as long as {NAME}");
    let mut field = [0; ROOM];
    field[..behaviour.len()].copy_from_slice(behaviour.as_bytes());
    let Template { mut library, behaviour_at, name_at } = template().clone();
    library[behaviour_at..behaviour_at + ROOM].copy_from_slice(&field);
    library[name_at..name_at + NAME.len()].copy_from_slice(name.as_bytes());
    let path = dir.join(format!("libexecutor_{name}.so"));
    fs::write(&path, library).expect("the copy is written");
    // The loader refuses what others can write, whatever the umask is here.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the mode is set");
    path
}

/// The program that the loader asks plugins with: of the installation to test, else of this workspace.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn prober() -> PathBuf {
    built().prober.clone()
}

/// The library as it was built, and where a copy differs.
#[derive(Clone)]
struct Template {
    library: Vec<u8>,
    behaviour_at: usize,
    name_at: usize,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let library = fs::read(&built().plugin).expect("the test plugin is there");
        let name = format!("{{\"name\":\"{NAME}");
        let behaviour_at = end_of_only(&library, MARKER);
        let name_at = end_of_only(&library, name.as_bytes()) - NAME.len();
        Template { library, behaviour_at, name_at }
    })
}

/// Where the only place in `library` with `pattern` ends.
fn end_of_only(library: &[u8], pattern: &[u8]) -> usize {
    let places = library.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert_eq!(places.len(), 1, "{} is in the library once", String::from_utf8_lossy(pattern));
    places[0] + pattern.len()
}

/// What was built for these suites.
struct Built {
    plugin: PathBuf,
    prober: PathBuf,
}

/// Builds the test plugin and the prober, once. A machine without cargo names them: `EXECUTOR_TEST_PLUGIN` is the
/// plugin's file, and the prober is in the prefix.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let installed = named_prefix().map(|prefix| prefix.join("lib/executor/1/executor-probe"));
        let named = std::env::var_os("EXECUTOR_TEST_PLUGIN").map(PathBuf::from);
        if let (Some(plugin), Some(prober)) = (&named, &installed) {
            return Built { plugin: plugin.clone(), prober: prober.clone() };
        }
        let files = cargo_build();
        let find = |end: &str| files.iter().find(|file| file.ends_with(end)).cloned().expect("cargo built it");
        let plugin = named.unwrap_or_else(|| find("libexecutor_misbehave.so"));
        Built { plugin, prober: installed.unwrap_or_else(|| find("executor-probe")) }
    })
}

/// The files that cargo makes of the test plugin and the prober, from this workspace.
fn cargo_build() -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let packages = ["--package", "executor-test-plugin", "--package", "executor-loader"];
    let output = Command::new(cargo)
        .args(["build", "--message-format", "json-render-diagnostics", "--lib", "--bin", "executor-probe"])
        .args(packages)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the test plugin and the prober build");
    let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let files = messages.flat_map(|message: Value| message["filenames"].as_array().cloned().unwrap_or_default());
    files.filter_map(|file| file.as_str().map(PathBuf::from)).collect()
}
