//! `executor plugins`: every file that could be a plugin, and what became of it.

use std::io::{self, Write};
use std::process::ExitCode;

use executor_loader::executor_api::Demands;
use executor_loader::{Candidate, Loader, Status};
use serde_json::{Value, json};

use super::args::{Global, Plugins};
use super::report::{self, exit};
use super::resolve;

pub(crate) fn plugins(global: &Global, args: &Plugins) -> ExitCode {
    let loader = match resolve::fresh_loader(global) {
        Ok(loader) => loader,
        Err(error) => {
            report::error(&error, global.verbose);
            return ExitCode::from(exit::FAILED);
        }
    };
    let text = if args.json { as_json(&loader) } else { as_table(&loader, global.verbose) };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            report::say(&format!("print the list: {error}"));
            ExitCode::from(exit::FAILED)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The plugin that a task without demands would get.
fn preferred(loader: &Loader) -> Option<String> {
    let choice = loader.choose(&Demands::default(), None).ok()?;
    Some(choice.plugin.as_str().to_owned())
}

fn as_table(loader: &Loader, verbose: bool) -> String {
    let preferred = preferred(loader);
    let mut text = String::new();
    for candidate in loader.report() {
        let name = candidate.name.as_ref().map_or("-", |name| name.as_str());
        let usable = matches!(candidate.status, Status::Usable(_));
        let mark = if usable && preferred.as_deref() == Some(name) { '*' } else { ' ' };
        let version = candidate.metadata.as_ref().map_or("-", |metadata| metadata.version.as_str());
        text += &format!("{mark} {name:<10} {version:<8} {candidate}\n");
        if verbose {
            text += &details(candidate);
        }
    }
    if loader.report().is_empty() {
        text += "no plugins found\n";
    }
    text += match &preferred {
        Some(_) => "* = used for a task without demands\n",
        None => "no plugin can run tasks here\n",
    };
    if verbose || preferred.is_none() {
        let dirs = loader.dirs().iter().map(|dir| format!("  {}\n", dir.display()));
        text += &format!("looked in\n{}", dirs.collect::<String>());
    }
    text
}

/// What there is to know beyond the one line.
fn details(candidate: &Candidate) -> String {
    let mut text = String::new();
    if let Some(metadata) = &candidate.metadata {
        text += &format!("      api {}, {}, {}\n", metadata.api, metadata.rustc, metadata.target);
    }
    for (feature, support) in candidate.capabilities().into_iter().flat_map(|capabilities| &capabilities.features) {
        let level = format!("{:?}", support.level).to_lowercase();
        text += format!("      {feature:<18} {level:<5} {}", support.why).trim_end();
        text += "\n";
    }
    if let Status::Refused(refusal) = &candidate.status {
        let fix = if refusal.fix.is_empty() { String::new() } else { format!("      fix: {}\n", refusal.fix) };
        text += &format!("{fix}{}", refusal.report);
    }
    text
}

fn as_json(loader: &Loader) -> String {
    let preferred = preferred(loader);
    let entries: Vec<Value> = loader.report().iter().map(|candidate| entry(candidate, preferred.as_deref())).collect();
    let dirs: Vec<_> = loader.dirs().iter().map(|dir| dir.to_string_lossy()).collect();
    format!("{:#}\n", json!({ "schema": 1, "plugins": entries, "searched": dirs }))
}

fn entry(candidate: &Candidate, preferred: Option<&str>) -> Value {
    let name = candidate.name.as_ref().map(|name| name.as_str());
    let (status, why, fix) = match &candidate.status {
        Status::Usable(_) => ("usable", String::new(), ""),
        Status::Unusable(capabilities) => ("unusable", capabilities.why.clone(), capabilities.fix.as_str()),
        Status::Shadowed { by } => ("shadowed", format!("{} comes first", by.display()), ""),
        Status::Refused(refusal) => ("refused", refusal.to_string(), refusal.fix.as_str()),
        _ => ("unknown", String::new(), ""),
    };
    json!({
        "path": candidate.path.to_string_lossy(),
        "name": name,
        "status": status,
        "preferred": status == "usable" && name == preferred,
        "why": why,
        "fix": fix,
        "metadata": candidate.metadata,
        "capabilities": candidate.capabilities(),
    })
}
