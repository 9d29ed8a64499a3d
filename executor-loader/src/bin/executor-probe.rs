//! Loads one plugin and asks it what it can do on this host, for the loader: see `executor_loader::prober`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match executor_loader::prober::answer_stdin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("executor-probe: answer the loader's request on standard input: {error}");
            ExitCode::FAILURE
        }
    }
}
