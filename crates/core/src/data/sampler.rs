//! The order in which a run sees its images: pure functions of (seed, pass).

use super::{
    DataError,
    random::{Purpose, stream},
};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::{collections::HashMap, sync::Arc};

/// Every item once a pass in a new order; a last batch that is not full is left out, because contrastive losses and
/// batch norm change with the number of images.
#[derive(Clone, Debug)]
pub struct Shuffled {
    items: usize,
    batch: usize,
    seed: u64,
    keep_last: bool,
}

impl Shuffled {
    /// Batches of `batch` out of `items`.
    ///
    /// # Errors
    /// When a batch is larger than the data, or empty.
    pub fn new(items: usize, batch: usize, seed: u64) -> Result<Self, DataError> {
        if batch == 0 {
            return Err(DataError::Setting { what: "the batch", range: "at least 1", value: 0.0 });
        }
        if batch > items {
            return Err(DataError::BatchTooLarge { batch, images: items });
        }
        Ok(Self { items, batch, seed, keep_last: false })
    }

    /// Ends a pass with the items that fill no batch, as a smaller batch, if there are any.
    #[must_use]
    pub fn keep_last(mut self) -> Self {
        self.keep_last = true;
        self
    }

    /// Batches of one pass: `items / batch`, and one more for the rest if that is kept.
    pub fn batches(&self) -> usize {
        if self.keep_last { self.items.div_ceil(self.batch) } else { self.items / self.batch }
    }

    /// The batches of one pass.
    pub fn epoch(&self, pass: u64) -> impl Iterator<Item = Vec<usize>> + use<> {
        let mut order: Vec<usize> = (0..self.items).collect();
        order.shuffle(&mut stream(self.seed, Purpose::Shuffled, pass));
        let batch = self.batch;
        (0..self.batches()).map(move |b| order[b * batch..((b + 1) * batch).min(order.len())].to_vec())
    }
}

/// Batches of a few images of each of several classes: P classes x M images (Hermans, Beyer and Leibe, "In Defense of
/// the Triplet Loss for Person Re-Identification", arXiv:1703.07737).
///
/// Classes come in seeded rounds, each once before any comes again; so do the images of a class. Within a pass the
/// visits of two classes therefore differ by at most one, whatever their sizes. A class with fewer than M images
/// repeats some within a batch; no other image is twice in a batch. A pass has as many batches as [`Shuffled`] would
/// with the same number of images in a batch, so that both see equally many images.
#[derive(Clone, Debug)]
pub struct MPerClass {
    members: Vec<Vec<usize>>,
    groups: Option<Arc<[usize]>>,
    classes: usize,
    images: usize,
    items: usize,
    seed: u64,
}

impl MPerClass {
    /// Batches of `classes` classes with `images` of each, out of the items that have `labels`. Labels that no item has
    /// are no classes.
    ///
    /// # Errors
    /// When there are fewer classes, a batch is larger than the data, or a size is zero.
    pub fn new(labels: &[usize], classes: usize, images: usize, seed: u64) -> Result<Self, DataError> {
        let mut members = vec![Vec::new(); labels.iter().max().map_or(0, |m| m + 1)];
        labels.iter().enumerate().for_each(|(i, l)| members[*l].push(i));
        members.retain(|m| !m.is_empty());
        if classes == 0 || images == 0 {
            return Err(DataError::Setting { what: "classes and images of a batch", range: "at least 1", value: 0.0 });
        }
        if members.len() < classes {
            return Err(DataError::TooFewClasses { needed: classes, classes: members.len() });
        }
        let batch = classes.saturating_mul(images);
        if batch > labels.len() {
            return Err(DataError::BatchTooLarge { batch, images: labels.len() });
        }
        Ok(Self { members, groups: None, classes, images, items: labels.len(), seed })
    }

    /// Takes the images of a class from its groups (cameras, sessions) in turn, so that a batch holds a class from as
    /// many groups as it can: all different where a class has M groups or more of equal size. `groups` has the group
    /// of every item.
    ///
    /// # Errors
    /// When there is not one group for each item.
    pub fn across_groups(mut self, groups: &[usize]) -> Result<Self, DataError> {
        if groups.len() != self.items {
            let value = groups.len() as f64;
            return Err(DataError::Setting { what: "the list of groups", range: "one for each item", value });
        }
        self.groups = Some(groups.into());
        Ok(self)
    }

    /// Classes that have fewer images than a batch asks for, and so repeat some in it.
    pub fn repeating_classes(&self) -> usize {
        self.members.iter().filter(|m| m.len() < self.images).count()
    }

    /// Batches of one pass: items / (P x M), rounded down.
    pub fn batches(&self) -> usize {
        self.items / (self.classes * self.images)
    }

    /// The batches of one pass; the images of a class stand together.
    pub fn epoch(&self, pass: u64) -> impl Iterator<Item = Vec<usize>> + use<> {
        let mut rng = stream(self.seed, Purpose::PerClass, pass);
        let mut decks: Vec<Deck> = self.members.iter().map(|m| Deck::new(m.clone(), self.groups.clone())).collect();
        let mut order = Deck::new((0..self.members.len()).collect(), None);
        let (classes, images) = (self.classes, self.images);
        (0..self.batches()).map(move |_| {
            let chosen = order.draw(classes, &mut rng);
            chosen.into_iter().flat_map(|c| decks[c].draw(images, &mut rng)).collect()
        })
    }
}

/// Cards dealt without replacement and shuffled anew when they run out.
pub(super) struct Deck {
    cards: Vec<usize>,
    groups: Option<Arc<[usize]>>,
    next: usize,
}

impl Deck {
    pub(super) fn new(cards: Vec<usize>, groups: Option<Arc<[usize]>>) -> Self {
        let next = cards.len();
        Self { cards, groups, next }
    }

    /// `count` cards, all different while there are enough.
    pub(super) fn draw(&mut self, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut drawn: Vec<usize> = Vec::with_capacity(count);
        while drawn.len() < count {
            if self.next == self.cards.len() {
                self.shuffle(rng);
                // A card just dealt must not come again in this draw while others are left: move such cards back.
                let enough = self.cards.len() >= count;
                self.cards.sort_by_key(|c| enough && drawn.contains(c));
            }
            drawn.push(self.cards[self.next]);
            self.next += 1;
        }
        drawn
    }

    fn shuffle(&mut self, rng: &mut ChaCha8Rng) {
        self.cards.shuffle(rng);
        if let Some(groups) = &self.groups {
            take_turns(&mut self.cards, groups);
        }
        self.next = 0;
    }
}

/// Brings shuffled cards into rounds in which every group that has cards left comes once, in the same order.
fn take_turns(cards: &mut Vec<usize>, groups: &[usize]) {
    // For each group: its place in a round, and how many of its cards were met.
    let mut met: HashMap<usize, (usize, usize)> = HashMap::new();
    let mut placed: Vec<((usize, usize), usize)> = Vec::with_capacity(cards.len());
    for &card in cards.iter() {
        let place = met.len();
        let (place, round) = met.entry(groups[card]).or_insert((place, 0));
        placed.push(((*round, *place), card));
        *round += 1;
    }
    placed.sort_unstable();
    *cards = placed.into_iter().map(|(_, card)| card).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn a_pass_visits_each_item_once(items in 1usize..200, batch in 1usize..50, seed in any::<u64>(), pass in 0u64..5) {
            prop_assume!(batch <= items);
            let sampler = Shuffled::new(items, batch, seed).unwrap();
            let seen: Vec<usize> = sampler.epoch(pass).flatten().collect();
            prop_assert_eq!(seen.len(), items / batch * batch);
            prop_assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
            prop_assert_eq!(&seen, &sampler.epoch(pass).flatten().collect::<Vec<_>>());

            let whole = sampler.clone().keep_last();
            let sizes: Vec<usize> = whole.epoch(pass).map(|b| b.len()).collect();
            prop_assert_eq!(sizes.len(), whole.batches());
            prop_assert!(sizes[..items / batch].iter().all(|s| *s == batch));
            let mut all: Vec<usize> = whole.epoch(pass).flatten().collect();
            prop_assert_eq!(&all[..seen.len()], &seen[..]);
            all.sort_unstable();
            prop_assert_eq!(all, (0..items).collect::<Vec<_>>());
        }

        #[test]
        fn batches_hold_m_of_each_class(
            per_class in 4usize..20, classes in 2usize..8, p in 2usize..8, m in 1usize..6, seed in any::<u64>(),
        ) {
            prop_assume!(p <= classes && p * m <= per_class * classes);
            let labels: Vec<usize> = (0..per_class * classes).map(|i| i % classes).collect();
            let sampler = MPerClass::new(&labels, p, m, seed).unwrap();
            let batches: Vec<Vec<usize>> = sampler.epoch(0).collect();
            prop_assert_eq!(batches.len(), labels.len() / (p * m));
            prop_assert_eq!(&batches, &sampler.epoch(0).collect::<Vec<_>>());
            let mut visits = vec![0usize; classes];
            let mut uses = vec![0usize; labels.len()];
            for batch in &batches {
                let mut counts = vec![0; classes];
                batch.iter().for_each(|i| counts[labels[*i]] += 1);
                batch.iter().for_each(|i| uses[*i] += 1);
                prop_assert!(counts.iter().all(|c| *c == 0 || *c == m));
                counts.iter().enumerate().for_each(|(c, n)| visits[c] += usize::from(*n > 0));
                if m <= per_class {
                    prop_assert_eq!(batch.iter().collect::<HashSet<_>>().len(), p * m);
                }
            }
            let (least, most) = (visits.iter().min().unwrap(), visits.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", visits);
            for class in 0..classes {
                let of = uses.iter().zip(&labels).filter(|(_, l)| **l == class).map(|(u, _)| *u);
                let (least, most) = (of.clone().min().unwrap(), of.max().unwrap());
                prop_assert!(most - least <= 1, "class {}: {:?}", class, uses);
            }
        }

        #[test]
        fn groups_take_turns(groups in 2usize..5, each in 2usize..6, seed in any::<u64>(), pass in 0u64..3) {
            let items = 2 * groups * each;
            let labels: Vec<usize> = (0..items).map(|i| i % 2).collect();
            let cameras: Vec<usize> = (0..items).map(|i| i / 2 % groups).collect();
            let sampler = MPerClass::new(&labels, 2, groups, seed).unwrap().across_groups(&cameras).unwrap();
            for batch in sampler.epoch(pass) {
                for class in batch.chunks(groups) {
                    prop_assert_eq!(class.iter().map(|i| cameras[*i]).collect::<HashSet<_>>().len(), groups);
                }
            }
        }
    }

    #[test]
    fn passes_and_seeds_differ() {
        let first = |seed, pass| Shuffled::new(100, 100, seed).unwrap().epoch(pass).next();
        assert_ne!(first(0, 0), first(0, 1));
        assert_ne!(first(0, 0), first(1, 0));
        let labels: Vec<usize> = (0..100).map(|i| i % 10).collect();
        let first = |seed, pass| MPerClass::new(&labels, 5, 4, seed).unwrap().epoch(pass).next();
        assert_ne!(first(0, 0), first(0, 1));
        assert_ne!(first(0, 0), first(1, 0));
    }

    #[test]
    fn small_classes_repeat_and_are_counted() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 5, 5];
        let sampler = MPerClass::new(&labels, 2, 3, 7).unwrap();
        assert_eq!((sampler.repeating_classes(), sampler.batches()), (1, 1));
        let batch = sampler.epoch(0).next().unwrap();
        let small: Vec<usize> = batch.iter().copied().filter(|i| labels[*i] == 5).collect();
        assert_eq!(small.len(), 3);
        assert_eq!(small.iter().collect::<HashSet<_>>().len(), 2);
    }

    #[test]
    fn impossible_batches_are_refused() {
        assert!(Shuffled::new(10, 11, 0).unwrap_err().to_string().contains("a batch of 11 is larger than the 10"));
        assert!(matches!(Shuffled::new(10, 0, 0), Err(DataError::Setting { .. })));
        assert!(matches!(MPerClass::new(&[0, 1], 3, 1, 0), Err(DataError::TooFewClasses { .. })));
        assert!(matches!(MPerClass::new(&[0, 1], 2, 2, 0), Err(DataError::BatchTooLarge { .. })));
        assert!(matches!(MPerClass::new(&[0, 1], 2, 0, 0), Err(DataError::Setting { .. })));
        let sampler = MPerClass::new(&[0, 1], 2, 1, 0).unwrap();
        assert!(sampler.across_groups(&[0]).unwrap_err().to_string().contains("one for each item, got 1"));
    }
}
