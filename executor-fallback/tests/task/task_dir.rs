//! The task's directory: where it starts, and what it is told.

use std::os::fd::AsFd;
use std::path::Path;

use executor_api::{Error, ErrorKind, Executor, Output, StdioFds, TaskDir, TaskSpec};
use tempfile::TempDir;

use crate::{directory, line, sh, task, wait};

/// What `spec` prints in its first line as a task in `dir`, and its command line.
fn in_dir(mut spec: TaskSpec, dir: &TaskDir) -> (String, Vec<String>) {
    let task = task();
    task.configure_task_dir(dir).expect("it can be had");
    let (mut output, pen) = std::io::pipe().expect("a pipe");
    spec.stdout = Output::Passed;
    task.start(&spec, StdioFds { stdout: Some(pen.as_fd()), ..StdioFds::default() }).expect("it starts");
    drop(pen);
    let text = line(&mut output);
    wait(&task);
    let command = task.command().expect("it was started");
    (text, command.iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

fn real(path: &Path) -> String {
    path.canonicalize().expect("it exists").display().to_string()
}

fn with_local() -> TempDir {
    let root = directory();
    std::fs::create_dir(root.path().join("local")).expect("a directory");
    root
}

#[test]
fn a_task_starts_in_its_local_directory_or_in_the_root_or_where_the_spec_says() {
    let root = directory();
    let dir = TaskDir::new(root.path());
    assert_eq!(in_dir(sh("pwd -P"), &dir).0, real(root.path()));
    std::fs::create_dir(root.path().join("local")).expect("a directory");
    assert_eq!(in_dir(sh("pwd -P"), &dir).0, real(&root.path().join("local")));
    let mut spec = sh("pwd -P");
    spec.cwd = Some("/".into());
    assert_eq!(in_dir(spec, &dir).0, "/");
}

#[test]
fn the_environment_holds_the_hosts_paths_and_nothing_that_was_not_asked_for() {
    let (root, alloc) = (with_local(), directory());
    let mut dir = TaskDir::new(root.path());
    let path = root.path().display();
    let script = "env | grep ^NOMAD | sort | tr '\\n' ','";
    assert_eq!(in_dir(sh(script), &dir).0, format!("NOMAD_SECRETS_DIR={path}/secrets,NOMAD_TASK_DIR={path}/local,"));
    dir.alloc = Some(alloc.path().into());
    dir.env.task = "MINE".into();
    dir.env.secrets = String::new();
    let shared = alloc.path().display();
    let mut env = sh("env | grep -E '^(MINE|NOMAD|USER|HOME|LOGNAME)' | sort | tr '\\n' ','");
    assert_eq!(in_dir(env.clone(), &dir).0, format!("MINE={path}/local,NOMAD_ALLOC_DIR={shared},"));
    env.env.insert("MINE".into(), "own".into());
    assert_eq!(in_dir(env, &dir).0, format!("MINE=own,NOMAD_ALLOC_DIR={shared},"), "the spec's own wins");
}

#[test]
fn words_that_name_the_directory_are_replaced() {
    let root = with_local();
    let mut spec = TaskSpec::new("/bin/echo");
    spec.args = vec!["${NOMAD_TASK_DIR}/a".into(), "$NOMAD_SECRETS_DIR".into(), "$NOMAD_ALLOC_DIR".into()];
    let path = root.path().display();
    let words = [format!("{path}/local/a"), format!("{path}/secrets"), "$NOMAD_ALLOC_DIR".to_owned()];
    let (text, command) = in_dir(spec, &TaskDir::new(root.path()));
    assert_eq!(text, words.join(" "));
    assert_eq!(command[1..], words);
    std::fs::copy("/bin/echo", root.path().join("local/greet")).expect("a program");
    let mut spec = TaskSpec::new("${NOMAD_TASK_DIR}/greet");
    spec.args.push("hello".into());
    assert_eq!(in_dir(spec, &TaskDir::new(root.path())).0, "hello");
}

#[test]
fn a_directory_that_cannot_be_one_is_named() {
    let refusal = |dir: &TaskDir| task().configure_task_dir(dir).expect_err("no such directory");
    let check = |error: Error, words: &str| {
        assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(refusal(&TaskDir::new("/no/such/place")), "/no/such/place");
    check(refusal(&TaskDir::new("/etc/passwd")), "/etc/passwd");
    check(refusal(&TaskDir::new("relative")), "relative");
    let mut dir = TaskDir::new("/");
    dir.alloc = Some("/no/such/alloc".into());
    check(refusal(&dir), "/no/such/alloc");
    for name in ["A=B", "A\0"] {
        let mut dir = TaskDir::new("/");
        dir.env.secrets = name.into();
        check(refusal(&dir), &format!("{name:?}"));
    }
}
