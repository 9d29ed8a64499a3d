//! What is made from the command line's own description: manual pages, completions, the reference, the schema.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use executor_loader::Error;
use executor_loader::executor_api::Error as TaskError;
use serde_json::Value;

use super::args::Args;
use super::document::Document;
use super::print;
use super::report::exit;

/// Prints completions. They are made whole first: the generator panics where it cannot write.
pub(crate) fn completions(shell: Shell) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "executor", &mut script);
    print::bytes(&script, &mut std::io::stdout())?;
    Ok(exit::SUCCESS)
}

/// Prints the manual page of the command, or of `verb`.
pub(crate) fn man(verb: Option<&str>) -> Result<u8, Error> {
    let mut command = Args::command();
    command.build();
    let page = match verb {
        None => command,
        Some(verb) => {
            let found = command.find_subcommand(verb).filter(|found| !found.is_hide_set()).cloned();
            let unknown = || {
                TaskError::invalid(format!("print the manual page of {verb:?}"), "there is no such command")
                    .with_fix("`executor --help` lists them")
            };
            found.ok_or_else(unknown)?
        }
    };
    let mut roff = Vec::new();
    // As git-commit(1): each command has a page of its own.
    let title = page.get_display_name().unwrap_or(page.get_name()).to_owned();
    let rendered = clap_mangen::Man::new(page).title(title).render(&mut roff);
    rendered.map_err(|error| TaskError::from_io("write a manual page", &error))?;
    print::bytes(&roff, &mut std::io::stdout())?;
    Ok(exit::SUCCESS)
}

/// Prints every command with its options, as Markdown.
pub(crate) fn reference() -> Result<u8, Error> {
    let mut command = Args::command().term_width(100);
    command.build();
    let mut text = String::from(
        "# The `executor` command\n\nWritten by `executor reference`, which a test holds against this page: \
         `EXECUTOR_TEST_BLESS=1` writes it anew.\n",
    );
    text += &section(&mut command, "executor");
    let visible = command.get_subcommands_mut().filter(|verb| !verb.is_hide_set());
    for verb in visible {
        let name = format!("executor {}", verb.get_name());
        text += &section(verb, &name);
    }
    print::text(&text)?;
    Ok(exit::SUCCESS)
}

fn section(command: &mut Command, name: &str) -> String {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end())
}

/// Prints the schema of the documents that `--spec` reads.
pub(crate) fn schema() -> Result<u8, Error> {
    let mut schema = schemars::schema_for!(Document).to_value();
    without_pointers(&mut schema);
    print::json(&schema)?;
    Ok(exit::SUCCESS)
}

/// Leaves out of each description what only the library's own documentation can show.
fn without_pointers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_pointers),
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                let end = text.find("Example: [").unwrap_or(text.len());
                text.truncate(text[..end].trim_end().len());
            }
            map.values_mut().for_each(without_pointers);
        }
        _ => (),
    }
}
