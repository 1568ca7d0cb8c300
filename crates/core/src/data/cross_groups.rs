//! Batches whose positives come from other groups.

use super::{
    DataError,
    random::{Purpose, stream},
    sampler::Deck,
};
use std::collections::BTreeMap;

/// Batches of several classes, of each one image from each of several groups (cameras, sessions): every positive of an
/// image is from another group, so that what a group's images share cannot pass for the class.
///
/// Classes with fewer groups than a batch takes are left out ([`CrossGroups::skipped_classes`]); use
/// [`super::MPerClass::across_groups`] to take what groups there are. Classes come in seeded rounds, each once before
/// any comes again; so do the groups of a class and the images of a class in a group, which means that an image of a
/// small group comes more often. A pass has as many batches as [`super::Shuffled`] would with the same number of images
/// in a batch, over the images of the classes that are not left out.
#[derive(Clone, Debug)]
pub struct CrossGroups {
    /// Items of each group of each class.
    members: Vec<Vec<Vec<usize>>>,
    skipped: Vec<usize>,
    classes: usize,
    groups: usize,
    items: usize,
    seed: u64,
}

impl CrossGroups {
    /// Batches of `classes_per_batch` classes with an image from each of `groups_per_class` groups, out of the items
    /// that have these labels and groups.
    ///
    /// # Errors
    /// When items lack a group, there are fewer classes with enough groups, a batch is larger than their items, or a
    /// size is out of range.
    pub fn new(
        labels: &[usize],
        groups: &[usize],
        classes_per_batch: usize,
        groups_per_class: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        if labels.len() != groups.len() {
            let value = groups.len() as f64;
            return Err(DataError::Setting { what: "the list of groups", range: "one for each item", value });
        }
        for (what, least, value) in
            [("classes of a batch", 1, classes_per_batch), ("groups of a class in a batch", 2, groups_per_class)]
        {
            if value < least {
                let range = if least == 1 { "at least 1" } else { "at least 2" };
                return Err(DataError::Setting { what, range, value: value as f64 });
            }
        }
        let mut grouped: BTreeMap<usize, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
        for (item, (class, group)) in labels.iter().zip(groups).enumerate() {
            grouped.entry(*class).or_default().entry(*group).or_default().push(item);
        }
        let (mut members, mut skipped) = (Vec::new(), Vec::new());
        for (class, groups) in grouped {
            if groups.len() < groups_per_class {
                skipped.push(class);
            } else {
                members.push(groups.into_values().collect::<Vec<_>>());
            }
        }
        if members.len() < classes_per_batch {
            return Err(DataError::TooFewClasses { needed: classes_per_batch, classes: members.len() });
        }
        let items: usize = members.iter().flatten().map(Vec::len).sum();
        let batch = classes_per_batch.saturating_mul(groups_per_class);
        if batch > items {
            return Err(DataError::BatchTooLarge { batch, images: items });
        }
        Ok(Self { members, skipped, classes: classes_per_batch, groups: groups_per_class, items, seed })
    }

    /// Classes that are in too few groups.
    pub fn skipped_classes(&self) -> &[usize] {
        &self.skipped
    }

    /// Batches of one pass.
    pub fn batches(&self) -> usize {
        self.items / (self.classes * self.groups)
    }

    /// The batches of one pass; the images of a class stand together.
    pub fn epoch(&self, pass: u64) -> impl Iterator<Item = Vec<usize>> + use<> {
        let mut rng = stream(self.seed, Purpose::CrossGroups, pass);
        let deck = |cards: usize| Deck::new((0..cards).collect(), None);
        let mut order = deck(self.members.len());
        let mut groups: Vec<Deck> = self.members.iter().map(|groups| deck(groups.len())).collect();
        let mut items: Vec<Vec<Deck>> =
            self.members.iter().map(|g| g.iter().map(|m| Deck::new(m.clone(), None)).collect()).collect();
        let (per_batch, per_class) = (self.classes, self.groups);
        (0..self.batches()).map(move |_| {
            let mut batch = Vec::with_capacity(per_batch * per_class);
            for class in order.draw(per_batch, &mut rng) {
                for group in groups[class].draw(per_class, &mut rng) {
                    batch.extend(items[class][group].draw(1, &mut rng));
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

    proptest! {
        #[test]
        fn positives_are_from_other_groups(
            classes in 2usize..6, cameras in 2usize..5, each in 1usize..5, seed in any::<u64>(), pass in 0u64..3,
        ) {
            let items = classes * cameras * each;
            let labels: Vec<usize> = (0..items).map(|i| i % classes).collect();
            let groups: Vec<usize> = (0..items).map(|i| i / classes % cameras).collect();
            let sampler = CrossGroups::new(&labels, &groups, 2, cameras, seed).unwrap();
            let batches: Vec<Vec<usize>> = sampler.epoch(pass).collect();
            prop_assert_eq!(batches.len(), sampler.batches());
            prop_assert_eq!(&batches, &sampler.epoch(pass).collect::<Vec<_>>());
            for batch in &batches {
                for class in batch.chunks(cameras) {
                    prop_assert!(class.iter().all(|i| labels[*i] == labels[class[0]]));
                    prop_assert_eq!(class.iter().map(|i| groups[*i]).collect::<HashSet<_>>().len(), cameras);
                }
                prop_assert!(labels[batch[0]] != labels[batch[cameras]]);
            }
            let visits = SamplerReport::new(&labels, (0..3).flat_map(|pass| sampler.epoch(pass)));
            prop_assert_eq!(visits.repeated, 0);
        }
    }

    #[test]
    fn classes_of_one_camera_are_left_out() {
        let labels = [0, 0, 1, 1, 2, 2, 7, 7];
        let sampler = CrossGroups::new(&labels, &[0, 1, 0, 0, 0, 1, 5, 5], 2, 2, 0).unwrap();
        assert_eq!((sampler.skipped_classes(), sampler.batches()), (&[1, 7][..], 1));
        let seen: HashSet<usize> = sampler.epoch(0).flatten().collect();
        assert_eq!(seen, HashSet::from([0, 1, 4, 5]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let new = |groups: &[usize], classes, each| CrossGroups::new(&[0, 0, 1, 1], groups, classes, each, 0);
        assert!(new(&[0, 1], 1, 2).unwrap_err().to_string().contains("one for each item, got 2"));
        assert!(matches!(new(&[0, 1, 0, 1], 0, 2), Err(DataError::Setting { range: "at least 1", .. })));
        assert!(matches!(new(&[0, 1, 0, 1], 1, 1), Err(DataError::Setting { range: "at least 2", .. })));
        let few = new(&[0, 1, 0, 0], 2, 2);
        assert!(matches!(few, Err(DataError::TooFewClasses { needed: 2, classes: 1 })));
    }
}
