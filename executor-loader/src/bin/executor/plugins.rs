//! `executor plugins`: every file that could be a plugin, and what became of it.

use executor_loader::executor_api::Demands;
use executor_loader::{Candidate, Error, Loader, Status};
use serde_json::{Value, json};

use super::args::{Global, Listing};
use super::report::exit;
use super::{print, resolve};

pub(crate) fn plugins(global: &Global, args: &Listing) -> Result<u8, Error> {
    let loader = resolve::fresh_loader(global)?;
    match args.json {
        true => print::json(&as_json(&loader))?,
        false => print::text(&as_table(&loader, global.verbose))?,
    }
    Ok(exit::SUCCESS)
}

/// The plugin that a task without demands would get.
fn chosen(loader: &Loader) -> Option<String> {
    let choice = loader.choose(&Demands::default(), None).ok()?;
    Some(choice.plugin.as_str().to_owned())
}

fn as_table(loader: &Loader, verbose: bool) -> String {
    let chosen = chosen(loader);
    let mut text = String::new();
    for candidate in loader.report() {
        let name = candidate.name.as_ref().map_or("-", |name| name.as_str());
        let usable = matches!(candidate.status, Status::Usable(_));
        let mark = if usable && chosen.as_deref() == Some(name) { '*' } else { ' ' };
        let version = candidate.metadata.as_ref().map_or("-", |metadata| metadata.version.as_str());
        text += &format!("{mark} {name:<10} {version:<8} {}\n", print::plain(&candidate.to_string()));
        if verbose {
            text += &details(candidate);
        }
    }
    if loader.report().is_empty() {
        text += "no plugins found\n";
    }
    text += match &chosen {
        Some(_) => "* = chosen for a task that asks for nothing\n",
        None => "no plugin can run tasks here\n",
    };
    if verbose || chosen.is_none() {
        let dirs = loader.dirs().iter().map(|dir| format!("  {}\n", print::plain(&dir.to_string_lossy())));
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
        let by = [&*support.by, &*support.why].into_iter().filter(|part| !part.is_empty());
        text += format!("      {feature:<18} {level:<5} {}", by.collect::<Vec<_>>().join("; ")).trim_end();
        text += "\n";
    }
    if let Status::Refused(refusal) = &candidate.status {
        let fix = if refusal.fix.is_empty() { String::new() } else { format!("      fix: {}\n", refusal.fix) };
        text += &format!("{fix}{}", refusal.report);
    }
    text
}

fn as_json(loader: &Loader) -> Value {
    let chosen = chosen(loader);
    let entries: Vec<Value> = loader.report().iter().map(|candidate| entry(candidate, chosen.as_deref())).collect();
    let dirs: Vec<_> = loader.dirs().iter().map(|dir| dir.to_string_lossy()).collect();
    json!({ "schema": 1, "plugins": entries, "searched": dirs })
}

fn entry(candidate: &Candidate, chosen: Option<&str>) -> Value {
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
        "chosen": status == "usable" && name == chosen,
        "why": why,
        "fix": fix,
        "metadata": candidate.metadata,
        "capabilities": candidate.capabilities(),
    })
}
