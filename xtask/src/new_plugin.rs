//! `new-plugin NAME`: writes the crate of a small plugin that works, outside of this workspace.
//!
//! The texts are in `template/`. The crate depends on executor-api alone and comes with this workspace's lock file, so
//! it builds with the same versions; cargo drops the entries that it does not need.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{Workspace, artefacts, cargo_in};
use crate::error::{Doing, Error, Result};
use crate::flags::Profile;

const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../template/Cargo.toml.in")),
    ("README.md", include_str!("../template/README.md")),
    ("rustfmt.toml", include_str!("../../rustfmt.toml")),
    ("src/lib.rs", include_str!("../template/lib.rs")),
];

pub(crate) fn verb(name: &str, dir: &Path) -> Result {
    let written = write(&Workspace::find()?, name, dir)?;
    println!("wrote {}; its README.md says how to build, check and install it", written.display());
    Ok(())
}

/// Writes the crate into `dir/name`, which must not be there yet, and answers with its absolute path.
pub(crate) fn write(workspace: &Workspace, name: &str, dir: &Path) -> Result<PathBuf> {
    check_name(name)?;
    fs::create_dir_all(dir).doing(format!("make {}", dir.display()))?;
    let dir = fs::canonicalize(dir).doing(format!("find {}", dir.display()))?.join(name);
    fs::create_dir(&dir).doing(format!("make {}", dir.display()))?;
    fs::create_dir(dir.join("src")).doing(format!("make {}", dir.join("src").display()))?;
    let api = workspace.root.join("executor-api");
    for (path, template) in FILES {
        let text = fill(template, name, &dir, &api);
        fs::write(dir.join(path), text).doing(format!("write {path}"))?;
    }
    fs::copy(workspace.root.join("Cargo.lock"), dir.join("Cargo.lock")).doing("copy Cargo.lock")?;
    Ok(dir)
}

/// Builds a crate that [`write()`] wrote and answers with the plugin file.
pub(crate) fn build(workspace: &Workspace, dir: &Path, profile: Profile) -> Result<PathBuf> {
    let mut cargo = cargo(workspace, dir);
    cargo.args(["build", "--quiet"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let mut built = artefacts(&mut cargo)?.into_iter();
    let plugin = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libexecutor_") && name.ends_with(DLL_SUFFIX)
    };
    built.find(plugin).doing("cargo built no plugin")
}

/// A call to cargo in the written crate. Two workspaces that share a target directory may link each other's libraries,
/// so this one has its own.
pub(crate) fn cargo(workspace: &Workspace, dir: &Path) -> Command {
    let mut cargo = cargo_in(dir);
    cargo.env("CARGO_TARGET_DIR", workspace.target.join("new-plugin"));
    cargo
}

fn fill(template: &str, name: &str, dir: &Path, api: &Path) -> String {
    // Debug quotes a path the way TOML's basic strings are quoted.
    let marks = [
        ("{{name}}", name.to_owned()),
        ("{{package}}", format!("executor-{}", name.replace('_', "-"))),
        ("{{file}}", format!("{DLL_PREFIX}executor_{name}{DLL_SUFFIX}")),
        ("{{crate}}", dir.display().to_string()),
        ("{{api}}", format!("{api:?}")),
    ];
    marks.iter().fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
}

fn check_name(name: &str) -> Result {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new(format!("take {name:?} as the name of a plugin: a name is 1 to 32 of a-z 0-9 _")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_the_loader_takes() {
        for name in ["a", "my_plugin", "7", &"x".repeat(32)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "My", "a-b", "../x", "a b", &"x".repeat(33)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_mark_is_filled_in() {
        for (path, template) in FILES {
            let text = fill(template, "my_plugin", Path::new("/p/my_plugin"), Path::new("/p/executor-api"));
            assert!(!text.contains("{{"), "{path}: {text}");
        }
        let manifest = fill(FILES[0].1, "my_plugin", Path::new("/p"), Path::new("/p/executor-api"));
        assert!(manifest.contains("name = \"executor-my-plugin\"\n"), "{manifest}");
        assert!(manifest.contains("name = \"executor_my_plugin\"\n"), "{manifest}");
        assert!(manifest.contains("executor-api = { path = \"/p/executor-api\" }"), "{manifest}");
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: dir.path().join("checkout"), target: dir.path().join("target") };
        fs::create_dir(&workspace.root).unwrap();
        fs::write(workspace.root.join("Cargo.lock"), "").unwrap();
        let written = write(&workspace, "mine", dir.path()).unwrap();
        assert!(written.join("src/lib.rs").is_file());
        let again = write(&workspace, "mine", dir.path()).unwrap_err();
        assert!(again.to_string().contains("File exists"), "{again}");
    }
}
