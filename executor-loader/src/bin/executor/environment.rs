//! The variables of a task's environment, from words and from files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use executor_loader::Error;
use executor_loader::executor_api::Error as TaskError;

use super::document;

/// `NAME=VALUE`, or `NAME` for the value that it has here.
pub(crate) fn variable(word: &OsStr) -> Result<(OsString, OsString), Error> {
    let bytes = word.as_bytes();
    let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
        let missing = || {
            TaskError::invalid(format!("set the environment variable {word:?}"), "it is not set here either")
                .with_fix("write NAME=VALUE")
        };
        return Ok((word.to_owned(), std::env::var_os(word).ok_or_else(missing)?));
    };
    let [name, value] = [&bytes[..at], &bytes[at + 1..]].map(|part| OsString::from_vec(part.to_owned()));
    Ok((name, value))
}

/// The variables in `file`: one a line as [`variable`] reads it, empty lines and those that begin with `#` left out.
pub(crate) fn variables(file: &Path) -> Result<BTreeMap<OsString, OsString>, Error> {
    let text = document::text(file, "read the environment in")?;
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.map(|line| variable(OsStr::new(line.trim_start()))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn variables_split_at_the_first_equals_sign() {
        let read = |word: &str| variable(OsStr::new(word)).map_err(|error| error.to_string());
        assert_eq!(read("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(read("A="), Ok(("A".into(), OsString::new())));
        assert!(read("EXECUTOR_SURELY_NOT_SET").is_err_and(|error| error.contains("EXECUTOR_SURELY_NOT_SET")));
    }

    #[test]
    fn environment_files_have_one_variable_a_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "# names\n\nA=1\nB=x y\n").expect("write");
        let read = variables(file.path()).expect("they are read");
        assert_eq!(read.into_iter().collect::<Vec<_>>(), [("A".into(), "1".into()), ("B".into(), "x y".into())]);
        assert!(variables(Path::new("/surely/not")).is_err());
    }
}
