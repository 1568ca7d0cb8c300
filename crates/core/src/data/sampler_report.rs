//! What the batches of a sampler really hold.

use serde::Serialize;
use std::collections::HashSet;

/// Classes and items that batches visited. A sampler that promises a balance can still leave out items or repeat some:
/// small classes, classes without a second group, tuples that name few items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SamplerReport {
    /// Batches looked at.
    pub batches: usize,
    /// Classes that have items.
    pub classes: usize,
    /// Classes of which an item was in a batch.
    pub classes_visited: usize,
    /// Items in all.
    pub items: usize,
    /// Items that were in a batch.
    pub items_visited: usize,
    /// Least and largest number of visits of an item.
    pub visits: [usize; 2],
    /// Least and largest number of places that a class had in all batches together.
    pub class_visits: [usize; 2],
    /// Places that an item took a second time within one batch.
    pub repeated: usize,
    /// Mean number of classes in a batch.
    pub classes_per_batch: f64,
}

impl SamplerReport {
    /// Counts what `batches` hold of the items that have `labels`: `(0..3).flat_map(|pass| sampler.epoch(pass))` for
    /// three passes of a sampler. Indices that are no items are not counted.
    pub fn new(labels: &[usize], batches: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let classes = labels.iter().max().map_or(0, |m| m + 1);
        let mut present = vec![false; classes];
        labels.iter().for_each(|label| present[*label] = true);
        let mut visits = vec![0usize; labels.len()];
        let mut class_visits = vec![0usize; classes];
        let (mut count, mut repeated, mut classes_in_batches) = (0usize, 0usize, 0usize);
        let (mut items_here, mut classes_here) = (HashSet::new(), HashSet::new());
        for batch in batches {
            items_here.clear();
            classes_here.clear();
            for item in batch.into_iter().filter(|item| *item < labels.len()) {
                visits[item] += 1;
                class_visits[labels[item]] += 1;
                repeated += usize::from(!items_here.insert(item));
                classes_here.insert(labels[item]);
            }
            count += 1;
            classes_in_batches += classes_here.len();
        }
        let of_classes: Vec<usize> =
            class_visits.into_iter().zip(present).filter(|(_, p)| *p).map(|(v, _)| v).collect();
        let ends = |counts: &[usize]| [counts.iter().min(), counts.iter().max()].map(|end| end.copied().unwrap_or(0));
        let visited = |counts: &[usize]| counts.iter().filter(|visits| **visits > 0).count();
        Self {
            batches: count,
            classes: of_classes.len(),
            classes_visited: visited(&of_classes),
            items: labels.len(),
            items_visited: visited(&visits),
            visits: ends(&visits),
            class_visits: ends(&of_classes),
            repeated,
            classes_per_batch: classes_in_batches as f64 / count.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{MPerClass, Shuffled};

    #[test]
    fn what_batches_hold_is_counted() {
        // Class 1 has no items, class 3 is never visited.
        let labels = [0, 0, 2, 2, 3];
        let report = SamplerReport::new(&labels, vec![vec![0, 1, 2, 2], vec![0, 3]]);
        let wanted = SamplerReport {
            batches: 2,
            classes: 3,
            classes_visited: 2,
            items: 5,
            items_visited: 4,
            visits: [0, 2],
            class_visits: [0, 3],
            repeated: 1,
            classes_per_batch: 2.0,
        };
        assert_eq!(report, wanted);
        let none = SamplerReport::new(&[], Vec::new());
        assert_eq!((none.batches, none.items, none.visits, none.classes_per_batch), (0, 0, [0, 0], 0.0));
    }

    #[test]
    fn samplers_keep_their_promises() {
        let labels: Vec<usize> = (0..40).map(|i| i % 4).collect();
        let shuffled = Shuffled::new(40, 8, 0).unwrap();
        let report = SamplerReport::new(&labels, (0..3).flat_map(|pass| shuffled.epoch(pass)));
        assert_eq!((report.batches, report.visits, report.class_visits), (15, [3, 3], [30, 30]));
        let balanced = MPerClass::new(&labels, 2, 4, 0).unwrap();
        let report = SamplerReport::new(&labels, balanced.epoch(0));
        assert_eq!((report.repeated, report.classes_per_batch), (0, 2.0));
        assert!(report.class_visits[1] - report.class_visits[0] <= 4, "{report:?}");
    }
}
