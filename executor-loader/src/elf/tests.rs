//! What is read of a library, and every way in which one can lie.

use std::path::PathBuf;

use executor_api::abi::{METADATA_SIZE, metadata as metadata_section};
use tempfile::TempDir;

use super::*;
use crate::trust::open_trusted;
use crate::trust::tests::{trusted_dir, write_trusted};

/// Where the parts of the little library lie in its file, which is also where they lie in memory.
const HEADER: usize = 64;
const SEGMENTS: usize = 2 * 56;
const NAMES: usize = HEADER + SEGMENTS;
const SYMBOLS: usize = 256;
const MODULE: usize = 512;
const METADATA: usize = 1024;
const SECTIONS: usize = METADATA + METADATA_SIZE;
const END: usize = SECTIONS + 5 * 64;

/// Writes numbers of a width where they belong.
macro_rules! put {
    ($bytes:ident, $at:expr, $($number:expr),+) => {{
        let mut at = $at;
        $(
            let number = $number.to_ne_bytes();
            $bytes[at..at + number.len()].copy_from_slice(&number);
            at += number.len();
        )+
        let _end = at;
    }};
}

/// The least that is a plugin for this machine: two segments, one symbol, four sections.
fn library() -> Vec<u8> {
    let mut bytes = vec![0; END];
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    bytes[..16].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let machine = host_machine().expect("a known machine");
    put!(
        bytes,
        16,
        3u16,
        machine,
        1u32,
        0u64,
        HEADER as u64,
        SECTIONS as u64,
        0u32,
        64u16,
        56u16,
        2u16,
        64u16,
        5u16,
        1u16
    );
    put!(bytes, HEADER, 1u32, 4u32, 0u64, 0u64, 0u64, END as u64, END as u64, 4096u64);
    put!(bytes, HEADER + 56, 2u32, 4u32, SYMBOLS as u64, SYMBOLS as u64, 0u64, 16u64, 16u64, 8u64);
    let names = [b"\0", ROOT_SYMBOL, METADATA_SECTION.as_bytes(), b"\0"].concat();
    bytes[NAMES..NAMES + names.len()].copy_from_slice(&names);
    // The symbols share their place with the dynamic section: the first is null, as the end of that is.
    put!(bytes, SYMBOLS + 24, 1u32, 0x11u8, 0u8, 4u16, MODULE as u64, 64u64);
    bytes[METADATA..SECTIONS].copy_from_slice(&metadata_section("tiny", "1.2.3"));
    let name = u32::try_from(1 + ROOT_SYMBOL.len()).expect("it is short");
    let sections = [
        (3u32, 0u32, NAMES, names.len(), 0u32),
        (11, 0, SYMBOLS, 48, 1),
        (8, 0, METADATA, 1 << 40, 0),
        (1, name, METADATA, METADATA_SIZE, 0),
    ];
    for (number, (kind, name, offset, size, link)) in sections.into_iter().enumerate() {
        let at = SECTIONS + 64 * (number + 1);
        put!(bytes, at, name, kind, 0u64, 0u64, offset as u64, size as u64, link, 0u32, 1u64, 0u64);
    }
    bytes
}

fn answer(bytes: &[u8]) -> Result<PluginMetadata, Refusal> {
    let (_dir, path) = file(bytes);
    metadata(&open_trusted(&path).expect("it is trusted"))
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = trusted_dir();
    let path = dir.path().join("file");
    write_trusted(&path, bytes);
    (dir, path)
}

/// What is said of the little library after `change`.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = library();
    change(&mut bytes);
    answer(&bytes).map_or_else(|refusal| refusal.why, |_| "good".into())
}

#[test]
fn a_library_is_read_without_running_it() {
    let read = answer(&library()).expect("it is good");
    assert_eq!((read.name.as_str(), read.version.as_str()), ("tiny", "1.2.3"));
}

#[test]
fn what_is_no_elf_file_is_told() {
    assert_eq!(answer(b"").expect_err("empty").why, "an empty file");
    assert_eq!(answer(b"#!/bin/sh\n").expect_err("text").why, "not an ELF file");
    assert_eq!(answer(b"\x7fEL").expect_err("short").why, "not an ELF file");
    assert_eq!(answer(b"\x7fELF").expect_err("short").why, "truncated: the file header ends beyond the file");
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let whole = library();
    for length in 0..whole.len() {
        let refusal = answer(&whole[..length]).expect_err("cut short");
        assert!(length < 64 || refusal.why.starts_with("truncated: "), "{length}: {refusal}");
    }
}

#[test]
fn a_file_for_something_else_is_told_by_name() {
    let other = if host_machine() == Some(183) { 62u16 } else { 183 };
    assert!(
        changed(|bytes| put!(bytes, 18, other))
            .starts_with(&format!("built for {}", if other == 62 { "x86_64" } else { "aarch64" }))
    );
    assert_eq!(changed(|bytes| bytes[4] = 1), "a 32-bit library, this host is 64-bit");
    assert_eq!(changed(|bytes| bytes[5] ^= 3), "built for the other byte order");
    assert_eq!(changed(|bytes| bytes[7] = 12), "built for another system, ELF OS/ABI 12");
    assert_eq!(changed(|bytes| put!(bytes, 16, 2u16)), "an executable, not a library");
    assert_eq!(changed(|bytes| put!(bytes, 16, 1u16)), "an object file, not a library");
    assert_eq!(changed(|bytes| put!(bytes, 16, 4u16)), "an ELF file, but not a library");
    assert_eq!(changed(|bytes| put!(bytes, HEADER + 56, 3u32)), "an executable, not a library");
    assert_eq!(changed(|bytes| put!(bytes, SYMBOLS, 0x6fff_fffbu64, 0x0800_0000u64)), "an executable, not a library");
}

#[test]
fn headers_that_lie_are_caught() {
    let lies: [(usize, u64, &str); 8] = [
        (32, 1 << 40, "truncated: the program header table ends beyond the file"),
        (32, 0, "damaged: the program header table is missing"),
        (40, u64::MAX, "truncated: the section table ends beyond the file"),
        (40, 0, "damaged: the section table is missing"),
        (HEADER + 32, 1 << 40, "truncated: a program segment ends beyond the file"),
        (HEADER + 40, 8, "damaged: a program segment does not fit its place in memory"),
        (HEADER + 16, u64::MAX - 8, "damaged: a program segment does not fit its place in memory"),
        (SECTIONS + 4 * 64 + 32, u64::MAX, "truncated: a section ends beyond the file"),
    ];
    for (at, number, expected) in lies {
        assert_eq!(changed(|bytes| put!(bytes, at, number)), expected);
    }
}

#[test]
fn a_root_module_that_cannot_be_one_is_refused() {
    assert_eq!(changed(|bytes| bytes[NAMES + 1] = b'x'), "no executor plugin: it exports no root module");
    assert_eq!(changed(|bytes| bytes[SYMBOLS + 28] = 0x12), "no executor plugin: it exports no root module");
    assert_eq!(changed(|bytes| bytes[SYMBOLS + 28] = 0x01), "no executor plugin: it exports no root module");
    assert_eq!(changed(|bytes| put!(bytes, SYMBOLS + 30, 0u16)), "no executor plugin: it exports no root module");
    let short = "damaged: its root module is 1 bytes long, at least 40 are needed";
    assert_eq!(changed(|bytes| put!(bytes, SYMBOLS + 40, 1u64)), short);
    let outside = "damaged: its root module lies outside of its memory";
    assert_eq!(changed(|bytes| put!(bytes, SYMBOLS + 32, (END - 8) as u64)), outside);
    assert_eq!(changed(|bytes| put!(bytes, SYMBOLS + 32, u64::MAX)), outside);
    assert_eq!(changed(|bytes| put!(bytes, HEADER + 4, 2u32)), outside);
}

#[test]
fn metadata_of_another_kind_is_refused() {
    let with = |from: &str, to: &str| {
        changed(|bytes| {
            let text = String::from_utf8_lossy(&bytes[METADATA..SECTIONS]).replace(from, to);
            bytes[METADATA..SECTIONS].copy_from_slice(&text.as_bytes()[..METADATA_SIZE]);
        })
    };
    assert_eq!(
        with("\"api\":\"1.", "\"api\":\"2."),
        format!("built for executor-api 2{}, this host has {API_VERSION}", &API_VERSION[1..])
    );
    assert_eq!(with("unwind", "aborts"), "built with panic = \"aborts\": a panic in it would end the host");
    assert_eq!(with("1.2.3", "\\r2.3"), "its metadata holds control characters");
    assert!(with("{", "[").starts_with("its metadata cannot be read: "));
    assert_eq!(changed(|bytes| bytes[NAMES + 1 + ROOT_SYMBOL.len()] = b'x'), "no section .executor_plugin");
}

#[test]
fn a_file_that_shrinks_meanwhile_is_an_error_and_no_signal() {
    let (_dir, path) = file(&library());
    let trusted = open_trusted(&path).expect("it is trusted");
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(1000)).expect("it is cut");
    assert!(metadata(&trusted).is_err());
}

#[test]
fn no_flipped_byte_makes_it_panic() {
    let whole = library();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            drop(answer(&bytes));
        }
    }
}
