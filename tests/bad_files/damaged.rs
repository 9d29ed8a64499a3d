//! Good plugins with something of the file changed: cut short, bits flipped, built for elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_tests::{misbehaving, trial};
use libtest_mimic::{Failed, Trial};

use crate::answers::Row;
use crate::run::{bad_file, dir, discover, expect, host, look, only_answer, short, write};

const TRUNCATED: [usize; 7] = [1, 10, 30, 50, 70, 90, 99];
const SEEDS: u64 = 20;
const FLIPS: usize = 200;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        bad_file("wrong machine", &[], "refused: metadata: built for ", |dir| {
            // Whatever this machine is, it is not a PDP-10.
            changed(dir, |library| library[18..20].copy_from_slice(&64u16.to_le_bytes()))
        }),
        bad_file("32-bit library", &[], "refused: metadata: a 32-bit library", |dir| {
            changed(dir, |library| library[4] = 1)
        }),
        bad_file("another name inside", &[], "refused: metadata: it calls itself \"otherwise\"", |dir| {
            let file = dir.join("libexecutor_misbehave.so");
            fs::rename(misbehaving("good", "otherwise", dir), &file).expect("a rename");
            file
        }),
        bad_file("major version 2", &[], "refused: metadata: built for executor-api 2.", |dir| {
            changed(dir, |library| replace(library, b"\"api\":\"1.", b"\"api\":\"2."))
        }),
        bad_file("panic abort", &[], "refused: metadata: built with panic = \"aborts\"", |dir| {
            changed(dir, |library| replace(library, b"\"panic\":\"unwind\"", b"\"panic\":\"aborts\""))
        }),
        bad_file("broken metadata", &[], "refused: metadata: its metadata cannot be read", |dir| {
            changed(dir, |library| replace(library, b"{\"name\":\"misbehave\"", b"{\"name\":\"misbehave!"))
        }),
    ];
    trials.extend(TRUNCATED.map(|percent| {
        bad_file(&format!("truncated at {percent} percent"), &[], "refused: metadata: truncated: ", move |dir| {
            changed(dir, |library| library.truncate(library.len() * percent / 100))
        })
    }));
    trials.extend((0..SEEDS).map(flipped_trial));
    trials.push(trial("every_flipped_file_is_refused_by_a_list_of_digests", &[], flipped_are_not_on_the_list));
    trials
}

/// A good plugin after `change`.
fn changed(dir: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let file = misbehaving("good", "misbehave", dir);
    let mut library = fs::read(&file).expect("a file");
    change(&mut library);
    // The file keeps its mode.
    fs::write(&file, library).expect("a file");
    file
}

fn replace(library: &mut [u8], from: &[u8], to: &[u8]) {
    let at = library.windows(from.len()).position(|window| window == from).expect("it is there");
    library[at..at + to.len()].copy_from_slice(to);
}

/// Flips [`FLIPS`] bits, the same ones for the same seed and file.
fn flip(library: &mut [u8], seed: u64) {
    let mut state = seed;
    for _ in 0..FLIPS {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let random = mixed ^ (mixed >> 31);
        let byte = usize::try_from(random >> 3).expect("64 bits") % library.len();
        library[byte] ^= 1 << (random & 7);
    }
}

/// With bits flipped a file may be refused at any step, or look good: what a host says of it must not depend on which.
///
/// One that looks good is then used by another host, and the table tells what came of that. It may be anything: the
/// damage can lie in code that no probe reaches, and only a list of digests finds it there (the trial below).
fn flipped_trial(seed: u64) -> Trial {
    let row = Row::next();
    trial(&format!("{FLIPS}_flipped_bits_of_seed_{seed}_do_not_harm_a_host_that_looks"), &[], move || {
        let dir = dir();
        let file = changed(dir.path(), |library| flip(library, seed));
        let answer = only_answer(&look(&[dir.path()])?, &file)?;
        let used = if answer.starts_with("usable, ") { used(dir.path()) } else { String::new() };
        row.fill(&format!("{FLIPS} bit flips, seed {seed}"), &short(&format!("{answer}{used}"), dir.path()));
        let answers = ["refused: ", "usable, score ", "not usable here: "];
        if answers.iter().any(|known| answer.starts_with(known)) { Ok(()) } else { Err(answer.into()) }
    })
}

/// What becomes of a host that uses what looks good in `dir`, without a list of digests.
fn used(dir: &Path) -> String {
    let outcome = match discover(&[dir]) {
        Ok(lines) => lines.into_iter().find(|line| line.starts_with("used ")).unwrap_or_default(),
        Err(failed) => failed.message().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
    };
    format!("; without a list of digests: {outcome}")
}

fn flipped_are_not_on_the_list() -> Result<(), Failed> {
    let dir = dir();
    let library = misbehaving("good", "misbehave", dir.path());
    let list = dir.path().join("list");
    let output = std::process::Command::new("sha256sum").arg(&library).output();
    write(&list, output.map_err(|error| format!("run sha256sum: {error}"))?.stdout);
    let args = [list.as_os_str(), dir.path().as_os_str()];
    let look = || host("locked", &args, Duration::from_secs(20));
    expect(&look()?.join("\n"), "used misbehave: exited with code 7")?;
    for seed in 0..SEEDS {
        let file = changed(dir.path(), |library| flip(library, seed));
        expect(&only_answer(&look()?, &file)?, "refused: lock: its digest is not the one on the list")?;
    }
    Ok(())
}
