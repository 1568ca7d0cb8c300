//! Times LMNN, NCA and ITML and prints a line of JSON for each.
//!
//! `benches/peers/mahalanobis.py` does the same work with metric-learn, on the same rows and, for ITML, the same pairs
//! and bounds. LMNN and NCA run `--iterations` steps of their own solvers from the Euclidean distance: `check` is the
//! objective there, which both sides must find alike, and `objective` is what they reach. ITML's algorithm is one and
//! the same on both sides: its `check` is the trace of the matrix. The number of CPU threads is set with
//! `RAYON_NUM_THREADS`.

use anyhow::Context;
use benches::{
    shared_classes, shared_pairs,
    timer::{accept, median, peak_bytes, positive, run_program, time_rounds},
};
use clap::{Parser, ValueEnum};
use metric::mahalanobis::{Fitted, Itml, Learner, Lmnn, Nca};
use serde_json::json;
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    #[value(name = "mahalanobis.lmnn")]
    Lmnn,
    #[value(name = "mahalanobis.nca")]
    Nca,
    #[value(name = "mahalanobis.itml")]
    Itml,
}

/// Times LMNN, NCA and ITML and prints a line of JSON for each.
#[derive(Parser)]
#[command(name = "mahalanobis")]
struct Args {
    /// Rows to learn from
    #[arg(long, default_value_t = 5000, value_parser = positive())]
    rows: usize,
    /// Features of a row
    #[arg(long, default_value_t = 50, value_parser = positive())]
    features: usize,
    /// Classes, as many rows of each
    #[arg(long, default_value_t = 5, value_parser = positive())]
    classes: usize,
    /// Steps of LMNN and NCA
    #[arg(long, default_value_t = 10, value_parser = positive())]
    iterations: usize,
    /// Timed rounds of each work
    #[arg(long, default_value_t = 7, value_parser = positive())]
    rounds: usize,
    /// Rounds before the first timed one
    #[arg(long, default_value_t = 1)]
    warmup: usize,
    /// Only this work, or these by commas
    #[arg(long, value_delimiter = ',', default_value = "mahalanobis.lmnn,mahalanobis.nca,mahalanobis.itml")]
    only: Vec<Work>,
}

impl Args {
    fn check(&self) -> Result<(), String> {
        if self.classes < 2 {
            return Err(format!("--classes must be at least 2, got {}", self.classes));
        }
        if self.rows < 4 * self.classes || !self.rows.is_multiple_of(self.classes) {
            return Err(format!("--rows must be four or more of each of {} classes, as many of each", self.classes));
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    run_program(|| run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    accept::<Args, _>(args.check());
    let (x, labels) = shared_classes(args.rows, args.features, args.classes);
    let pairs = shared_pairs(args.rows, args.classes, 20 * args.classes * args.classes);
    // Two rows of a class lie at about 2.7 for each feature.
    let bounds = (2.0 * args.features as f64, 3.5 * args.features as f64);
    let steps = args.iterations;
    let lmnn = Lmnn { min_iterations: steps, max_iterations: steps, tolerance: 0.0, ..Lmnn::default() };
    let nca = Nca { max_iterations: steps, tolerance: 0.0, ..Nca::default() };
    for &work in &args.only {
        let fit = || match work {
            Work::Lmnn => lmnn.fit(&x, &labels).context("LMNN"),
            Work::Nca => nca.fit(&x, &labels).context("NCA"),
            Work::Itml => Itml::default().fit_pairs(&x, &pairs, Some(bounds)).context("ITML"),
        };
        for _ in 0..args.warmup {
            fit()?;
        }
        let (seconds, fitted) = time_rounds(args.rounds, fit)?;
        print_line(args, work, &seconds, &fitted);
    }
    Ok(())
}

fn print_line(args: &Args, work: Work, seconds: &[f64], fitted: &Fitted) {
    let check = match work {
        Work::Lmnn | Work::Nca => fitted.objective[0],
        Work::Itml => fitted.model.components().iter().map(|l| l * l).sum(), // the trace of L^T L
    };
    let line = json!({
        "work": work.to_possible_value().map(|value| value.get_name().to_owned()),
        "backend": "host",
        "seconds": median(seconds),
        "rounds": args.rounds,
        "check": check,
        "objective": fitted.objective.last(),
        "steps": fitted.iterations,
        "rows": args.rows,
        "features": args.features,
        "classes": args.classes,
        "iterations": args.iterations,
        "peak_bytes": peak_bytes(),
        "threads": rayon::current_num_threads(),
    });
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
        assert_eq!(Args::parse_from(["mahalanobis"]).only, [Work::Lmnn, Work::Nca, Work::Itml]);
    }

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        let check = |arguments: &[&str]| Args::parse_from([&["mahalanobis"][..], arguments].concat()).check().is_ok();
        assert!(check(&[]) && check(&["--rows", "20"]));
        assert!(!check(&["--rows", "15"]) && !check(&["--rows", "21"]) && !check(&["--classes", "1"]));
    }
}
