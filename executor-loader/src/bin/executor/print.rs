//! What goes to standard output: listings and documents, whole or with an error.

use std::io::{self, Write};

use executor_loader::Error;
use executor_loader::executor_api::{Error as TaskError, ErrorKind};
use serde_json::Value;

/// Prints `text`. A reader that has gone away has read enough.
pub(crate) fn text(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    checked(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints bytes, as they are; false when nobody reads them any more.
pub(crate) fn bytes(bytes: &[u8], to: &mut dyn Write) -> Result<bool, Error> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => checked(written).map(|()| true),
    }
}

/// `text` without what could steer a terminal or pass for a line of its own.
pub(crate) fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || ('\u{200e}'..='\u{200f}').contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    text.chars().fold(String::with_capacity(text.len()), |mut plain, c| {
        if steers(c) {
            plain.extend(c.escape_default())
        } else {
            plain.push(c)
        }
        plain
    })
}

/// Prints one document.
pub(crate) fn json(value: &Value) -> Result<(), Error> {
    text(&format!("{value:#}\n"))
}

fn checked(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(TaskError::from_io("print", &error).with_kind(ErrorKind::Internal).into())
        }
        _ => Ok(()),
    }
}

/// Rows in columns, the first one the heading; the last column is not filled up.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            match at + 1 == row.len() {
                true => text += cell,
                false => text += &format!("{cell:<width$}  ", width = width(at).unwrap_or(0)),
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// A command line for people: what would not be one word, or could steer a terminal, is quoted.
pub(crate) fn words<'a>(words: impl IntoIterator<Item = &'a std::ffi::OsString>) -> String {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`\\$*?;&|<>()".contains(&byte))
    };
    let word = |word: &std::ffi::OsString| match word.to_str() {
        Some(text) if plain(text) => text.to_owned(),
        _ => format!("{word:?}"),
    };
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["ID", "STATE"], ["a", "running"], ["long-id", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "ID       STATE\na        running\nlong-id\n");
    }

    #[test]
    fn nothing_that_a_task_is_called_reaches_the_terminal_raw() {
        let odd = ["sh", "-c", "a b", "\u{1b}[2J", "", "x\ny"].map(OsString::from);
        assert_eq!(words(&odd), r#"sh -c "a b" "\u{1b}[2J" "" "x\ny""#);
        assert_eq!(plain("a\u{1b}]0;x\u{7}\nb\u{202e}c\u{9b}é"), r"a\u{1b}]0;x\u{7}\nb\u{202e}c\u{9b}é");
        assert_eq!(words(&[OsString::from_vec(vec![b'a', 0xff])]), r#""a\xFF""#);
    }
}
