//! The program: where it may be inside, and the words it gets.
//!
//! It is looked up by the child, inside the root and as the task's user; here only names are put together.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use executor_api::spec::DEFAULT_PATH;
use executor_api::{Error, ErrorKind, Result, TaskSpec};

use super::step::Program;

/// `ENOENT`.
const NOT_FOUND: i32 = 2;

/// The program of `spec`, with its words.
pub(super) fn program(spec: &TaskSpec) -> Result<Program> {
    let args = spec.command_line();
    let candidates = candidates(args.first().map_or(OsStr::new(""), |program| program), &search_path(spec))?;
    let env = spec.env.iter().map(|(name, value)| {
        let parts = [name.as_bytes(), b"=", value.as_bytes()];
        OsString::from_vec(parts.concat())
    });
    Ok(Program { candidates, args, env: env.collect() })
}

/// Where bare names are looked up: the task's own `PATH`.
pub(crate) fn search_path(spec: &TaskSpec) -> OsString {
    spec.env.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into())
}

/// Where `program` may be: an absolute path there, a bare name in each directory of `path`. An empty directory is the
/// working directory, as POSIX has it.
fn candidates(program: &OsStr, path: &OsStr) -> Result<Vec<OsString>> {
    let bytes = program.as_bytes();
    if bytes.is_empty() {
        let why = "the name of the program is empty once the task's environment is put in";
        return Err(Error::new(ErrorKind::NotFound, "execute the program", why).with_errno(NOT_FOUND));
    }
    if bytes.starts_with(b"/") {
        return Ok(vec![program.to_owned()]);
    }
    if bytes.contains(&b'/') {
        let what = format!("execute {}", program.display());
        return Err(Error::invalid(what, "a program is an absolute path or a name without a slash"));
    }
    let candidate = |directory: &[u8]| match directory {
        b"" => program.to_owned(),
        _ => OsString::from_vec([directory, b"/", bytes].concat()),
    };
    Ok(path.as_bytes().split(|byte| *byte == b':').map(candidate).collect())
}
