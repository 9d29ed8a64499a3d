//! Libraries that no Rust compiler makes, from a few lines of C each.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use executor_api::abi::{ROOT_SYMBOL, metadata};
use executor_tests::Need;
use libtest_mimic::Trial;

use crate::run::bad_file;

const CC: &[Need] = &[Need::Cc];
/// The bytes that abi_stable looks for first, and its version.
const MAGIC: &str = "abi stable library for Rust     \\0\\0\\0\\0\\13\\0\\0\\0";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        bad_file("no root module", CC, "refused: metadata: no executor plugin: it exports no root module", |dir| {
            library(dir, "int nothing;", &[])
        }),
        bad_file("no metadata", CC, "refused: metadata: no section .executor_plugin", |dir| {
            compile(dir, &module("[152] = {0xa5}"), &[])
        }),
        bad_file("function for a root module", CC, "refused: metadata: no executor plugin", |dir| {
            library(dir, &format!("void {}(void) {{}}", symbol()), &[])
        }),
        bad_file("root module of one byte", CC, "its root module is 1 bytes long, at least 40 are needed", |dir| {
            library(dir, &module("= 1"), &[])
        }),
        bad_file("garbage root module", CC, "refused: init: its root module is not of this ABI", |dir| {
            library(dir, &module("[152] = {0xa5, 0xa5}"), &[])
        }),
        bad_file("root module of nothing but magic", CC, "refused: probe: no answer: ", |dir| {
            library(dir, &module(&format!("[152] = \"{MAGIC}\"")), &[])
        }),
        bad_file("missing dependency", CC, "refused: load: libgone.so: cannot open shared object file", |dir| {
            // Outside of what is searched while it is there, and gone before anybody looks.
            let gone = dir.join("libgone.so");
            compile_to(&gone, "void gone(void) {}", &["-shared", "-Wl,-soname,libgone.so"]);
            let source = format!("{} void gone(void); void use(void) {{ gone(); }}", module("[152] = {1}"));
            let file = library(dir, &source, &[gone.to_str().expect("plain text")]);
            fs::remove_file(gone).expect("a removal");
            file
        }),
        bad_file("undefined function", CC, "undefined symbol: nowhere", |dir| {
            let source = format!("{} void nowhere(void); void use(void) {{ nowhere(); }}", module("[152] = {1}"));
            library(dir, &source, &["-Wl,-z,lazy"])
        }),
    ]
}

fn symbol() -> &'static str {
    std::str::from_utf8(&ROOT_SYMBOL[..ROOT_SYMBOL.len() - 1]).expect("plain text")
}

/// A root module: its symbol, with a size and contents.
fn module(definition: &str) -> String {
    format!("__attribute__((aligned(8))) const unsigned char {} {definition};", symbol())
}

/// A library of `source` that says in its metadata that it is a plugin of this version.
fn library(dir: &Path, source: &str, args: &[&str]) -> PathBuf {
    let mut bytes = String::new();
    for byte in metadata("misbehave", "1.0.0") {
        write!(bytes, "{byte},").expect("a string takes all");
    }
    let section = "__attribute__((section(\".executor_plugin\"), used)) static const unsigned char metadata[]";
    compile(dir, &format!("{section} = {{{bytes}}};\n{source}\n"), args)
}

fn compile(dir: &Path, source: &str, args: &[&str]) -> PathBuf {
    let file = dir.join("libexecutor_misbehave.so");
    compile_to(&file, source, &[&["-shared"], args].concat());
    file
}

fn compile_to(file: &Path, source: &str, args: &[&str]) {
    let text = file.with_extension("c");
    fs::write(&text, source).expect("a file");
    let status = Command::new("cc").args(["-fPIC", "-o"]).arg(file).arg(&text).args(args).status();
    assert!(status.expect("cc runs").success(), "cc compiles {source}");
    fs::remove_file(text).expect("a removal");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a mode");
}
