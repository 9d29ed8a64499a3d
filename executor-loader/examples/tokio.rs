//! A hundred tasks on one thread of tokio: each is awaited by its exit descriptor.
//!
//! After `cargo xtask build`, with the plugins' directory by its absolute path:
//! `EXECUTOR_PLUGIN_PATH=$PWD/target/executor/lib/executor/1 cargo run -p executor-loader --features tokio --example tokio`

use executor_loader::{Command, Error, Loader, Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let loader = Loader::new()?;
    let start = |at: u32| Command::new("sh").args(["-c", &format!("sleep 0.1; exit {}", at % 3)]).start(&loader);
    let tasks: Vec<Task> = (0..100).map(start).collect::<Result<_, _>>()?;
    let mut well = 0;
    for task in &tasks {
        well += u32::from(task.wait_async().await?.success());
        loader.collect(task.id())?;
    }
    eprintln!("{well} of {} ended well", tasks.len());
    assert_eq!(well, 34, "every third one exits with 0");
    Ok(())
}
