//! Starts that fail, and leave nothing; and what of its surroundings a task gets.

use std::fs;
use std::os::unix::fs::symlink;

use executor_api::isolation::Bind;
use executor_api::{Ended, ErrorKind, Resources, TaskSpec};
use executor_linux::launch::{Attempt, GroupDescriptors, Order, Root};
use executor_linux::plan::Groups;
use libtest_mimic::Trial;

use super::rig::{KILLED, Rig, eventually, sh, with_word};
use super::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_missing_program_is_not_found_and_nothing_is_left", missing_program),
        trial("what_cannot_be_executed_is_told_apart", not_executable),
        trial("a_bare_name_is_looked_up_inside_the_root", a_bare_name_is_looked_up_inside_the_root),
        trial("a_missing_directory_is_not_taken_for_a_missing_program", missing_directory),
        trial("a_task_has_no_rights_and_its_own_surroundings", no_rights),
        trial("a_task_cannot_reach_its_supervisor", a_task_cannot_reach_its_supervisor),
        trial("the_hosts_files_are_read_only", the_hosts_files_are_read_only),
        trial("a_link_at_a_target_is_not_followed", a_link_at_a_target_is_not_followed),
        trial("a_long_command_line_arrives_whole", a_long_command_line_arrives_whole),
        trial("a_start_that_is_stopped_leaves_nothing", a_start_that_is_stopped_leaves_nothing),
        trial("groups_that_fail_end_the_start", groups_that_fail_end_the_start),
    ]
}

/// The error of a start that must fail.
fn refusal(rig: &Rig, spec: &TaskSpec) -> executor_api::Error {
    match rig.start(spec) {
        Err(error) => error,
        Ok(_) => panic!("it started: {spec:?}"),
    }
}

fn missing_program() {
    let rig = Rig::new();
    let word = format!("/no/such/{}", std::process::id());
    let error = refusal(&rig, &TaskSpec::new(&*word));
    assert_eq!((error.kind(), error.errno()), (ErrorKind::NotFound, Some(2)), "{error}");
    assert!(error.what().contains(&word), "{error}");
    let bare = refusal(&rig, &TaskSpec::new("no-such-program"));
    assert_eq!((bare.kind(), bare.errno()), (ErrorKind::NotFound, Some(2)), "{bare}");
    assert_eq!(with_word(&word), [0; 0]);
    assert_eq!(rig.run(&sh("exit 4")).0.ended, Ended::Exited(4), "the next one starts");
}

fn not_executable() {
    let rig = Rig::new();
    let directory = refusal(&rig, &TaskSpec::new("/usr/bin"));
    assert_eq!((directory.kind(), directory.errno()), (ErrorKind::NotExecutable, Some(13)), "{directory}");
    fs::write(rig.root().join("text"), "no program").expect("a file");
    let text = refusal(&rig, &TaskSpec::new("/text"));
    assert_eq!((text.kind(), text.errno()), (ErrorKind::NotExecutable, Some(13)), "{text}");
    let file = refusal(&rig, &TaskSpec::new("/etc/passwd/sh"));
    assert_eq!((file.kind(), file.errno()), (ErrorKind::NotFound, Some(20)), "{file}");
}

fn a_bare_name_is_looked_up_inside_the_root() {
    let rig = Rig::new();
    let bin = rig.root().join("opt");
    fs::create_dir(&bin).expect("a directory");
    symlink("/bin/sh", bin.join("only-inside")).expect("a link");
    let mut spec = sh("exit 5");
    spec.program = "only-inside".into();
    spec.env.insert("PATH".into(), "/nowhere:/etc/passwd:/opt".into());
    assert_eq!(rig.run(&spec).0.ended, Ended::Exited(5));
}

fn missing_directory() {
    let rig = Rig::new();
    let mut spec = sh("exit 0");
    spec.cwd = Some("/not/there".into());
    let error = refusal(&rig, &spec);
    assert_eq!((error.kind(), error.errno()), (ErrorKind::InvalidSpec, Some(2)), "{error}");
    assert!(error.what().contains("/not/there"), "{error}");
}

fn no_rights() {
    let rig = Rig::new();
    // Without a shell, which would clean up first.
    let mut cat = TaskSpec::new("/bin/cat");
    cat.args.push("/proc/self/status".into());
    let (_, status) = rig.run(&cat);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "SigBlk:", "SigIgn:"] {
        assert!(field(set).bytes().all(|digit| digit == b'0'), "{set} {}", field(set));
    }
    assert_eq!(field("Uid:"), "65534 65534 65534 65534");
    assert_eq!((field("Gid:"), field("Groups:")), ("65534 65534 65534 65534".into(), "65534".into()));
    assert_eq!(field("NoNewPrivs:"), "1");
    let (_, facts) = rig.run(&sh("echo $$; ls /proc/self/fd | head -3 | tr '\\n' ' '; pwd; umask; ulimit -c; env"));
    // ls has its listing open as 3.
    let expected = "2\n0 1 2 /\n0022\n0\n";
    assert!(facts.starts_with(expected), "{facts}");
    assert!(!facts.contains("CARGO"), "{facts}");
    let (_, shown) = rig.run(&sh("ls /; ls /dev; echo x > /dev/null; wc -l < /proc/self/mountinfo"));
    assert!(shown.starts_with("bin\ndev\netc\n") && shown.contains("urandom\nzero\n"), "{shown}");
    assert!(!shown.contains("home") && !shown.contains("root"), "{shown}");
}

fn a_task_cannot_reach_its_supervisor() {
    let rig = Rig::new();
    let tried = "for file in environ maps mem root cwd exe fd/0 ns/mnt auxv; do \
                 test -r /proc/1/$file && cat /proc/1/$file >/dev/null 2>&1 && echo $file; \
                 readlink /proc/1/$file 2>/dev/null; done; \
                 kill -9 1 2>/dev/null && echo killed; (echo 5 > /proc/1/oom_score_adj) 2>/dev/null && echo scored; exit 0";
    let (outcome, reached) = rig.run(&sh(tried));
    assert_eq!((outcome.ended, reached.as_str()), (Ended::Exited(0), ""));
    let (_, ids) = rig.run(&sh("grep Uid /proc/1/status; tr '\\0' ' ' < /proc/1/cmdline"));
    assert_eq!(ids.split_whitespace().collect::<Vec<_>>(), ["Uid:", "65533", "0", "65533", "0", "executor"]);
}

fn the_hosts_files_are_read_only() {
    let rig = Rig::new();
    let data = tempfile::tempdir().expect("a directory");
    fs::write(data.path().join("kept"), "x").expect("a file");
    let (_, tried) =
        rig.run(&sh("for dir in /usr /etc /dev; do (echo x > $dir/new) 2>&1 | grep -o 'Read-only.*'; done"));
    let root = Root::new(&rig.root(), &[Bind::new(data.path(), "/srv/data")]).expect("a root");
    assert_eq!(root.targets(), [std::path::Path::new("/srv/data")]);
    assert!(rig.root().join("srv/data").is_dir() && !rig.root().join("srv/data/kept").exists(), "nothing is attached");
    assert_eq!(tried.lines().filter(|line| line.starts_with("Read-only")).count(), 3, "{tried}");
}

fn a_link_at_a_target_is_not_followed() {
    let rig = Rig::new();
    let bait = tempfile::tempdir().expect("a directory");
    symlink(bait.path(), rig.root().join("usr")).expect("a link");
    assert!(rig.start(&sh("exit 0")).is_err());
    fs::remove_file(rig.root().join("usr")).expect("the link");
    symlink(bait.path(), rig.root().join("way")).expect("a link");
    symlink("/etc/passwd", rig.root().join("source")).expect("a link");
    for source in [rig.root().join("source"), "/etc/passwd".into(), "/etc".into()] {
        assert!(Root::new(&rig.root(), &[Bind::new(source, "/way/made")]).is_err());
    }
    assert_eq!(fs::read_dir(bait.path()).expect("bait").count(), 0, "a link was followed");
    fs::remove_dir(rig.root().join("dev")).expect("an empty directory");
    symlink("/etc", rig.root().join("dev")).expect("a link");
    assert!(rig.start(&sh("exit 0")).is_err());
    // Nor by the supervisor, where it is made after the host has looked.
    fs::remove_file(rig.root().join("dev")).expect("the link");
    let plan = rig.prepared(&sh("exit 0"));
    let root = Root::new(&rig.root(), &Root::programs()).expect("a root");
    fs::remove_dir(rig.root().join("dev")).expect("an empty directory");
    symlink("/etc", rig.root().join("dev")).expect("a link");
    let none = || Ok(GroupDescriptors::default());
    let error = rig.launch(&plan, &root, &Attempt::default(), none).err().expect("it is a link");
    assert_eq!(error.what(), "isolate the task: mount devices at /dev", "{error}");
}

fn a_long_command_line_arrives_whole() {
    let rig = Rig::new();
    let mut spec = sh("echo ${#1} ${#2} ${#LONG}; shift 2; echo $#");
    let words = ["x".into(), "a".repeat(100_000).into(), "b".repeat(120_000).into()];
    spec.args.extend(words);
    spec.args.extend((0..5000).map(|number| format!("word {number}").into()));
    spec.env.insert("LONG".into(), "c".repeat(110_000).into());
    assert_eq!(rig.run(&spec).1, "100000 120000 110000\n5000\n");
    let mut too_long = sh("exit 0");
    too_long.args.push("d".repeat(200_000).into());
    assert_eq!(refusal(&rig, &too_long).errno(), Some(7), "E2BIG");
}

/// One descriptor that the supervisor waits for.
fn one_group() -> Groups {
    let mut groups = Groups::default();
    groups.names.push("never-there".into());
    groups
}

fn a_start_that_is_stopped_leaves_nothing() {
    let rig = Rig::new();
    let attempt = Attempt::default();
    let stop = || {
        // The request is sent: the supervisor waits for its groups.
        attempt.stop().expect("stopped");
        Ok(GroupDescriptors { parents: vec![fs::File::open("/").expect("a directory").into()], ..Default::default() })
    };
    let stopped = rig.start_with(&sh("exit 0"), &Resources::default(), &one_group(), &attempt, stop);
    assert_eq!(stopped.err().map(|error| error.kind()), Some(ErrorKind::Busy));
    let again = rig.start_with(&sh("exit 0"), &Resources::default(), &Groups::default(), &attempt, || unreachable!());
    assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::Busy), "it begins no more");
    let task = rig.start(&sh("exec sleep 1000")).expect("others start");
    assert_eq!(task.running.order(Order::Kill).ok(), Some(true));
    assert_eq!(task.wait().ended, KILLED);
}

fn groups_that_fail_end_the_start() {
    let rig = Rig::new();
    let word = format!("88{:07}", std::process::id());
    let fail = || Err(executor_api::Error::new(ErrorKind::Exhausted, "make a group", "no room"));
    let spec = sh(&format!("exec sleep {word}"));
    let failed = rig.start_with(&spec, &Resources::default(), &one_group(), &Attempt::default(), fail);
    assert_eq!(failed.err().map(|error| error.kind()), Some(ErrorKind::Exhausted));
    eventually("nothing runs", || with_word(&word).is_empty());
}
