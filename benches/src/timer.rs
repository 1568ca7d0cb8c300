//! What the programs share that print their times as lines of JSON.

use anyhow::Context;
use clap::{CommandFactory, builder::RangedU64ValueParser, error::ErrorKind};
use std::{fmt::Display, hint::black_box, process::ExitCode, time::Instant};

/// Parses a whole number of at least 1.
pub fn positive() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Settings that parse but cannot work end the program as bad arguments do: with their message and code 2.
pub fn accept<A: CommandFactory, T>(result: Result<T, impl Display>) -> T {
    result.unwrap_or_else(|error| A::command().error(ErrorKind::ValueValidation, error).exit())
}

/// Runs a program's work, with freed memory kept as `compare` keeps it. Its exit code, behind the message of a failure.
pub fn run_program(work: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    nearfar_core::backend::keep_freed_memory();
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Seconds of each of `rounds` calls of `work`, without those of dropping its results, and the last result.
///
/// # Errors
/// When `work` fails or there are no rounds.
pub fn time_rounds<T>(rounds: usize, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<(Vec<f64>, T)> {
    let mut seconds = Vec::with_capacity(rounds);
    let mut last = None;
    for _ in 0..rounds {
        let start = Instant::now();
        let result = black_box(work()?);
        seconds.push(start.elapsed().as_secs_f64());
        last = Some(result);
    }
    Ok((seconds, last.context("there must be at least one round")?))
}

/// Middle value, or the mean of the two middle ones; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

/// Largest resident size of this process so far in bytes, where Linux tells.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn every_round_is_timed_and_the_last_result_kept() {
        let mut calls = 0;
        let (seconds, last) = time_rounds(3, || {
            calls += 1;
            Ok(calls)
        })
        .unwrap();
        assert_eq!((seconds.len(), last, calls), (3, 3, 3));
        assert!(seconds.iter().all(|s| *s >= 0.0));
    }

    #[test]
    fn a_failing_work_and_no_rounds_are_errors() {
        assert_eq!(time_rounds::<()>(2, || Err(anyhow!("no"))).unwrap_err().to_string(), "no");
        assert!(time_rounds(0, || Ok(())).is_err());
    }

    #[test]
    fn the_peak_covers_what_is_held() {
        let held = vec![1u8; 1 << 24];
        if let Some(peak) = peak_bytes() {
            assert!(peak >= black_box(&held).len() as u64);
        }
    }
}
