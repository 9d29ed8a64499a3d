//! Two hundred tasks on one epoll: a host with one thread hears of each by its exit descriptor.
//!
//! After `cargo xtask build`, with the plugins' directory by its absolute path:
//! `EXECUTOR_PLUGIN_PATH=$PWD/target/executor/lib/executor/1 cargo run -p executor-loader --example epoll`

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use executor_loader::executor_api::Ended;
    use executor_loader::{Command, Loader};
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

    const TASKS: u64 = 200;
    let loader = Loader::new()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut running = std::collections::BTreeMap::new();
    for number in 0..TASKS {
        let task = Command::new("sh").args(["-c", &format!("sleep 0.3; exit {number}")]).start(&loader)?;
        let exit = task.exit_fd()?;
        epoll.add(&exit, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        running.insert(number, (task, exit));
    }
    let mut room = [EpollEvent::empty(); 64];
    while !running.is_empty() {
        let ready = epoll.wait(&mut room, EpollTimeout::NONE)?;
        for event in &room[..ready] {
            let (task, exit) = running.remove(&event.data()).expect("each descriptor is taken out when it has spoken");
            epoll.delete(&exit)?;
            let outcome = task.try_wait()?.expect("its descriptor said that it has ended");
            assert_eq!(outcome.ended, Ended::Exited(u8::try_from(event.data())?), "{}", task.id());
            loader.collect(task.id())?;
        }
    }
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    eprintln!("{TASKS} tasks, {threads} thread");
    assert_eq!(threads, 1);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("epoll is Linux's; elsewhere poll(2) and kqueue(2) take the same descriptor");
}
