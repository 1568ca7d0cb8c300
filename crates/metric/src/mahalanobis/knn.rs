//! Nearest rows, exactly, and the triplets that they make.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;

use super::MahalanobisError;
use super::data::{check_length, check_rows, to_dense};
use super::linalg::squared_distance;
use crate::weak::Triplets;

/// Triplets from class labels: every row with each of its `genuine` nearest rows of its own class and each of its
/// `impostors` nearest rows of other classes, by Euclidean distance; as many as there are when there are fewer. A row
/// without a label takes part in none. Ties go to the smaller index.
///
/// # Errors
/// When `genuine` or `impostors` is 0, lengths differ, a value is not finite, or there is no triplet.
pub fn knn_triplets(
    x: &Matrix,
    labels: &[Option<usize>],
    genuine: usize,
    impostors: usize,
) -> Result<Triplets, MahalanobisError> {
    for (name, value) in [("genuine", genuine), ("impostors", impostors)] {
        if value == 0 {
            return Err(MahalanobisError::setting(name, value, "at least 1"));
        }
    }
    check_rows(x, 2)?;
    check_length("labels, one for each row", x.rows(), labels.len())?;
    let order: Vec<usize> = (0..x.rows()).collect();
    let rows = to_dense(x, &order);
    let of_row = |i: usize| -> Vec<[usize; 3]> {
        let Some(class) = labels[i] else { return Vec::new() };
        let (mut own, mut other) = (Nearest::new(genuine), Nearest::new(impostors));
        for (j, label) in labels.iter().enumerate() {
            let Some(label) = *label else { continue };
            let nearest = if label == class { &mut own } else { &mut other };
            if j != i {
                nearest.offer(squared_distance(rows.row(i), rows.row(j)), j);
            }
        }
        own.indices().flat_map(|near| other.indices().map(move |far| [i, near, far])).collect()
    };
    let triplets: Vec<Vec<[usize; 3]>> = (0..x.rows()).into_par_iter().map(of_row).collect();
    let triplets = triplets.concat();
    if triplets.is_empty() {
        return Err(MahalanobisError::NoTuples { kind: "row with another of its class and one of another class" });
    }
    Ok(Triplets(triplets))
}

/// The `k` smallest distances offered so far, with their indices; of equal ones the first offered stay.
pub(super) struct Nearest {
    k: usize,
    found: Vec<(f64, usize)>,
}

impl Nearest {
    /// None found yet; `k` is at least 1.
    pub(super) fn new(k: usize) -> Self {
        Self { k, found: Vec::new() }
    }

    /// Keeps the candidate if it is among the `k` nearest.
    pub(super) fn offer(&mut self, distance: f64, index: usize) {
        if self.found.len() < self.k || distance < self.found[self.k - 1].0 {
            let place = self.found.partition_point(|&(d, _)| d <= distance);
            self.found.insert(place, (distance, index));
            self.found.truncate(self.k);
        }
    }

    /// Indices, nearest first.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> {
        self.found.iter().map(|&(_, index)| index)
    }

    /// The largest distance kept; 0 when nothing was offered.
    pub(super) fn reach(&self) -> f64 {
        self.found.last().map_or(0.0, |&(distance, _)| distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triplets_of_metric_learn_worked_example() {
        let values = [0.0f32, 2.0, 4.0, 8.0, 16.0, 32.0, 33.0];
        let x = Matrix::from_fn(7, 2, |i, _| values[i]);
        let labels = [Some(1), Some(1), Some(1), Some(2), Some(2), Some(2), None];
        let Triplets(mut triplets) = knn_triplets(&x, &labels, 1, 2).unwrap();
        triplets.sort_unstable();
        // Row 1 is as far from row 0 as from row 2.
        let expected = [
            [0, 1, 3],
            [0, 1, 4],
            [1, 0, 3],
            [1, 0, 4],
            [2, 1, 3],
            [2, 1, 4],
            [3, 4, 1],
            [3, 4, 2],
            [4, 3, 1],
            [4, 3, 2],
            [5, 4, 1],
            [5, 4, 2],
        ];
        assert_eq!(triplets, expected);
        // Fewer than asked for: two others of the class, three of the other.
        assert_eq!(knn_triplets(&x, &labels, 9, 9).unwrap().0.len(), 6 * 2 * 3);
        let error = knn_triplets(&x, &[Some(0); 7], 1, 1).unwrap_err();
        assert!(matches!(error, MahalanobisError::NoTuples { .. }));
    }
}
