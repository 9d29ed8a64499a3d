//! Values as people write them on the command line: pure, from words to the types of the interface.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use executor_loader::executor_api::Account;
use executor_loader::executor_api::isolation::{Access, Bind, Network, Syscalls, Tmpfs};
use executor_loader::executor_api::limits::Rlimit;
use executor_loader::executor_api::units::{Bytes, Signal};

/// Reads a time: bare seconds, or units as in `1m30s` and `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<f64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let read = match bare {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        None => humantime::parse_duration(text).map_err(|error| error.to_string()),
    };
    read.map_err(|error| format!("{error}; write 5s, 1m30s, 500ms or bare seconds"))
}

/// A user, and a group behind a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserGroup {
    pub(crate) user: Account,
    pub(crate) group: Option<Account>,
}

impl FromStr for UserGroup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let account = |text: &str| text.parse::<Account>().map_err(|error| error.to_string());
        Ok(Self { user: account(user)?, group: group.map(account).transpose()? })
    }
}

/// A signal by its name on this system, or by its number.
pub(crate) fn signal(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = format!("SIG{}", upper.strip_prefix("SIG").unwrap_or(&upper));
    let named = nix::sys::signal::Signal::from_str(&name).ok().and_then(|signal| Signal::new(signal as i32).ok());
    named.map_or_else(|| text.parse::<Signal>().map_err(|error| error.to_string()), Ok)
}

/// `host`, `none`, or the path of a network namespace.
pub(crate) fn network(text: &str) -> Result<Network, String> {
    match text {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::Loopback),
        path if path.contains('/') => Ok(Network::Namespace(path.into())),
        _ => Err("write host, none, or the path of a network namespace, such as /run/netns/blue".into()),
    }
}

/// `default`, `unconfined`, or the path of a profile.
pub(crate) fn seccomp(text: &str) -> Result<Syscalls, String> {
    match text {
        "default" => Ok(Syscalls::Default),
        "unconfined" => Ok(Syscalls::Unconfined),
        path if path.contains('/') || path.contains('.') => Ok(Syscalls::Profile(path.into())),
        _ => Err("write default, unconfined, or the path of a profile".into()),
    }
}

/// `SOURCE:TARGET`, with `:ro` behind it to forbid writing.
pub(crate) fn bind(text: &str) -> Result<Bind, String> {
    let (paths, access) = match text.rsplit_once(':') {
        Some((paths, "ro")) => (paths, Access::ReadOnly),
        Some((paths, "rw")) => (paths, Access::ReadWrite),
        _ => (text, Access::ReadWrite),
    };
    match paths.split_once(':') {
        // A colon more is a misspelt option, and must not become a bind that can be written to.
        Some((source, target)) if !source.is_empty() && target.starts_with('/') && !target.contains(':') => {
            Ok(Bind { access, ..Bind::new(source, target) })
        }
        _ => Err("write SOURCE:TARGET or SOURCE:TARGET:ro, the target absolute".into()),
    }
}

/// `TARGET`, with `:SIZE` behind it for a size of its own.
pub(crate) fn tmpfs(text: &str) -> Result<Tmpfs, String> {
    let (target, size) = text.split_once(':').map_or((text, None), |(target, size)| (target, Some(size)));
    if !target.starts_with('/') {
        return Err("write TARGET or TARGET:SIZE, the target absolute".into());
    }
    let size = size.map(str::parse::<Bytes>).transpose().map_err(|error| error.to_string())?;
    Ok(Tmpfs { target: target.into(), size })
}

/// `DEVICE=RATE`: bytes in a second.
pub(crate) fn io_rate(text: &str) -> Result<(PathBuf, Bytes), String> {
    let (device, rate) = text.split_once('=').ok_or("write DEVICE=RATE, such as /dev/sda=10M")?;
    Ok((device.into(), rate.parse::<Bytes>().map_err(|error| error.to_string())?))
}

/// `NAME=SOFT`, or `NAME=SOFT:HARD`; `unlimited` for either. One value is both.
pub(crate) fn rlimit(text: &str) -> Result<(String, Rlimit), String> {
    let (name, limits) = text.split_once('=').ok_or("write NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024:4096")?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| match text {
        "unlimited" | "infinity" => Ok(None),
        // Sizes and counts alike: 64M is as good for `as` as 1024 is for `nofile`.
        _ => text.parse::<Bytes>().map(|bytes| Some(bytes.get())).map_err(|error| error.to_string()),
    };
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name).to_owned();
    Ok((name, Rlimit { soft: number(soft)?, hard: number(hard)? }))
}

/// Processors by number, as the kernel lists them: `0-3,5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpuset(pub(crate) Vec<u16>);

impl FromStr for Cpuset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || "write numbers of processors and ranges of them, such as 0-3,5".to_owned();
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let [first, last] = [first, last].map(|number| number.parse::<u16>().ok().filter(|cpu| *cpu < 8192));
            match (first, last) {
                (Some(first), Some(last)) if first <= last => cpus.extend(first..=last),
                _ => return Err(refuse()),
            }
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReportTo {
    File(PathBuf),
    Fd(i32),
}

/// A path, or `fd:N`.
pub(crate) fn report_to(text: &str) -> Result<ReportTo, String> {
    let Some(number) = text.strip_prefix("fd:") else { return Ok(ReportTo::File(text.into())) };
    let number = number.parse::<i32>().ok().filter(|fd| *fd >= 3);
    number.map(ReportTo::Fd).ok_or_else(|| "write fd:N, N from 3 on: 0 to 2 are the task's own".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        let cases = [("5", 5000), ("5s", 5000), ("1m30s", 90_000), ("500ms", 500), ("0.5", 500), ("1h", 3_600_000)];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1", "s", "1x", "1e9", "inf", "nan", "99999999999999999999999"] {
            assert!(duration(text).is_err(), "{text} was read");
        }
    }

    #[test]
    fn signals_have_their_numbers_here() {
        let read = |text: &str| signal(text).map(|signal| signal.number());
        assert_eq!((read("TERM"), read("sigterm"), read("9")), (Ok(15), Ok(15), Ok(9)));
        assert_eq!(read("USR1"), Ok(nix::libc::SIGUSR1));
        assert!(read("").is_err() && read("SIG").is_err() && read("0").is_err() && read("-h;id").is_err());
    }

    #[test]
    fn processors_are_numbers_and_ranges() {
        let read = |text: &str| text.parse::<Cpuset>().map(|set| set.0);
        assert_eq!(read("5,0-2,1"), Ok(vec![0, 1, 2, 5]));
        for text in ["", ",", "3-1", "-1", "0-", "x", "0-65536", "0-9999"] {
            assert!(read(text).is_err(), "{text} was read");
        }
    }

    #[test]
    fn binds_and_mounts_name_an_absolute_target() {
        assert_eq!(bind("src:/dst").map(|bind| (bind.source, bind.access)), Ok(("src".into(), Access::ReadWrite)));
        assert_eq!(bind("/a:/b:ro").map(|bind| (bind.target, bind.access)), Ok(("/b".into(), Access::ReadOnly)));
        assert_eq!(tmpfs("/t:16M").map(|tmpfs| tmpfs.size), Ok(Some(Bytes::mib(16))));
        for text in ["/a:/b:RO", "/a:/b:ro,z", "/a:/b:ro:ro", "", ":", "/a", "/a:", "/a:b", ":/b", "/a:ro"] {
            assert!(bind(text).is_err(), "{text} was read");
        }
        assert!(tmpfs("t").is_err() && tmpfs("/t:x").is_err() && tmpfs("").is_err());
    }

    #[test]
    fn limits_by_name_and_by_device() {
        let both = |soft, hard| Rlimit { soft, hard };
        assert_eq!(rlimit("nofile=64"), Ok(("nofile".into(), both(Some(64), Some(64)))));
        assert_eq!(rlimit("RLIMIT_AS=1G:unlimited"), Ok(("as".into(), both(Some(1 << 30), None))));
        assert!(rlimit("nofile").is_err() && rlimit("nofile=").is_err() && rlimit("nofile=1:2:3").is_err());
        assert_eq!(io_rate("/dev/a=10M"), Ok(("/dev/a".into(), Bytes::mib(10))));
        assert!(io_rate("/dev/a").is_err() && io_rate("/dev/a=fast").is_err());
    }

    #[test]
    fn words_with_a_meaning_and_paths_are_told_apart() {
        assert_eq!(network("none"), Ok(Network::Loopback));
        assert_eq!(network("/run/netns/a"), Ok(Network::Namespace("/run/netns/a".into())));
        assert!(network("private").is_err());
        assert_eq!(seccomp("unconfined"), Ok(Syscalls::Unconfined));
        assert_eq!(seccomp("./strict.json"), Ok(Syscalls::Profile("./strict.json".into())));
        assert!(seccomp("strict").is_err());
        assert_eq!(report_to("fd:3"), Ok(ReportTo::Fd(3)));
        assert_eq!(report_to("out.json"), Ok(ReportTo::File("out.json".into())));
        assert!(report_to("fd:1").is_err() && report_to("fd:x").is_err());
        let user: UserGroup = "www-data:33".parse().expect("a user and a group");
        assert_eq!((user.user, user.group), (Account::Name("www-data".into()), Some(Account::Id(33))));
        assert!("".parse::<UserGroup>().is_err() && "a:".parse::<UserGroup>().is_err());
    }
}
