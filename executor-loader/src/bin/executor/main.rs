//! The `executor` command: runs commands as tasks, looks after them, and shows which plugins can.
//!
//! `args`, `options` and `values` read words, `config`, `document` and `environment` read files, `resolve` turns both into what the
//! library takes. One file per command: `run`, `start`, `wait`, `stop` (with `kill`), `ps` (with `inspect` and `stats`),
//! `logs`, `gc`, `plugins`, `doctor`, `plan` (`--dry-run`), `pages` (manual, completions, reference, schema). `outcome` says
//! how a task ended, `report` talks to the user, `print` writes listings; `begin` is what `run` and `start` share. Standard output belongs to the task or to the
//! listing; everything else goes to standard error behind `executor:`.

mod args;
mod begin;
mod config;
mod doctor;
mod document;
mod environment;
mod gc;
mod logs;
mod options;
mod outcome;
mod pages;
mod plan;
mod plugins;
mod print;
mod ps;
mod report;
mod resolve;
mod run;
mod start;
mod stop;
mod sys;
mod values;
mod wait;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory, FromArgMatches};
use executor_loader::Error;

use args::{Args, Verb};
use config::Config;
use report::exit;

fn main() -> ExitCode {
    if sys::has_more_rights() {
        report::say(
            "it has more rights than whoever started it: do not install it set-uid, set-gid or with capabilities",
        );
        return ExitCode::from(exit::EXECUTOR_FAILED);
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let command = Args::command().color(color(&words));
    let parsed = command.try_get_matches_from(&words).and_then(|matches| Args::from_arg_matches(&matches));
    let mut args = match parsed {
        Ok(args) => args,
        Err(error) => return usage(error, &words),
    };
    match args.global.color {
        ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
        ColorChoice::Auto => (),
    }
    let verb = &args.verb;
    let done = Config::read(&args.global).and_then(|mut config| {
        config.fill(&mut args.global)?;
        carry_out(&args.global, &config, verb)
    });
    ExitCode::from(done.unwrap_or_else(|error| {
        report::error(&error, args.global.verbose);
        failure_code(verb, &error)
    }))
}

fn carry_out(global: &args::Global, config: &Config, verb: &Verb) -> Result<u8, Error> {
    match verb {
        Verb::Run(args) => run::run(global, config, args),
        Verb::Start(args) => start::start(global, config, args),
        Verb::Wait(args) => wait::wait(global, args),
        Verb::Stop(args) => stop::stop(global, config, args),
        Verb::Kill(args) => stop::kill(global, args),
        Verb::Ps(args) => ps::ps(global, args),
        Verb::Inspect(args) => ps::inspect(global, args),
        Verb::Stats(args) => ps::stats(global, args),
        Verb::Logs(args) => logs::logs(global, args),
        Verb::Gc(args) => gc::gc(global, args),
        Verb::Plugins(args) => plugins::plugins(global, args),
        Verb::Doctor(args) => doctor::doctor(global, args),
        Verb::Schema => pages::schema(),
        Verb::Completions { shell } => pages::completions(*shell),
        Verb::Man { verb } => pages::man(verb.as_deref()),
        Verb::Reference => pages::reference(),
    }
}

fn failure_code(verb: &Verb, error: &Error) -> u8 {
    match verb {
        Verb::Run(_) | Verb::Start(_) => report::start_failure(error),
        Verb::Wait(_) => report::look_failure(error, exit::EXECUTOR_FAILED),
        _ => report::look_failure(error, exit::FAILED),
    }
}

/// What `--color` says, for errors of the command line itself.
fn color(words: &[OsString]) -> ColorChoice {
    let mut ours = words.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let named = ours.find_map(|word| match word {
        "--color" => Some(None),
        word => word.strip_prefix("--color=").map(Some),
    });
    let named = named.map(|value| value.or_else(|| ours.next()));
    named.flatten().and_then(|value| value.parse().ok()).unwrap_or(ColorChoice::Auto)
}

/// Help is no error; a usage error of what exits like a task must not look like an exit code of it.
fn usage(error: clap::Error, words: &[OsString]) -> ExitCode {
    let like_a_task = || verb(words).is_some_and(|verb| ["run", "start", "wait"].contains(&verb));
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let code = match error.kind() {
        _ if help && asks_for_help(words) => exit::SUCCESS,
        _ if like_a_task() => exit::EXECUTOR_FAILED,
        _ => exit::USAGE,
    };
    if help && code != exit::SUCCESS {
        report::say("a word begins like an option and is none; write -- before an id that begins with -");
        return ExitCode::from(code);
    }
    let printed = harmless(error).print();
    match printed {
        // A reader that has gone away does not need the help.
        Err(failed) if code == exit::SUCCESS && failed.kind() != io::ErrorKind::BrokenPipe => {
            report::say(&format!("print: {failed}"));
            ExitCode::from(exit::FAILED)
        }
        _ => ExitCode::from(code),
    }
}

/// The first word that is neither an option nor the value of one, in a line that could not be read.
fn verb(words: &[OsString]) -> Option<&str> {
    let takes_value = |word: &str| {
        let is_named = |arg: &clap::Arg| arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        Args::command().get_arguments().any(|arg| is_named(arg) && arg.get_action().takes_values())
    };
    let mut ours = words.iter().skip(1).take_while(|word| *word != "--").filter_map(|word| word.to_str());
    while let Some(word) = ours.next() {
        match word.starts_with('-') {
            true if takes_value(word) => drop(ours.next()),
            true => (),
            false => return Some(word),
        }
    }
    None
}

/// Whether some word is nothing but a wish for help: `-h;id` is an id that somebody made up.
fn asks_for_help(words: &[OsString]) -> bool {
    let ours = words.iter().skip(1).take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let letters = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphabetic()) && word.contains(['h', 'V']);
    let mut ours = ours.filter(|word| word.starts_with('-'));
    ours.any(|word| matches!(word, "--help" | "--version") || word.strip_prefix('-').is_some_and(letters))
}

/// The same error, with the words that it repeats made harmless to a terminal.
fn harmless(mut error: clap::Error) -> clap::Error {
    let said: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in said {
        let plain = |text: &String| print::plain(text);
        let is_plain = |text: &StyledStr| print::plain(&text.to_string()) == text.to_string();
        let value = match value {
            ContextValue::String(text) => ContextValue::String(plain(&text)),
            ContextValue::Strings(texts) => ContextValue::Strings(texts.iter().map(plain).collect()),
            // A tip is worth nothing that repeats such words.
            ContextValue::StyledStrs(tips) => ContextValue::StyledStrs(tips.into_iter().filter(is_plain).collect()),
            other => other,
        };
        error.insert(kind, value);
    }
    error
}
