//! Where packages come from: the machine's own sources of apt, read and never changed.
//!
//! One of them is Debian's archive. Its address and its keys are taken over, and another suite is put in the place of
//! the machine's. No address is written down here. Follows sources.list(5), both formats.

use std::fs;
use std::path::Path;

use crate::error::{Doing, Error, Result};

const SOURCES_LIST: &str = "/etc/apt/sources.list";
const SOURCES_DIR: &str = "/etc/apt/sources.list.d";
/// Suites that Debian's archive has had or has, by codename and by age. Others' archives use them as well, but not
/// with [`UPDATES`].
const SUITES: [&str; 11] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];
const UPDATES: &str = "-updates";
const COMPONENT: &str = "main";
/// Fields that say whom the machine trusts, taken over as they are: name in a stanza, name in a one-line source.
const TRUST: [(&str, &str); 3] =
    [("Signed-By", "signed-by"), ("Trusted", "trusted"), ("Check-Valid-Until", "check-valid-until")];

/// Debian's archive, as this machine reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    uris: String,
    /// The suite that the machine itself is of.
    pub(super) suite: String,
    /// Fields and their values, continuation lines included.
    trust: Vec<(&'static str, String)>,
}

impl Archive {
    /// The one that this machine is configured with.
    pub(super) fn of_machine() -> Result<Self> {
        let mut entries = Vec::new();
        if let Ok(text) = fs::read_to_string(SOURCES_LIST) {
            entries.extend(text.lines().filter_map(one_line));
        }
        let mut files: Vec<_> = fs::read_dir(SOURCES_DIR).into_iter().flatten().flatten().map(|at| at.path()).collect();
        files.sort();
        for file in files {
            let read = || fs::read_to_string(&file).doing(format!("read {}", file.display()));
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => entries.extend(read()?.lines().filter_map(one_line)),
                Some("sources") => entries.extend(stanzas(&read()?).filter_map(|stanza| entry(&stanza))),
                _ => (),
            }
        }
        Self::among(entries).ok_or_else(|| {
            let why = format!("no source of packages in {SOURCES_LIST} or {SOURCES_DIR} is Debian's archive");
            let fix = "fix: run on a Debian with a source of the suites NAME and NAME-updates";
            Error::new(format!("{why}\n  {fix}"))
        })
    }

    /// The first that serves a suite of Debian's and its updates as well; else the first that serves one.
    fn among(entries: Vec<Entry>) -> Option<Self> {
        let serves = |uris: &str, suite: &str| {
            entries.iter().any(|entry| entry.uris == uris && entry.suites.iter().any(|served| served == suite))
        };
        let own = |entry: &Entry| {
            let suite = entry.suites.iter().find(|suite| SUITES.contains(&suite.as_str()))?;
            Some((entry.clone(), suite.clone()))
        };
        let found: Vec<_> = entries.iter().filter_map(own).collect();
        let whole = found.iter().find(|(entry, suite)| serves(&entry.uris, &format!("{suite}{UPDATES}")));
        let (entry, suite) = whole.or(found.first())?.clone();
        Some(Self { uris: entry.uris, suite, trust: entry.trust })
    }

    /// The source of `suite` in this archive, as a stanza: its list of packages and nothing else.
    pub(super) fn stanza(&self, suite: &str) -> String {
        let mut stanza = format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: {COMPONENT}\n", self.uris);
        stanza += "Targets: Packages\n";
        for (name, value) in &self.trust {
            stanza += &format!("{name}: {value}\n");
        }
        stanza
    }
}

/// A source of binary packages that has [`COMPONENT`].
#[derive(Clone, Debug)]
struct Entry {
    uris: String,
    suites: Vec<String>,
    trust: Vec<(&'static str, String)>,
}

/// A source in one line: `deb [ option=value … ] uri suite component …`.
fn one_line(line: &str) -> Option<Entry> {
    let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let [uri, suite, components @ ..] = &words[..] else { return None };
    let value = |wanted: &str| {
        options.split_ascii_whitespace().filter_map(|option| option.split_once('=')).find(|(name, _)| *name == wanted)
    };
    let trust = TRUST.iter().filter_map(|(field, option)| Some((*field, value(option)?.1.to_owned())));
    let entry = Entry { uris: (*uri).to_owned(), suites: vec![(*suite).to_owned()], trust: trust.collect() };
    components.contains(&COMPONENT).then_some(entry)
}

/// The fields of a stanza, with their values, continuation lines included.
type Stanza = Vec<(String, String)>;

fn stanzas(text: &str) -> impl Iterator<Item = Stanza> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let stanzas = lines.split(|line| line.trim().is_empty()).map(|lines| {
        let mut stanza = Stanza::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if !line.starts_with([' ', '\t']) => {
                    stanza.push((name.to_owned(), value.trim().to_owned()));
                }
                _ => stanza.last_mut().into_iter().for_each(|(_, value)| *value += &format!("\n{line}")),
            }
        }
        stanza
    });
    stanzas.collect::<Vec<_>>().into_iter()
}

fn entry(stanza: &Stanza) -> Option<Entry> {
    let field = |wanted: &str| {
        let (_, value) = stanza.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(value.clone())
    };
    let words = |field: String| field.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let has = |wanted: &str, word: &str| field(wanted).is_some_and(|value| words(value).iter().any(|one| one == word));
    let off = field("Enabled").is_some_and(|value| ["no", "false", "off", "0"].contains(&value.as_str()));
    let trust = TRUST.iter().filter_map(|(name, _)| Some((*name, field(name)?))).collect();
    let entry = Entry { uris: field("URIs")?, suites: words(field("Suites")?), trust };
    (!off && has("Types", "deb") && has("Components", COMPONENT)).then_some(entry)
}

/// Files that configure apt on this machine, in the order in which it reads them.
pub(super) fn configuration() -> Vec<std::path::PathBuf> {
    let etc = Path::new("/etc/apt");
    let mut files: Vec<_> =
        fs::read_dir(etc.join("apt.conf.d")).into_iter().flatten().flatten().map(|at| at.path()).collect();
    files.sort();
    files.extend([etc.join("apt.conf")].into_iter().filter(|file| file.is_file()));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_lines(text: &str) -> Option<Archive> {
        Archive::among(text.lines().filter_map(one_line).collect())
    }

    fn from_stanzas(text: &str) -> Option<Archive> {
        Archive::among(stanzas(text).filter_map(|stanza| entry(&stanza)).collect())
    }

    #[test]
    fn another_suite_is_derived_from_a_stanza_with_its_keys() {
        let archive = from_stanzas(
            "# by the installer\nTypes: deb\n# an older mirror\nURIs: http://mirror.invalid/debian\n\
             Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /keys/debian.gpg\n\n\
             Types: deb\nURIs: http://mirror.invalid/security\nSuites: bookworm-security\nComponents: main\n",
        )
        .unwrap();
        assert_eq!(archive.suite, "bookworm");
        assert_eq!(
            archive.stanza("trixie-backports"),
            "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: trixie-backports\nComponents: main\n\
             Targets: Packages\nSigned-By: /keys/debian.gpg\n"
        );
    }

    #[test]
    fn another_suite_is_derived_from_a_line_with_its_options() {
        let archive = from_lines(
            "# deb http://off.invalid/debian trixie main\ndeb-src http://src.invalid/debian trixie main\n\
             deb [ arch=amd64 signed-by=/keys/a.gpg ] https://mirror.invalid/debian trixie main contrib # ours\n",
        )
        .unwrap();
        assert_eq!((archive.uris.as_str(), archive.suite.as_str()), ("https://mirror.invalid/debian", "trixie"));
        assert!(archive.stanza("bullseye").contains("Suites: bullseye\n"));
        assert!(archive.stanza("bullseye").ends_with("Signed-By: /keys/a.gpg\n"));
    }

    #[test]
    fn others_that_name_their_suites_like_debian_come_after_the_archive() {
        let archive = from_lines(
            "deb http://php.invalid/apt bookworm main\ndeb http://pg.invalid/apt bookworm-pgdg main\n\
             deb http://mirror.invalid/debian bookworm main\ndeb http://mirror.invalid/debian bookworm-updates main\n",
        );
        assert_eq!(archive.unwrap().uris, "http://mirror.invalid/debian");
        assert_eq!(from_lines("deb http://mirror.invalid/debian sid main").unwrap().suite, "sid");
        assert_eq!(from_lines("deb http://cloud.invalid/apt cloud-sdk-bookworm main"), None);
        assert_eq!(from_lines("deb http://docker.invalid/debian bookworm stable"), None);
    }

    #[test]
    fn a_source_that_is_switched_off_is_none() {
        let stanza = "Types: deb\nURIs: http://a.invalid\nSuites: bookworm\nComponents: main\n";
        assert!(from_stanzas(stanza).is_some());
        assert_eq!(from_stanzas(&format!("{stanza}Enabled: no\n")), None);
        assert_eq!(from_stanzas(&stanza.replace("deb\n", "deb-src\n")), None);
    }

    #[test]
    fn a_key_within_a_stanza_is_kept_line_by_line() {
        let archive = from_stanzas(
            "Types: deb\nURIs: http://a.invalid\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n key: a\n",
        )
        .unwrap();
        assert!(archive.stanza("sid").ends_with("Signed-By: \n -----BEGIN\n .\n key: a\n"), "{archive:?}");
    }
}
