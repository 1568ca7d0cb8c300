//! Batches that stay within a few super classes, where neighbours are hard to tell apart.

use super::{
    DataError,
    random::{Purpose, stream},
    sampler::Deck,
};
use std::collections::BTreeMap;

/// Batches of a few super classes, of each several classes, of each several images: S x P x M, after
/// pytorch-metric-learning's `HierarchicalSampler` and the batches of FastAP (Cakir et al., 2019). Those go through all
/// pairs of super classes; here super classes are dealt, so that each comes equally often.
///
/// Super classes come in seeded rounds, each once before any comes again; so do the classes of a super class and the
/// images of a class. A super class with fewer than P classes takes more images of those that it has, and a class with
/// fewer images than are taken repeats some; no other image is twice in a batch. A pass has as many batches as
/// [`super::Shuffled`] would with the same number of images in a batch.
#[derive(Clone, Debug)]
pub struct Hierarchical {
    /// Items of each class of each super class.
    members: Vec<Vec<Vec<usize>>>,
    sizes: [usize; 3],
    items: usize,
    seed: u64,
}

impl Hierarchical {
    /// Batches of `sizes` = super classes, classes of each, images of each class, out of the items that have these
    /// labels and super labels.
    ///
    /// # Errors
    /// When items lack a super label, a class is in two super classes, there are fewer super classes, a batch is larger
    /// than the data, or a size is zero.
    pub fn new(labels: &[usize], super_labels: &[usize], sizes: [usize; 3], seed: u64) -> Result<Self, DataError> {
        if labels.len() != super_labels.len() {
            let value = super_labels.len() as f64;
            return Err(DataError::Setting { what: "the list of super labels", range: "one for each item", value });
        }
        if sizes.contains(&0) {
            let what = "super classes, classes and images of a batch";
            return Err(DataError::Setting { what, range: "at least 1", value: 0.0 });
        }
        let mut above: BTreeMap<usize, usize> = BTreeMap::new();
        let mut grouped: BTreeMap<usize, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
        for (item, (&class, &super_class)) in labels.iter().zip(super_labels).enumerate() {
            if *above.entry(class).or_insert(super_class) != super_class {
                let what = "the super classes of a class";
                return Err(DataError::Setting { what, range: "the same for all its items", value: class as f64 });
            }
            grouped.entry(super_class).or_default().entry(class).or_default().push(item);
        }
        let members: Vec<Vec<Vec<usize>>> = grouped.into_values().map(|c| c.into_values().collect()).collect();
        if members.len() < sizes[0] {
            return Err(DataError::TooFewClasses { needed: sizes[0], classes: members.len() });
        }
        let batch = sizes.iter().fold(1usize, |product, size| product.saturating_mul(*size));
        if batch > labels.len() {
            return Err(DataError::BatchTooLarge { batch, images: labels.len() });
        }
        Ok(Self { members, sizes, items: labels.len(), seed })
    }

    /// Batches of one pass: items / (S x P x M), rounded down.
    pub fn batches(&self) -> usize {
        self.items / self.sizes.iter().product::<usize>()
    }

    /// The batches of one pass; the images of a class stand together, and so do the classes of a super class.
    pub fn epoch(&self, pass: u64) -> impl Iterator<Item = Vec<usize>> + use<> {
        let mut rng = stream(self.seed, Purpose::Hierarchical, pass);
        let deck = |cards: usize| Deck::new((0..cards).collect(), None);
        let mut order = deck(self.members.len());
        let mut classes: Vec<Deck> = self.members.iter().map(|classes| deck(classes.len())).collect();
        let mut items: Vec<Vec<Deck>> =
            self.members.iter().map(|c| c.iter().map(|m| Deck::new(m.clone(), None)).collect()).collect();
        let [supers, per_super, images] = self.sizes;
        (0..self.batches()).map(move |_| {
            let mut batch = Vec::with_capacity(supers * per_super * images);
            for super_class in order.draw(supers, &mut rng) {
                let mut chosen = classes[super_class].draw(per_super, &mut rng);
                chosen.sort_unstable();
                // A class that is drawn twice deals its images at once, so that they differ while it has enough.
                for same in chosen.chunk_by(|a, b| a == b) {
                    batch.extend(items[super_class][same[0]].draw(same.len() * images, &mut rng));
                }
            }
            batch
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SamplerReport;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// `supers` super classes of `classes` classes of `each` items.
    fn labels(supers: usize, classes: usize, each: usize) -> (Vec<usize>, Vec<usize>) {
        let labels: Vec<usize> = (0..supers * classes * each).map(|i| i % (supers * classes)).collect();
        let above = labels.iter().map(|l| l % supers).collect();
        (labels, above)
    }

    proptest! {
        #[test]
        fn batches_hold_whole_super_classes(
            supers in 1usize..5, classes in 1usize..5, each in 1usize..6, seed in any::<u64>(), pass in 0u64..3,
        ) {
            let (labels, above) = labels(supers, classes, each);
            let sizes = [supers.div_ceil(2), classes.div_ceil(2), each.div_ceil(2)];
            let sampler = Hierarchical::new(&labels, &above, sizes, seed).unwrap();
            let batches: Vec<Vec<usize>> = sampler.epoch(pass).collect();
            prop_assert_eq!(batches.len(), sampler.batches());
            prop_assert_eq!(&batches, &sampler.epoch(pass).collect::<Vec<_>>());
            for batch in &batches {
                prop_assert_eq!(batch.iter().collect::<HashSet<_>>().len(), batch.len());
                let parts: Vec<&[usize]> = batch.chunks(sizes[1] * sizes[2]).collect();
                prop_assert_eq!(parts.len(), sizes[0]);
                let mut seen = HashSet::new();
                for part in parts {
                    prop_assert!(part.iter().all(|i| above[*i] == above[part[0]]));
                    prop_assert!(seen.insert(above[part[0]]));
                    for class in part.chunks(sizes[2]) {
                        prop_assert!(class.iter().all(|i| labels[*i] == labels[class[0]]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_few_passes_visit_everything() {
        let (labels, above) = labels(4, 3, 5);
        let sampler = Hierarchical::new(&labels, &above, [2, 2, 2], 1).unwrap();
        let report = SamplerReport::new(&labels, (0..12).flat_map(|pass| sampler.epoch(pass)));
        assert_eq!((report.classes_visited, report.items_visited), (report.classes, report.items));
        assert_eq!(report.repeated, 0);
    }

    #[test]
    fn small_super_classes_fill_their_place() {
        let sampler = Hierarchical::new(&[0, 0, 0, 0, 0, 1, 2, 2, 2, 2], &[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [2, 2, 2], 3);
        let batch = sampler.unwrap().epoch(0).next().unwrap();
        let of_the_first: HashSet<usize> = batch.iter().copied().filter(|i| *i < 5).collect();
        assert_eq!((batch.len(), of_the_first.len()), (8, 4), "{batch:?}: one class gives both shares, all different");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let new = |labels: &[usize], above: &[usize], sizes| Hierarchical::new(labels, above, sizes, 0).unwrap_err();
        assert!(new(&[0, 1], &[0], [1, 1, 1]).to_string().contains("one for each item, got 1"));
        assert!(new(&[0, 0], &[0, 1], [1, 1, 1]).to_string().contains("the same for all its items"));
        assert!(matches!(new(&[0, 1], &[0, 1], [1, 0, 1]), DataError::Setting { .. }));
        assert!(matches!(new(&[0, 1], &[0, 0], [2, 1, 1]), DataError::TooFewClasses { needed: 2, classes: 1 }));
        assert!(matches!(new(&[0, 1], &[0, 1], [2, 1, 2]), DataError::BatchTooLarge { batch: 4, images: 2 }));
    }
}
