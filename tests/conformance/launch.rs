//! A task runs, with exactly what it was given, and ends as it ended.

use executor_api::limits::Rlimit;
use executor_api::task_dir::{AllocDir, DirEnv, TaskDir};
use executor_api::units::{Nice, OomScoreAdj, Signal, Umask};
use executor_api::{Account, Cause, Ended, ErrorKind, Feature, Outcome};
use executor_loader::Stdio;
use executor_loader::executor_api;
use libtest_mimic::Failed;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

use crate::subject::{Case, Running, Subject, same};

pub(crate) const CASES: &[Case] = &[
    Case { name: "the_exit_code_is_exact", needs: &[], check: exit_codes },
    Case { name: "the_signal_is_exact", needs: &[], check: signals },
    Case { name: "a_missing_program_is_not_found", needs: &[], check: missing },
    Case { name: "a_file_that_is_no_program_is_not_executable", needs: &[], check: not_executable },
    Case { name: "a_bare_name_is_looked_up_in_path", needs: &[], check: bare_name },
    Case { name: "the_environment_is_what_was_given", needs: &[Feature::StdioPassed], check: environment },
    Case { name: "names_in_words_are_replaced", needs: &[Feature::StdioPassed], check: interpolation },
    Case {
        name: "the_working_directory_is_set",
        needs: &[Feature::StdioPassed, Feature::WorkingDirectory],
        check: directory,
    },
    Case {
        name: "a_working_directory_that_is_not_there_is_named",
        needs: &[Feature::WorkingDirectory],
        check: no_directory,
    },
    Case { name: "a_root_host_gives_nobody", needs: &[Feature::StdioPassed, Feature::User], check: nobody },
    Case { name: "an_unknown_user_is_named", needs: &[Feature::User], check: unknown_user },
    Case { name: "root_of_the_host_is_never_given", needs: &[Feature::User], check: no_root },
    Case {
        name: "no_new_privileges_is_set",
        needs: &[Feature::StdioPassed, Feature::NoNewPrivileges],
        check: no_new_privileges,
    },
    Case {
        name: "a_process_limit_is_in_force",
        needs: &[Feature::StdioPassed, Feature::Rlimits],
        check: process_limit,
    },
    Case { name: "niceness_is_set_or_none", needs: &[Feature::StdioPassed, Feature::Nice], check: niceness },
    Case { name: "the_mask_of_new_files_is_set", needs: &[Feature::StdioPassed, Feature::Umask], check: mask },
    Case {
        name: "the_out_of_memory_score_is_set_or_none",
        needs: &[Feature::StdioPassed, Feature::OomScoreAdj],
        check: oom_score,
    },
    Case {
        name: "the_task_directory_is_where_a_task_starts",
        needs: &[Feature::StdioPassed, Feature::TaskDir],
        check: task_dir,
    },
    Case { name: "a_task_directory_is_there_or_named", needs: &[Feature::TaskDir], check: no_task_dir },
];

/// What `script` prints, once it has ended well.
pub(crate) fn printed(subject: &Subject, mut command: executor_loader::Command) -> Result<String, Failed> {
    command.stdout(Stdio::piped());
    let mut running = subject.start(command)?;
    let mut text = String::new();
    running.0.stdout.take().ok_or("no pipe")?.read_to_string(&mut text)?;
    same("it ends well", running.end()?.success(), true)?;
    Ok(text)
}

fn exit_codes(subject: &Subject) -> Result<(), Failed> {
    for code in [0, 1, 7, 255] {
        let outcome = subject.start(subject.shell(&format!("exit {code}")))?.end()?;
        same("the end", (outcome.ended, outcome.cause), (Ended::Exited(code), Cause::Own))?;
    }
    Ok(())
}

fn signals(subject: &Subject) -> Result<(), Failed> {
    for signal in [Signal::KILL, Signal::TERM, Signal::HUP] {
        let outcome = subject.start(subject.shell(&format!("kill -{} $$", signal.number())))?.end()?;
        same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(signal), Cause::Own))?;
    }
    Ok(())
}

fn missing(subject: &Subject) -> Result<(), Failed> {
    for program in ["/surely/not/there", "surely-no-such-program"] {
        let error = subject.refusal(subject.command(program))?;
        same("kind and errno", (error.kind(), error.errno()), (ErrorKind::NotFound, Some(2)))?;
        same("it names the program", error.to_string().contains(program), true)?;
    }
    Ok(())
}

fn not_executable(subject: &Subject) -> Result<(), Failed> {
    let error = subject.refusal(subject.command("/etc/passwd"))?;
    same("kind", error.kind(), ErrorKind::NotExecutable)
}

fn bare_name(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("true");
    command.env("PATH", "/usr/bin:/bin");
    let outcome = subject.start(command)?.end()?;
    same("the end", outcome.ended, Ended::Exited(0))
}

fn environment(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("/usr/bin/env");
    command.env("ONE", "a=b").env("TWO", "").env("PATH", "/bin");
    let text = printed(subject, command)?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    same("the environment", lines, vec!["ONE=a=b", "PATH=/bin", "TWO="])?;
    let text = printed(subject, subject.command("/usr/bin/env"))?;
    same("the default", text.trim_end(), &format!("PATH={}", executor_api::spec::DEFAULT_PATH))
}

fn interpolation(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("/bin/echo");
    command.args(["$A", "${A}b", "$NO"]).env("A", "1");
    same("the words", printed(subject, command)?.trim_end(), "1 1b $NO")
}

fn directory(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("/bin/pwd");
    command.current_dir("/usr");
    same("the directory", printed(subject, command)?.trim_end(), "/usr")?;
    same("the default", printed(subject, subject.command("/bin/pwd"))?.trim_end(), "/")
}

fn no_directory(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("/bin/true");
    command.current_dir("/surely/not/there");
    let error = subject.refusal(command)?;
    same("kind", error.kind(), ErrorKind::InvalidSpec)?;
    same("it names the directory", error.to_string().contains("/surely/not/there"), true)
}

fn nobody(subject: &Subject) -> Result<(), Failed> {
    let text = printed(subject, subject.shell("id -u; id -g; id -G"))?;
    let ids: Vec<&str> = text.lines().collect();
    let user = nix::unistd::User::from_name("nobody")?.ok_or("no user nobody")?;
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    same("user, group, groups", ids, vec![uid.as_str(), gid.as_str(), gid.as_str()])
}

fn unknown_user(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("/bin/true");
    command.user(Account::Name("surely-nobody-here".into()));
    let error = subject.refusal(command)?;
    same("kind", error.kind(), ErrorKind::InvalidSpec)?;
    same("it names the user", error.to_string().contains("surely-nobody-here"), true)
}

fn no_root(subject: &Subject) -> Result<(), Failed> {
    for user in [Account::Id(0), Account::Name("root".into())] {
        let mut command = subject.command("/bin/true");
        command.user(user);
        let kind = subject.refusal(command)?.kind();
        same(
            "it is refused",
            [ErrorKind::Denied, ErrorKind::Unsupported, ErrorKind::InvalidSpec].contains(&kind),
            true,
        )?;
    }
    Ok(())
}

fn no_new_privileges(subject: &Subject) -> Result<(), Failed> {
    let text = printed(subject, subject.shell("grep NoNewPrivs /proc/self/status"))?;
    same("the bit", text.split_whitespace().last(), Some("1"))
}

fn process_limit(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.shell("ulimit -Sn; ulimit -Hn; sh -c 'ulimit -Hn'");
    command.rlimit("nofile", Rlimit { soft: Some(32), hard: Some(48) });
    same("soft, hard, a child's hard", printed(subject, command)?.as_str(), "32\n48\n48\n")
}

fn niceness(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.shell("nice");
    command.spec_mut().nice = Some(Nice::new(15)?);
    same("what was asked for", printed(subject, command)?.trim_end(), "15")?;
    same("the default", printed(subject, subject.shell("nice"))?.trim_end(), "0")
}

fn mask(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.shell("umask");
    command.spec_mut().umask = Some(Umask::new(0o137)?);
    same("what was asked for", printed(subject, command)?.trim_end(), "0137")?;
    same("the default", printed(subject, subject.shell("umask"))?.trim_end(), "0022")
}

fn oom_score(subject: &Subject) -> Result<(), Failed> {
    let script = "cat /proc/self/oom_score_adj";
    let mut command = subject.shell(script);
    command.spec_mut().oom_score_adj = Some(OomScoreAdj::new(300)?);
    same("what was asked for", printed(subject, command)?.trim_end(), "300")?;
    same("the default", printed(subject, subject.shell(script))?.trim_end(), "0")
}

/// Where the paths lie is the plugin's affair: that they are the host's directories shows in what is written there.
fn task_dir(subject: &Subject) -> Result<(), Failed> {
    let parent = shared_directory()?;
    let mut dir = AllocDir::new(parent.path().join("allocation")).build("web")?;
    let (root, alloc) = (dir.root.clone(), dir.alloc.clone().ok_or("no shared directory")?);
    let script = r#"echo here >here; echo "$0" >"$NOMAD_SECRETS_DIR/word"; echo all >"$NOMAD_ALLOC_DIR/all"
        test "$(pwd -P)" = "$(cd "$NOMAD_TASK_DIR" && pwd -P)" || exit 1
        test "$0" = "$(env | sed -n s/^NOMAD_TASK_DIR=//p)/x""#;
    let mut command = subject.shell(script);
    command.arg("${NOMAD_TASK_DIR}/x").task_dir(dir.clone());
    same("it is there, and told so", subject.start(command)?.end()?.ended, Ended::Exited(0))?;
    same("local", std::fs::read_to_string(root.join("local/here"))?.as_str(), "here\n")?;
    same("secrets", std::fs::read_to_string(root.join("secrets/word"))?.ends_with("/x\n"), true)?;
    same("alloc", std::fs::read_to_string(alloc.join("all"))?.as_str(), "all\n")?;
    dir.env = DirEnv { alloc: String::new(), task: "HERE".into(), secrets: String::new() };
    let mut command = subject.shell("env | cut -d= -f1 | grep -E '^(NOMAD_.*|HERE)$'");
    command.task_dir(dir);
    same("other names", printed(subject, command)?.as_str(), "HERE\n")
}

/// A directory of the host that a task may write to, whoever it runs as.
fn shared_directory() -> Result<TempDir, Failed> {
    let directory = tempfile::tempdir()?;
    share(directory.path())?;
    Ok(directory)
}

fn share(directory: &Path) -> Result<(), Failed> {
    Ok(std::fs::set_permissions(directory, Permissions::from_mode(0o777))?)
}

fn no_task_dir(subject: &Subject) -> Result<(), Failed> {
    for missing in ["/surely/not/there", "/etc/passwd"] {
        let mut command = subject.command("/bin/true");
        command.task_dir(TaskDir::new(missing));
        let error = subject.refusal(command)?;
        same("kind", error.kind(), ErrorKind::InvalidSpec)?;
        same("it names the directory", error.to_string().contains(missing), true)?;
    }
    Ok(())
}

/// Ten callers at once, and again later.
pub(crate) fn same_for_all(running: &Running) -> Result<Outcome, Failed> {
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..10).map(|_| scope.spawn(|| running.0.wait())).collect();
        waiting.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let last = running.0.wait()?;
    for outcome in outcomes {
        same("every waiter's outcome", outcome.map_err(|_| "a waiter panicked")??, last)?;
    }
    Ok(last)
}
