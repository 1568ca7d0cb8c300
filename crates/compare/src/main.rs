//! `compare`: metric learning or contrastive learning on your data? Trains both, scores both, reports.

#![recursion_limit = "256"]

#[macro_use]
mod say;

mod cli;
mod failure;
mod listing;
mod report;
mod run;

use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Burn restores optimiser states on its default device, which would be the GPU wherever one is compiled in; from
    // host memory they move to their parameters' device with the next step.
    #[cfg(feature = "flex")]
    // SAFETY: this is the first statement of the program: no other thread reads the environment.
    unsafe {
        std::env::set_var("BURN_DEVICE", "flex");
    }
    nearfar_core::backend::keep_freed_memory();
    let command = match cli::Cli::try_parse() {
        Ok(cli) => cli.command(),
        Err(error) => {
            // clap's own code for bad arguments is 2, and 0 for --help and --version.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell!("error: {}", failure::text(&failure.error));
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: cli::Command) -> Result<(), Failure> {
    match command {
        cli::Command::Run(args) => run::run(&args),
        cli::Command::Sweep(args) => run::sweep(&args),
        cli::Command::Tune(args) => run::tune(&args),
        cli::Command::List => {
            listing::print();
            Ok(())
        }
        cli::Command::Report(args) => run::rewrite_report(&args.dirs, args.out.as_deref()),
        cli::Command::Embed(args) => run::embed(&args),
        cli::Command::Query(args) => run::query(&args),
    }
}
