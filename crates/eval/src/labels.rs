//! Rows grouped by class.

/// The distinct classes of a label list in increasing order, and the rows of each.
///
/// Class indices may be sparse (unseen classes often start far from 0), so nothing is sized by the largest index.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    /// Distinct class indices, increasing.
    pub(crate) labels: Vec<usize>,
    /// For each row, the position of its class in `labels`.
    pub(crate) of_row: Vec<u32>,
    /// For each class, its rows in increasing order.
    pub(crate) rows: Vec<Vec<u32>>,
}

impl Classes {
    /// Groups the rows; at most `u32::MAX` labels.
    pub(crate) fn new(labels: &[usize]) -> Self {
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut rows = vec![Vec::new(); distinct.len()];
        let of_row = labels
            .iter()
            .enumerate()
            .map(|(row, label)| {
                // Every label is in `distinct`, so the count of smaller ones is its position.
                let class = distinct.partition_point(|other| other < label);
                rows[class].push(row as u32);
                class as u32
            })
            .collect();
        Self { labels: distinct, of_row, rows }
    }

    /// Number of distinct classes.
    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }

    /// Position of a class index, if any row has it.
    pub(crate) fn position(&self, label: usize) -> Option<usize> {
        self.labels.binary_search(&label).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_sparse_class_indices() {
        let classes = Classes::new(&[9, 2, 9, usize::MAX, 2]);
        assert_eq!(classes.labels, [2, 9, usize::MAX]);
        assert_eq!(classes.of_row, [1, 0, 1, 2, 0]);
        assert_eq!(classes.rows, [vec![1, 4], vec![0, 2], vec![3]]);
        assert_eq!(classes.position(9), Some(1));
        assert_eq!(classes.position(3), None);
    }
}
