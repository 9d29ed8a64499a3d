//! What a task starts with, and what it is told when it cannot start.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use executor_api::{Ended, Error, ErrorKind, Executor, Plugin, StdioFds, TaskSpec};
use executor_fallback::FallbackPlugin;
use nix::fcntl::{FcntlArg, fcntl};

use crate::{directory, file, is_root, line, plugin, run, sh, start, state, task, wait};

fn refusal(spec: &TaskSpec) -> Error {
    task().start(spec, StdioFds::default()).expect_err("it cannot start")
}

/// Checks kind and errno, and that the words name what is wrong.
#[track_caller]
fn check(error: &Error, kind: ErrorKind, errno: i32, words: &str) {
    assert_eq!((error.kind(), error.errno()), (kind, Some(errno)), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_missing_program_is_named_and_so_is_the_path_it_was_looked_for_in() {
    check(&refusal(&TaskSpec::new("/no/such")), ErrorKind::NotFound, 2, "/no/such");
    check(&refusal(&TaskSpec::new("/etc/passwd/x")), ErrorKind::NotFound, 20, "/etc/passwd/x");
    let mut bare = TaskSpec::new("no-such");
    bare.env.insert("PATH".into(), "/bin:/no/where".into());
    let error = refusal(&bare);
    check(&error, ErrorKind::NotFound, 2, "no-such");
    check(&error, ErrorKind::NotFound, 2, "/bin:/no/where");
    bare.program = "$EMPTY".into();
    bare.env.insert("EMPTY".into(), "".into());
    check(&refusal(&bare), ErrorKind::NotFound, 2, "empty");
}

#[test]
fn what_cannot_be_executed_is_told_apart_from_what_is_missing() {
    let directory = directory();
    let plain = TaskSpec::new(file(&directory, "plain", "#!/bin/sh\n", 0o644));
    check(&refusal(&plain), ErrorKind::NotExecutable, 13, "plain");
    check(&refusal(&TaskSpec::new("/etc")), ErrorKind::NotExecutable, 13, "/etc");
    let formless = TaskSpec::new(file(&directory, "formless", "echo not a program\n", 0o755));
    check(&refusal(&formless), ErrorKind::NotExecutable, 8, "formless");
    let orphaned = TaskSpec::new(file(&directory, "orphaned", "#!/no/such/interpreter\n", 0o755));
    check(&refusal(&orphaned), ErrorKind::NotFound, 2, "interpreter");
}

#[test]
fn a_missing_directory_is_not_a_missing_program() {
    let mut spec = sh("exit 0");
    spec.cwd = Some("/no/such/place".into());
    check(&refusal(&spec), ErrorKind::InvalidSpec, 2, "working directory /no/such/place");
    spec.cwd = Some("/etc/passwd".into());
    check(&refusal(&spec), ErrorKind::InvalidSpec, 20, "working directory /etc/passwd");
}

#[test]
fn a_bare_name_is_the_first_in_path_that_can_be_executed() {
    let (first, second) = (directory(), directory());
    file(&first, "greet", "#!/bin/sh\necho first\n", 0o644);
    file(&second, "greet", "#!/bin/sh\necho second\n", 0o755);
    let mut spec = TaskSpec::new("greet");
    let path = format!("{}:{}:/usr/bin:/bin", first.path().display(), second.path().display());
    spec.env.insert("PATH".into(), path.into());
    assert_eq!(run(spec).1, "second\n");
}

#[test]
fn the_environment_and_the_words_are_exactly_those_given() {
    let mut spec = TaskSpec::new("/usr/bin/env");
    spec.env.insert("B".into(), "two words".into());
    spec.env.insert("A".into(), "".into());
    assert_eq!(run(spec).1, "A=\nB=two words\n");
    let odd = OsString::from_vec(vec![0xff, b' ', b'\n']);
    let mut spec = sh(r#"printf '%s|' "$0" "$1" "$2" "$X" | od -An -tx1"#);
    spec.env.insert("X".into(), odd.clone());
    spec.args.extend(["${X}".into(), "$NO".into(), odd]);
    let words = run(spec).1.split_whitespace().collect::<String>();
    assert_eq!(words, "ff200a7c244e4f7cff200a7cff200a7c");
}

#[test]
fn the_working_directory_is_the_one_given_or_the_root() {
    let directory = directory();
    let mut spec = sh("pwd -P");
    assert_eq!(run(spec.clone()).1, "/\n");
    spec.cwd = Some(directory.path().into());
    let real = directory.path().canonicalize().expect("it exists");
    assert_eq!(run(spec).1, format!("{}\n", real.display()));
}

#[test]
fn no_descriptor_of_the_host_reaches_the_task_or_its_supervisor() {
    let leak = std::fs::File::open("/dev/null").expect("it exists");
    let number = fcntl(&leak, FcntlArg::F_DUPFD(777)).expect("room");
    let script = format!("test -e /dev/fd/{number} && exit 1; test -e /proc/$PPID/fd/{number} && exit 2; exit 0");
    let (task, _output) = start(sh(&script)).expect("it starts");
    assert_eq!(wait(&task).ended, Ended::Exited(0));
    nix::unistd::close(number).expect("it was open");
    if cfg!(target_os = "linux") {
        // Besides 0, 1 and 2 the shell holds the directory that it lists.
        let (_, listed) = run(sh("cd /proc/$$/fd && echo *"));
        assert!(listed.split_whitespace().count() <= 4, "{listed}");
    }
}

#[test]
fn a_task_leads_its_own_session_and_can_gain_no_privileges() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let (_, text) = run(sh("echo $$; cut -d' ' -f5,6 /proc/$$/stat; grep -c '^NoNewPrivs:.1' /proc/$$/status; umask"));
    let mut lines = text.lines();
    let pid = lines.next().expect("a pid");
    assert_eq!(lines.next(), Some(format!("{pid} {pid}").as_str()), "process group and session");
    assert_eq!(lines.collect::<Vec<_>>(), ["1", "0022"]);
}

#[test]
fn many_tasks_can_start_at_once() {
    std::thread::scope(|scope| {
        for code in 0..16 {
            scope.spawn(move || assert_eq!(run(sh(&format!("exit {code}"))).0.ended, Ended::Exited(code)));
        }
    });
}

#[test]
fn a_plugin_without_its_supervisor_says_so() {
    assert!(plugin().probe().expect("a report").usable);
    let lonely = FallbackPlugin::with_supervisor("/no/such/supervisor", state());
    let report = lonely.probe().expect("a report");
    assert!(!report.usable && report.why.contains("/no/such/supervisor") && report.fix.contains("install"));
    let id = "fallback.a".parse().expect("an id");
    let error =
        lonely.create(&id).expect("a task").start(&sh("exit 0"), StdioFds::default()).expect_err("no supervisor");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.fix().is_some_and(|fix| fix.contains("install")));
    assert_eq!(plugin().open(&id).map(drop).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

#[test]
fn a_supervisor_that_somebody_else_could_have_written_is_not_executed() {
    let (directory, elsewhere) = (directory(), directory());
    let mark = directory.path().join("mark");
    let script = format!("#!/bin/sh\ntouch {}\n", mark.display());
    let supervisor = file(&elsewhere, "supervisor", &script, 0o755);
    let started = |path: &std::path::Path| {
        let plugin = FallbackPlugin::with_supervisor(path, state());
        let usable = plugin.probe().expect("a report").usable;
        let task = plugin.create(&"fallback.untrusted".parse().expect("an id")).expect("a task");
        (usable, task.start(&sh("exit 0"), StdioFds::default()).expect_err("it is no supervisor").kind())
    };
    assert_eq!(started(supervisor.as_ref()), (true, ErrorKind::Internal), "it is executed, and answers nothing");
    std::fs::remove_file(&mark).expect("it was executed");
    for mode in [0o757, 0o775, 0o777, 0o4755, 0o2755] {
        let path = file(&elsewhere, "supervisor", &script, mode);
        assert_eq!(started(path.as_ref()), (false, ErrorKind::Denied), "mode {mode:o}");
    }
    let path = elsewhere.path().join("link");
    std::os::unix::fs::symlink(file(&elsewhere, "supervisor", &script, 0o755), &path).expect("a link");
    assert_eq!(started(&path), (false, ErrorKind::Denied), "what a link leads to can be changed by who has the link");
    if is_root() {
        let path = file(&elsewhere, "supervisor", &script, 0o755);
        nix::unistd::chown(std::path::Path::new(&path), Some(4242.into()), None).expect("chown");
        assert_eq!(started(path.as_ref()), (false, ErrorKind::Denied), "somebody else's");
    }
    assert!(!mark.exists(), "none of these was executed");
}

#[test]
fn the_directory_is_entered_with_the_rights_of_the_task() {
    if !is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let closed = directory();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).expect("its mode");
    let mut spec = sh("exit 0");
    spec.cwd = Some(closed.path().into());
    check(&refusal(&spec), ErrorKind::Denied, 13, "working directory");
    let (task, mut output) = start(sh("id -u; exec sleep 1000")).expect("it starts");
    assert_ne!(line(&mut output), "0");
    task.force_stop().expect("it runs");
}
