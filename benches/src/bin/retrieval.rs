//! Times exact search and retrieval scores and prints a line of JSON for each.
//!
//! `benches/peers/retrieval.py` does the same work with faiss and pytorch-metric-learning, on the same rows. `search`
//! finds the nearest references of every query; `scores` ranks the queries among themselves (10 classes) and gives all
//! of [`nearfar_eval::retrieval()`], which is more than the peer's three. The number of CPU threads is set with
//! `RAYON_NUM_THREADS`.
//!
//! The memory in the line is the whole process's, rows and result included: `--only search` leaves out what scores
//! need.

use anyhow::Context;
use benches::{
    balanced_labels, shared_embeddings,
    timer::{accept, median, peak_bytes, positive, run_program, time_rounds},
};
use clap::{Parser, ValueEnum};
use nearfar_eval::{Distance, nearest, retrieval};
use serde_json::json;
use std::process::ExitCode;

/// Classes of the rows that are scored.
const CLASSES: usize = 10;
/// Cut-offs of the recall.
const RECALL_AT: [usize; 3] = [1, 5, 10];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    Search,
    Scores,
}

/// Times exact search and retrieval scores and prints a line of JSON for each.
#[derive(Parser)]
#[command(name = "retrieval")]
struct Args {
    /// Rows to search for and to score
    #[arg(long, default_value_t = 10_000, value_parser = positive())]
    queries: usize,
    /// Rows to search in
    #[arg(long, default_value_t = 60_000, value_parser = positive())]
    references: usize,
    /// Numbers of a row
    #[arg(long, default_value_t = 128, value_parser = positive())]
    dimension: usize,
    /// Neighbours of each query
    #[arg(long, default_value_t = 200, value_parser = positive())]
    top: usize,
    /// Timed rounds of each work
    #[arg(long, default_value_t = 7, value_parser = positive())]
    rounds: usize,
    /// Rounds before the first timed one
    #[arg(long, default_value_t = 1)]
    warmup: usize,
    /// Only this work, or these by commas
    #[arg(long, value_delimiter = ',', default_value = "search,scores")]
    only: Vec<Work>,
}

impl Args {
    fn check(&self) -> Result<(), String> {
        if self.top > self.references {
            return Err(format!("--top {} is more than there are --references, {}", self.top, self.references));
        }
        if self.queries < 2 * CLASSES {
            return Err(format!("--queries must be at least {}: two rows of each class", 2 * CLASSES));
        }
        Ok(())
    }

    /// Seconds of the timed rounds and the last result.
    fn time<T>(&self, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<(Vec<f64>, T)> {
        for _ in 0..self.warmup {
            work()?;
        }
        time_rounds(self.rounds, work)
    }
}

fn main() -> ExitCode {
    run_program(|| run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    accept::<Args, _>(args.check());
    if args.only.contains(&Work::Search) {
        search(args)?;
    }
    if args.only.contains(&Work::Scores) {
        scores(args)?;
    }
    Ok(())
}

fn search(args: &Args) -> anyhow::Result<()> {
    let queries = shared_embeddings(args.queries, args.dimension, 1);
    let references = shared_embeddings(args.references, args.dimension, 2);
    let work = || nearest(&queries, &references, args.top, Distance::Euclidean, false).context("search");
    let (seconds, found) = args.time(work)?;
    let check = found.scores.iter().map(|score| f64::from(*score)).sum::<f64>() / found.scores.len() as f64;
    let line = json!({
        "work": format!("search.{}", args.references),
        "backend": "host",
        "seconds": median(&seconds),
        "rounds": args.rounds,
        "check": check,
        "queries": args.queries,
        "dimension": args.dimension,
        "top": args.top,
        "peak_bytes": peak_bytes(),
        "threads": rayon::current_num_threads(),
    });
    println!("{line}");
    Ok(())
}

fn scores(args: &Args) -> anyhow::Result<()> {
    let rows = shared_embeddings(args.queries, args.dimension, 1);
    let labels = balanced_labels(args.queries, CLASSES);
    let work = || retrieval(&rows, &labels, None, Distance::Euclidean, &RECALL_AT).context("retrieval scores");
    let (seconds, found) = args.time(work)?;
    let line = json!({
        "work": format!("scores.{}", args.queries),
        "backend": "host",
        "seconds": median(&seconds),
        "rounds": args.rounds,
        "check": found.map_at_r,
        "queries": args.queries,
        "dimension": args.dimension,
        "classes": CLASSES,
        "peak_bytes": peak_bytes(),
        "scores": found,
        "threads": rayon::current_num_threads(),
    });
    println!("{line}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn both_works_are_done_unless_one_is_named() {
        assert_eq!(Args::parse_from(["retrieval"]).only, [Work::Search, Work::Scores]);
        assert_eq!(Args::parse_from(["retrieval", "--only", "scores"]).only, [Work::Scores]);
    }

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        let check = |arguments: &[&str]| Args::parse_from([&["retrieval"][..], arguments].concat()).check().is_ok();
        assert!(check(&[]) && check(&["--top", "5", "--references", "5"]));
        assert!(!check(&["--top", "6", "--references", "5"]) && !check(&["--queries", "19"]));
    }
}
