//! SCARF's corruption of rows of features.

use super::draws::Draws;
use crate::matrix::Matrix;

/// The rows that one row may take features from: all that are allowed, but not itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Donors<'a> {
    /// The allowed rows in ascending order without repeats; `None` stands for every row.
    listed: Option<&'a [usize]>,
    /// Number of allowed rows, less the row itself.
    others: usize,
    /// Position of the row itself among the allowed rows.
    own: Option<usize>,
}

impl<'a> Donors<'a> {
    /// The donors of row `own` of `rows` rows. There must be another allowed row.
    pub(super) fn of(own: usize, rows: usize, listed: Option<&'a [usize]>) -> Self {
        match listed {
            None => Self { listed, others: rows - 1, own: Some(own) },
            Some(allowed) => {
                let own = allowed.binary_search(&own).ok();
                Self { listed, others: allowed.len() - usize::from(own.is_some()), own }
            }
        }
    }

    fn draw(&self, draws: &mut Draws) -> usize {
        let position = draws.below(self.others);
        let position = position + usize::from(self.own.is_some_and(|own| position >= own));
        self.listed.map_or(position, |allowed| allowed[position])
    }
}

/// Writes row `own` into `out`, each feature replaced with probability `rate` by that of its own random donor.
pub(super) fn corrupt(rows: &Matrix, own: usize, donors: Donors<'_>, rate: f32, draws: &mut Draws, out: &mut [f32]) {
    out.copy_from_slice(rows.row(own));
    for (column, value) in out.iter_mut().enumerate() {
        if draws.chance(rate) {
            *value = rows.row(donors.draw(draws))[column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entry (i, j) is 10 i + j, so that a value tells its row and column.
    fn table(rows: usize) -> Matrix {
        Matrix::from_fn(rows, 3, |i, j| (10 * i + j) as f32)
    }

    #[test]
    fn features_keep_their_column_and_never_come_from_the_row_itself() {
        let rows = table(5);
        let mut out = [0.0; 3];
        let mut counts = [[0usize; 5]; 3];
        let mut together = 0;
        for seed in 0..4_000 {
            corrupt(&rows, 2, Donors::of(2, 5, None), 1.0, &mut Draws::new(seed, 0, 2, 0), &mut out);
            for (column, &value) in out.iter().enumerate() {
                assert_eq!(value as usize % 10, column);
                counts[column][value as usize / 10] += 1;
            }
            together += usize::from(out[0] as usize / 10 == out[1] as usize / 10);
        }
        for column in counts {
            assert_eq!(column[2], 0);
            assert!([0, 1, 3, 4].iter().all(|&row| (850..1_150).contains(&column[row])), "{counts:?}");
        }
        // Independent donors agree in one case of four.
        assert!((850..1_150).contains(&together), "{together}");
    }

    #[test]
    fn the_rate_is_the_share_replaced() {
        let rows = table(4);
        let mut out = [0.0; 3];
        let mut replaced = 0;
        for seed in 0..4_000 {
            corrupt(&rows, 1, Donors::of(1, 4, None), 0.6, &mut Draws::new(seed, 0, 1, 0), &mut out);
            replaced += out.iter().zip(rows.row(1)).filter(|(a, b)| a != b).count();
        }
        assert!((replaced as f64 / 12_000.0 - 0.6).abs() < 0.02, "{replaced}");
        corrupt(&rows, 1, Donors::of(1, 4, None), 0.0, &mut Draws::new(0, 0, 1, 0), &mut out);
        assert_eq!(out, *rows.row(1));
    }

    #[test]
    fn only_listed_rows_give() {
        let rows = table(6);
        let mut out = [0.0; 3];
        for (own, allowed) in [(3, [1, 3, 4]), (0, [1, 3, 4])] {
            let mut seen = [false; 6];
            for seed in 0..200 {
                let donors = Donors::of(own, 6, Some(&allowed));
                corrupt(&rows, own, donors, 1.0, &mut Draws::new(seed, 0, 0, 0), &mut out);
                out.iter().for_each(|&value| seen[value as usize / 10] = true);
            }
            let expected: Vec<bool> = (0..6).map(|row| allowed.contains(&row) && row != own).collect();
            assert_eq!(seen, *expected);
        }
    }
}
