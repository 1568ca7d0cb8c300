//! Whether a method was still improving when its budget ended.

use super::Row;

/// Share of its epochs, at the end, over which a loss is looked at.
const END: f64 = 0.2;

/// A loss is still falling if it fell by more than this share of its whole fall over the last part of its epochs. A
/// loss that falls evenly does twice that; one that has levelled off does next to nothing.
const STILL: f64 = 0.1;

/// Fewest epochs that make a curve.
const FEWEST: usize = 4;

/// Whether the training loss of `method`, the mean over its rows, was still falling when the budget ended. Methods
/// without a curve do not train.
pub(super) fn still_improving(rows: &[&Row], method: &str) -> bool {
    let curves: Vec<&[f64]> = rows
        .iter()
        .filter(|row| row.method == method && !row.curve.is_empty())
        .map(|row| row.curve.as_slice())
        .collect();
    falling(&mean_curve(&curves))
}

/// The epochs to try next, twice as many as those of the longest curve.
pub(super) fn more_epochs(rows: &[&Row], methods: &[&str]) -> usize {
    let own = rows.iter().filter(|row| methods.contains(&row.method.as_str()));
    2 * own.map(|row| row.curve.len()).max().unwrap_or(0)
}

/// The mean of several curves over the epochs that all have.
pub(super) fn mean_curve(curves: &[&[f64]]) -> Vec<f64> {
    let epochs = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    (0..epochs).map(|epoch| curves.iter().map(|curve| curve[epoch]).sum::<f64>() / curves.len() as f64).collect()
}

/// Whether a loss still falls at its end: the mean of the last part against that of as many epochs before.
pub(super) fn falling(curve: &[f64]) -> bool {
    if curve.len() < FEWEST {
        return false;
    }
    let part = ((curve.len() as f64 * END) as usize).max(1);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (before, end) = (curve.len() - 2 * part, curve.len() - part);
    let (before, end) = (mean(&curve[before..end]), mean(&curve[end..]));
    // From where it was highest: a loss against a moving target, a queue or a momentum encoder, rises before it falls.
    let whole = curve.iter().fold(f64::NEG_INFINITY, |highest, loss| highest.max(*loss)) - end;
    whole > 0.0 && before - end > STILL * whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Paradigm, fixtures::row};

    #[test]
    fn even_falls_and_level_ends() {
        let even: Vec<f64> = (0..10).map(|epoch| 5.0 - 0.3 * f64::from(epoch)).collect();
        assert!(falling(&even));
        let level: Vec<f64> = (0..10).map(|epoch| 1.0 + 4.0 * 0.4f64.powi(epoch)).collect();
        assert!(!falling(&level));
        let rising: Vec<f64> = even.iter().rev().copied().collect();
        assert!(!falling(&rising));
        assert!(!falling(&[3.0, 2.0, 1.0]), "three epochs are no curve");
        // A loss that rises first, above its start, and then falls evenly has not levelled off.
        assert!(falling(&[1.0, 3.0, 2.6, 2.2, 1.8]));
        assert!(!falling(&[1.0, 3.0, 1.6, 1.51, 1.5]));
        assert!(!falling(&[]) && !falling(&[1.0; 8]));
    }

    #[test]
    fn rows_of_a_method_are_averaged() {
        let mut rows = [
            row("simclr", Paradigm::Contrastive, 1, &[]),
            row("simclr", Paradigm::Contrastive, 2, &[]),
            row("pixels", Paradigm::Baseline, 1, &[]),
        ];
        rows[0].curve = vec![4.0, 3.0, 2.0, 1.0];
        rows[1].curve = vec![4.0, 3.0, 2.0, 1.0, 0.5];
        let rows: Vec<&Row> = rows.iter().collect();
        assert!(still_improving(&rows, "simclr"));
        assert!(!still_improving(&rows, "pixels") && !still_improving(&rows, "byol"));
        assert_eq!(more_epochs(&rows, &["simclr", "pixels"]), 10);
        assert_eq!(mean_curve(&[&[1.0, 2.0], &[3.0, 4.0, 5.0]]), [2.0, 3.0]);
    }
}
