//! Rules about who may depend on whom, read from the manifests.
//!
//! `tests -> executor-loader -> executor-api <- executor-{linux,freebsd,fallback}`: hosts open a built plugin and never
//! link one. Outside of the border's own module nobody names the crate that carries the border.

use super::Finding;
use super::source::{Source, has_word};

/// Each package's directory, and the packages of this workspace that it may depend on.
const ARROWS: [(&str, &[&str]); 8] = [
    ("executor-api", &[]),
    ("executor-fallback", &["executor-api"]),
    ("executor-freebsd", &["executor-api"]),
    ("executor-linux", &["executor-api"]),
    ("executor-loader", &["executor-api"]),
    ("tests", &["executor-api", "executor-loader"]),
    ("tests/plugin", &["executor-api"]),
    ("xtask", &[]),
];
const OURS: [&str; 7] = [
    "executor-api",
    "executor-fallback",
    "executor-freebsd",
    "executor-linux",
    "executor-loader",
    "executor-tests",
    "executor-test-plugin",
];
const BORDER_CRATE: &str = "abi_stable";
const BORDER_HOME: &str = "executor-api/src/abi/";

/// A dependency in a manifest: its line, its name, and whether its version is the workspace's.
struct Dependency<'a> {
    at: usize,
    name: &'a str,
    from_workspace: bool,
}

/// A package depends only on packages that its layer may know.
pub(super) fn arrows(source: &Source) -> Vec<Finding> {
    let Some(package) = source.path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let allowed = ARROWS.iter().find(|(dir, _)| *dir == package).map(|(_, allowed)| *allowed);
    let dependencies = dependencies(&source.text);
    let Some(allowed) = allowed else {
        return vec![Finding::at(0, format!("say in xtask's tidy/layers.rs on which layer {package} is"))];
    };
    let ours = dependencies.iter().filter(|dependency| OURS.contains(&dependency.name));
    let wrong = ours.filter(|dependency| !allowed.contains(&dependency.name));
    let mut found: Vec<_> =
        wrong.map(|wrong| Finding::at(wrong.at, format!("{package} must not depend on {}", wrong.name))).collect();
    let border = dependencies.iter().filter(|dependency| dependency.name == BORDER_CRATE && package != "executor-api");
    found.extend(border.map(|wrong| Finding::at(wrong.at, format!("leave {BORDER_CRATE} to executor-api"))));
    found
}

/// Every version is in the root's `[workspace.dependencies]`.
pub(super) fn versions(source: &Source) -> Vec<Finding> {
    if !source.path.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let dependencies = dependencies(&source.text);
    let own = dependencies.iter().filter(|dependency| !dependency.from_workspace);
    own.map(|own| Finding::at(own.at, format!("write {0}.workspace = true, and the version in the root", own.name)))
        .collect()
}

/// Only the border's own module names the crate that carries it.
pub(super) fn border_crate(source: &Source) -> Vec<Finding> {
    if source.path.starts_with(BORDER_HOME) {
        return Vec::new();
    }
    let lines = source.code.lines().enumerate().filter(|(_, line)| has_word(line, BORDER_CRATE));
    lines.map(|(at, _)| Finding::at(at, format!("leave {BORDER_CRATE} to {BORDER_HOME}"))).collect()
}

/// The dependencies of every kind and target; the root's table of versions is none of them.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency<'_>> = Vec::new();
    let mut table = Table::Other;
    for (at, line) in manifest.lines().enumerate().map(|(at, line)| (at, line.trim())) {
        if let Some(header) = line.strip_prefix('[') {
            table = Table::of(header.trim_end_matches(']'));
            if let Table::OneDependency(name) = table {
                found.push(Dependency { at, name, from_workspace: false });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let (key, value) = (key.trim(), value.replace(' ', ""));
        match table {
            Table::Dependencies => {
                let (name, field) = key.split_once('.').unwrap_or((key, ""));
                let from_workspace = (field == "workspace" && value == "true") || value.contains("workspace=true");
                found.push(Dependency { at, name: name.trim_matches('"'), from_workspace });
            }
            Table::OneDependency(_) if key == "workspace" && value == "true" => {
                found.last_mut().into_iter().for_each(|last| last.from_workspace = true);
            }
            Table::OneDependency(_) | Table::Other => {}
        }
    }
    found
}

/// What the lines below a header are.
#[derive(Clone, Copy)]
enum Table<'a> {
    Dependencies,
    OneDependency(&'a str),
    Other,
}

impl<'a> Table<'a> {
    fn of(header: &'a str) -> Self {
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let is_kind =
            |name: &str| kinds.contains(&name) || kinds.iter().any(|kind| name.ends_with(&format!("'.{kind}")));
        match header.rsplit_once('.') {
            _ if is_kind(header) => Self::Dependencies,
            Some((table, name)) if is_kind(table) => Self::OneDependency(name),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<(usize, String)> {
        rule(&Source::new(path, text)).into_iter().map(|finding| (finding.line, finding.advice)).collect()
    }

    #[test]
    fn a_host_that_links_a_plugin_is_found() {
        let manifest = "[package]\nname = \"x\"\n[dev-dependencies]\nexecutor-linux.workspace = true\n";
        let wrong = found(arrows, "executor-loader/Cargo.toml", manifest);
        assert_eq!(wrong, [(4, "executor-loader must not depend on executor-linux".into())]);
        assert_eq!(found(arrows, "tests/Cargo.toml", manifest).len(), 1);
        assert_eq!(found(arrows, "xtask/Cargo.toml", "[dependencies.executor-fallback]\nworkspace = true\n").len(), 1);
        let through = "[target.'cfg(unix)'.dependencies]\nexecutor-loader = { workspace = true, features = [] }\n";
        assert_eq!(found(arrows, "executor-linux/Cargo.toml", through).len(), 1);
        assert!(found(arrows, "tests/Cargo.toml", through).is_empty());
    }

    #[test]
    fn a_package_without_a_layer_is_found() {
        assert_eq!(found(arrows, "executor-new/Cargo.toml", "").len(), 1);
        assert!(
            found(arrows, "Cargo.toml", "[workspace.dependencies]\nexecutor-linux = { path = \"x\" }\n").is_empty()
        );
    }

    #[test]
    fn the_border_crate_is_found_outside_of_its_home() {
        assert_eq!(
            found(arrows, "executor-linux/Cargo.toml", "[dependencies]\nabi_stable.workspace = true\n").len(),
            1
        );
        assert!(found(arrows, "executor-api/Cargo.toml", "[dependencies]\nabi_stable.workspace = true\n").is_empty());
        let code = "// abi_stable\nuse abi_stable::StableAbi;\n";
        assert_eq!(found(border_crate, "executor-api/src/spec.rs", code)[0].0, 2);
        assert!(found(border_crate, "executor-api/src/abi/types.rs", code).is_empty());
    }

    #[test]
    fn a_version_outside_of_the_root_is_found() {
        let manifest = "[dependencies]\n# a = \"1\"\na.workspace = true\nb = { workspace = true, optional = true }\n\
                        c = \"1\"\nd = { version = \"2\" }\n[dependencies.e]\nversion = \"3\"\n\
                        [dev-dependencies.f]\nworkspace = true\n[features]\ng = []\n";
        let lines: Vec<_> = found(versions, "tests/Cargo.toml", manifest).iter().map(|found| found.0).collect();
        assert_eq!(lines, [5, 6, 7]);
    }
}
