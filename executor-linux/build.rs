//! Builds the helper, which the plugin carries in itself: one call of the compiler, no crates, no C library.
//!
//! Cargo cannot depend on a program for the same target in stable Rust, and a program that it built would have to be
//! found at run time. On other systems than Linux nothing is built.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that depends on nothing, at fixed addresses, as small as it can be.
const OPTIONS: [&str; 12] = [
    "--edition=2024",
    "--crate-type=bin",
    "--crate-name=executor_helper",
    "-Cpanic=abort",
    "-Copt-level=s",
    "-Clto=fat",
    "-Ccodegen-units=1",
    "-Cstrip=symbols",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Cforce-unwind-tables=no",
    "-Clink-args=-nostartfiles -nostdlib -static -Wl,--gc-sections,--build-id=none,-z,noseparate-code,-z,norelro,-z,noexecstack",
];

fn main() {
    let source = Path::new("src/helper");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let wanted = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let out = PathBuf::from(wanted("OUT_DIR")).join("helper");
    let mut rustc = Command::new(wanted("RUSTC"));
    rustc.args(OPTIONS).arg("--target").arg(wanted("TARGET")).arg("-o").arg(&out).arg(source.join("main.rs"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        rustc.arg(option);
    }
    let built = rustc.status().unwrap_or_else(|error| panic!("run the compiler for the helper: {error}"));
    assert!(built.success(), "the helper does not compile for this target: it knows x86_64 and aarch64");
}
