//! Standard streams: nothing, files, and descriptors of the host.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use executor_api::{ErrorKind, Executor, Input, Output, StdioFds, TaskSpec};
use nix::sys::stat::Mode;

use crate::{directory, run, sh, task, wait};

#[test]
fn streams_that_nobody_asked_for_lead_nowhere() {
    let (outcome, text) = run(sh("cat; echo lost >&2; echo done"));
    assert!(outcome.success());
    assert_eq!(text, "done\n");
}

#[test]
fn files_are_read_emptied_and_appended_to() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("in"), "from the file\n").expect("a file");
    std::fs::write(path("err"), "kept\n").expect("a file");
    for (append, expected) in
        [(false, "from the file\n"), (true, "from the file\nfrom the file\n"), (false, "from the file\n")]
    {
        let mut spec = sh("cat; echo more >&2");
        spec.stdin = Input::File { path: path("in") };
        spec.stdout = Output::File { path: path("out"), append };
        spec.stderr = Output::File { path: path("err"), append: true };
        let task = task();
        task.start(&spec, StdioFds::default()).expect("it starts");
        assert!(wait(&task).success());
        assert_eq!(std::fs::read_to_string(path("out")).expect("it was made"), expected);
    }
    assert_eq!(std::fs::read_to_string(path("err")).expect("it is there"), "kept\nmore\nmore\nmore\n");
    let mode = std::fs::metadata(path("out")).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn descriptors_of_the_host_are_the_tasks_streams() {
    let (stdin, mut pen) = std::io::pipe().expect("a pipe");
    let (mut output, stdout) = std::io::pipe().expect("a pipe");
    let mut spec = sh("read word; echo \"$word out\"; echo \"$word err\" >&2");
    (spec.stdin, spec.stdout, spec.stderr) = (Input::Passed, Output::Passed, Output::Passed);
    let task = task();
    let fds = StdioFds { stdin: Some(stdin.as_fd()), stdout: Some(stdout.as_fd()), stderr: Some(stdout.as_fd()) };
    task.start(&spec, fds).expect("it starts");
    drop((stdin, stdout));
    pen.write_all(b"hello\n").expect("the task reads");
    let mut text = String::new();
    output.read_to_string(&mut text).expect("it ends with the task: the supervisor keeps nothing");
    assert_eq!(text, "hello out\nhello err\n");
    assert!(wait(&task).success());
    assert_eq!(task.signal(executor_api::units::Signal::HUP).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    symlink("/etc/passwd", path("link")).expect("a link");
    nix::unistd::mkfifo(&path("pipe"), Mode::S_IRWXU).expect("a pipe");
    let cases =
        [("no/such", ErrorKind::InvalidSpec), ("link", ErrorKind::InvalidSpec), ("pipe", ErrorKind::InvalidSpec)];
    for (name, kind) in cases {
        let mut spec = sh("exit 0");
        spec.stdout = Output::File { path: path(name), append: true };
        let error = task().start(&spec, StdioFds::default()).expect_err("nothing to write to, and no waiting for it");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let mut spec = TaskSpec::new("/bin/true");
    spec.stdin = Input::Passed;
    let error = task().start(&spec, StdioFds::default()).expect_err("no descriptor came with it");
    assert_eq!(error.kind(), ErrorKind::InvalidSpec);
}
