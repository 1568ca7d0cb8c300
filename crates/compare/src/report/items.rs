//! How much other test items would change the difference of two scores that no seed changes.

use super::{Row, estimate::ROUNDING};
use nearfar_eval::stats;

/// Half the width of a 95 % interval of the normal distribution over its standard error.
const NORMAL: f64 = 1.959_964;

/// Degrees of freedom with which Student's t is the normal distribution to four digits.
const MANY: f64 = 1e4;

/// Standard error over test items of the difference of a score between two rows, and its degrees of freedom; `None` where
/// the rows do not tell.
///
/// Rows with the score on equal parts of the same items are compared part by part. Else the bootstrap intervals of both
/// rows over their queries stand in, as if they were independent: items that are hard for both make the true error smaller.
pub(super) fn error(a: &Row, b: &Row, score: &str) -> Option<(f64, f64)> {
    by_part(a, b, score).or_else(|| by_queries(a, b, score)).filter(|(error, _)| *error > ROUNDING)
}

fn by_part(a: &Row, b: &Row, score: &str) -> Option<(f64, f64)> {
    let [a, b] = [a.parts.get(score)?.means(), b.parts.get(score)?.means()];
    if a.len() != b.len() {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let count = differences.len() as f64;
    // Only too few are refused.
    Some((stats::sample_sd(&differences).ok()? / count.sqrt(), count - 1.0))
}

fn by_queries(a: &Row, b: &Row, score: &str) -> Option<(f64, f64)> {
    let error = |row: &Row| row.bootstrap.get(score).map(|found| (found.queries[1] - found.queries[0]) / 2.0 / NORMAL);
    Some((error(a)?.hypot(error(b)?), MANY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Bootstrap, ItemParts, Paradigm, fixtures::row};

    const SCORE: &str = "retrieval.seen.map_at_r";

    #[test]
    fn parts_are_paired_and_queries_are_not() {
        let mut rows = [0.5, 0.4].map(|score| row("pixels", Paradigm::Baseline, 1, &[(SCORE, score)]));
        assert_eq!(error(&rows[0], &rows[1], SCORE), None);
        for (row, half) in rows.iter_mut().zip([0.03, 0.04]) {
            let middle = row.scores[SCORE];
            row.bootstrap.insert(SCORE.into(), Bootstrap { queries: [middle - half, middle + half], classes: None });
        }
        let (found, freedom) = error(&rows[0], &rows[1], SCORE).unwrap();
        assert!((found - 0.05 / NORMAL).abs() < 1e-12 && freedom == MANY, "{found}");
        // Differences of 0.1 and 0.3 in turns: deviation 0.1 of 32 parts with 31 degrees of freedom.
        rows[0].parts.insert(SCORE.into(), ItemParts::new([0.5, 0.7].repeat(16)));
        rows[1].parts.insert(SCORE.into(), ItemParts::new(vec![0.4; 32]));
        let (found, freedom) = error(&rows[0], &rows[1], SCORE).unwrap();
        assert!((found - 0.1 / 31f64.sqrt()).abs() < 1e-12 && freedom == 31.0, "{found}");
        // The same on every part says nothing.
        rows[0].parts.insert(SCORE.into(), ItemParts::new(vec![0.5; 32]));
        rows[0].bootstrap.clear();
        assert_eq!(error(&rows[0], &rows[1], SCORE), None);
    }
}
