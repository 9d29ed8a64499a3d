//! As whom tasks run, on this machine. What depends on no machine is tested beside the code.

use executor_api::{Account, Ended, ErrorKind, Executor, StdioFds};
use nix::unistd::{User, getgid, getuid};

use crate::{is_root, run, sh, task};

#[test]
fn a_task_of_a_root_host_is_nobody_with_nothing_but_its_own_group() {
    if !is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let nobody = User::from_name("nobody").expect("a database").expect("nobody");
    let (_, text) = run(sh("id -u; id -g; id -G; grep -c '^CapEff:.0*$' /proc/self/status"));
    let expected = format!("{}\n{}\n{}\n1\n", nobody.uid, nobody.gid, nobody.gid);
    assert_eq!(text, expected);
}

#[test]
fn a_task_of_another_host_is_that_host() {
    if is_root() {
        eprintln!("skipped: needs a user who is not root");
        return;
    }
    let (_, text) = run(sh("id -u; id -g"));
    assert_eq!(text, format!("{}\n{}\n", getuid(), getgid()));
    let mut spec = sh("exit 0");
    spec.identity.user = Some(Account::Id(getuid().as_raw()));
    assert_eq!(run(spec.clone()).0.ended, Ended::Exited(0), "to name oneself asks for nothing");
    spec.identity.user = Some(Account::Id(getuid().as_raw() + 1));
    spec.identity.group = Some(Account::Id(getgid().as_raw()));
    let error = task().start(&spec, StdioFds::default()).expect_err("only root can");
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[test]
fn named_ids_are_taken_and_root_cannot_be_had_back() {
    if !is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let mut spec = sh("id -u; id -g; id -G; grep -E '^(Uid|Gid):' /proc/self/status | tr -d '[:alpha:]:\\n\\t'");
    spec.identity.user = Some(Account::Id(4242));
    spec.identity.group = Some(Account::Id(4343));
    spec.identity.supplementary = Some(vec![Account::Id(4444), Account::Id(4343)]);
    let (outcome, text) = run(spec);
    assert_eq!(text, format!("4242\n4343\n4343 4444\n{}{}", "4242".repeat(4), "4343".repeat(4)));
    assert!(outcome.success());
}

#[test]
fn an_unknown_user_is_named_and_root_is_refused() {
    let mut spec = sh("exit 0");
    for (user, kind) in [("no-such-user", ErrorKind::InvalidSpec), ("root", ErrorKind::Denied)] {
        spec.identity.user = Some(Account::Name(user.into()));
        let error = task().start(&spec, StdioFds::default()).expect_err("not that one");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(user), "{error}");
    }
}
