//! What a plugin says of itself in its file: read without running a line of it.
//!
//! JSON in the ELF section `.executor_plugin`, padded with NUL bytes to a fixed size. The loader reads it before it maps
//! the library, and compares it with what the loaded module says.

use serde::{Deserialize, Serialize};

use crate::id::PluginName;

/// The section's name.
pub const METADATA_SECTION: &str = ".executor_plugin";
/// The section's size in bytes.
pub const METADATA_SIZE: usize = 512;
/// The version of this crate.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A plugin's metadata. A reply: later versions may say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PluginMetadata {
    /// The plugin's name, as in its file name.
    pub name: PluginName,
    /// The version of the plugin.
    pub version: String,
    /// The version of executor-api that it was built with.
    pub api: String,
    /// The compiler that built it, as `rustc --version` prints it.
    pub rustc: String,
    /// The target that it was built for.
    pub target: String,
    /// What a panic does in it; anything but `unwind` is refused.
    pub panic: String,
}

impl PluginMetadata {
    /// Reads a section's bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with them, on one line.
    pub fn parse(section: &[u8]) -> Result<Self, String> {
        if section.len() > METADATA_SIZE {
            return Err(format!("its metadata is {} bytes long, {METADATA_SIZE} at most are allowed", section.len()));
        }
        let end = section.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        serde_json::from_slice(&section[..end]).map_err(|error| format!("its metadata cannot be read: {error}"))
    }
}

/// The section of a plugin `name` of `version`, made while it is compiled.
///
/// # Panics
///
/// At compile time: when the name is not one (see [`PluginName`]) or the text does not fit.
#[must_use]
pub const fn metadata(name: &str, version: &str) -> [u8; METADATA_SIZE] {
    let letters = name.as_bytes();
    assert!(!letters.is_empty() && letters.len() <= 32, "a plugin's name has 1 to 32 letters");
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        assert!(
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_',
            "a plugin's name is a-z 0-9 _"
        );
        at += 1;
    }
    let parts = [
        "{\"name\":\"",
        name,
        "\",\"version\":\"",
        version,
        "\",\"api\":\"",
        API_VERSION,
        "\",\"rustc\":\"",
        env!("EXECUTOR_API_RUSTC"),
        "\",\"target\":\"",
        env!("EXECUTOR_API_TARGET"),
        "\",\"panic\":\"unwind\"}",
    ];
    let mut section = [0; METADATA_SIZE];
    let (mut part, mut end) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] >= b' ' && bytes[at] != b'\\', "the metadata must be plain text");
            section[end] = bytes[at];
            at += 1;
            end += 1;
        }
        part += 1;
    }
    section
}

/// The text of a section, without the padding.
#[must_use]
pub const fn metadata_text(section: &'static [u8; METADATA_SIZE]) -> &'static str {
    let mut end = METADATA_SIZE;
    while end > 0 && section[end - 1] == 0 {
        end -= 1;
    }
    match std::str::from_utf8(section.split_at(end).0) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        static SECTION: [u8; METADATA_SIZE] = metadata("linux", "1.2.3");
        let read = PluginMetadata::parse(&SECTION).expect("it parses");
        assert_eq!((read.name.as_str(), read.version.as_str(), read.api.as_str()), ("linux", "1.2.3", API_VERSION));
        assert_eq!(PluginMetadata::parse(metadata_text(&SECTION).as_bytes()), Ok(read));
    }

    #[test]
    fn damage_is_told_on_one_line() {
        for bytes in [&b""[..], b"\0\0", b"{}", b"{\"name\":\"../x\"}", &[0xff; 40], &[b' '; METADATA_SIZE + 1]] {
            let error = PluginMetadata::parse(bytes).expect_err("damaged");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
