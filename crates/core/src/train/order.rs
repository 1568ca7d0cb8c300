//! The order in which a run sees its images.

use super::Sampling;
use crate::data::{CrossGroups, DataError, Dataset, FixedTuples, Hierarchical, MPerClass, SamplerReport, Shuffled};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Tuples of items that batches are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenTuples {
    /// Two items each.
    Pairs(Arc<[[usize; 2]]>),
    /// Three items each.
    Triplets(Arc<[[usize; 3]]>),
    /// Four items each.
    Quadruplets(Arc<[[usize; 4]]>),
}

impl Sampling {
    /// Checks the sizes.
    ///
    /// # Errors
    /// When a batch would hold fewer than two images of a class, two groups of a class or one super class.
    pub fn validate(&self) -> Result<(), DataError> {
        let least = |what: &'static str, value: usize, least: usize| {
            let range = if least == 1 { "at least 1" } else { "at least 2" };
            if value >= least { Ok(()) } else { Err(DataError::Setting { what, range, value: value as f64 }) }
        };
        match self {
            Self::Shuffled | Self::Tuples(_) => Ok(()),
            Self::PerClass { images } => least("`images` of `sampling`", *images, 2),
            Self::Hierarchical { super_classes, images } => {
                least("`super_classes` of `sampling`", *super_classes, 1)?;
                least("`images` of `sampling`", *images, 2)
            }
            Self::CrossGroups { groups } => least("`groups` of `sampling`", *groups, 2),
        }
    }
}

/// The batches of a run, pass after pass: a function of the seed, so that a resumed run goes on with the right batch.
#[derive(Clone, Debug)]
pub struct Order(Sampler);

#[derive(Clone, Debug)]
enum Sampler {
    Shuffled(Shuffled),
    PerClass(MPerClass),
    Hierarchical(Hierarchical),
    CrossGroups(CrossGroups),
    Pairs(FixedTuples<2>),
    Triplets(FixedTuples<3>),
    Quadruplets(FixedTuples<4>),
}

impl Order {
    /// Batches of at most `batch` images of `dataset`, drawn as `sampling` says.
    ///
    /// # Errors
    /// When the data lack the labels or groups that it needs, or have too few items, classes or groups for a batch.
    pub fn new(sampling: &Sampling, dataset: &Dataset, batch: usize, seed: u64) -> Result<Self, DataError> {
        sampling.validate()?;
        let n = dataset.len();
        Ok(Self(match sampling {
            Sampling::Shuffled => Sampler::Shuffled(Shuffled::new(n, batch, seed)?),
            Sampling::PerClass { images } => {
                let labels = dataset.labels()?;
                if batch < *images {
                    let range = "at least the `images` of a class in a batch (`sampling`)";
                    return Err(DataError::Setting { what: "the batch (--batch)", range, value: batch as f64 });
                }
                let classes = (batch / *images).min(dataset.class_names.len());
                // Few classes: more images of each, so that a batch keeps its size.
                let images = batch / classes.max(1);
                Sampler::PerClass(MPerClass::new(labels, classes, images, seed)?)
            }
            Sampling::Hierarchical { super_classes, images } => {
                let (labels, groups) = (dataset.labels()?, groups(dataset, "hierarchical")?);
                let together = super_classes.saturating_mul(*images);
                if together > batch {
                    let what = "`super_classes` times `images` of `sampling`";
                    return Err(DataError::Setting { what, range: "at most the batch", value: together as f64 });
                }
                let widest = members(groups, labels).values().map(BTreeSet::len).max().unwrap_or(1);
                let classes = (batch / together).min(widest);
                // Small super classes: more images of each class, so that a batch keeps its size.
                let sizes = [*super_classes, classes, batch / (super_classes * classes)];
                Sampler::Hierarchical(Hierarchical::new(labels, groups, sizes, seed)?)
            }
            Sampling::CrossGroups { groups: each } => {
                let (labels, groups) = (dataset.labels()?, groups(dataset, "cross_groups")?);
                let seen_by_enough = members(labels, groups).values().filter(|of| of.len() >= *each).count();
                // Few such classes make smaller batches: a second image of a group would be a positive of the first.
                let classes = (batch / *each).min(seen_by_enough);
                if classes < 2 {
                    return Err(DataError::TooFewClasses { needed: 2, classes });
                }
                Sampler::CrossGroups(CrossGroups::new(labels, groups, classes, *each, seed)?)
            }
            Sampling::Tuples(GivenTuples::Pairs(tuples)) => Sampler::Pairs(fixed(tuples, n, batch, seed)?),
            Sampling::Tuples(GivenTuples::Triplets(tuples)) => Sampler::Triplets(fixed(tuples, n, batch, seed)?),
            Sampling::Tuples(GivenTuples::Quadruplets(tuples)) => Sampler::Quadruplets(fixed(tuples, n, batch, seed)?),
        }))
    }

    /// The batches of one pass, as indices of items.
    pub fn pass(&self, pass: u64) -> Vec<Vec<usize>> {
        match &self.0 {
            Sampler::Shuffled(s) => s.epoch(pass).collect(),
            Sampler::PerClass(s) => s.epoch(pass).collect(),
            Sampler::Hierarchical(s) => s.epoch(pass).collect(),
            Sampler::CrossGroups(s) => s.epoch(pass).collect(),
            Sampler::Pairs(s) => s.epoch(pass).collect(),
            Sampler::Triplets(s) => s.epoch(pass).collect(),
            Sampler::Quadruplets(s) => s.epoch(pass).collect(),
        }
    }

    /// What `passes` passes visit of the dataset that this is the order of. Without labels all items are one class.
    pub fn report(&self, dataset: &Dataset, passes: u64) -> SamplerReport {
        let one_class = || vec![0; dataset.len()];
        let labels = dataset.labels.clone().unwrap_or_else(one_class);
        SamplerReport::new(&labels, (0..passes).flat_map(|pass| self.pass(pass)))
    }
}

/// Tuples for a batch, all of them where there are fewer.
fn fixed<const N: usize>(
    tuples: &[[usize; N]],
    items: usize,
    batch: usize,
    seed: u64,
) -> Result<FixedTuples<N>, DataError> {
    FixedTuples::new(tuples.to_vec(), items, (batch / N).min(tuples.len()), seed)
}

fn groups<'a>(dataset: &'a Dataset, needed_by: &'static str) -> Result<&'a [usize], DataError> {
    dataset.groups.as_deref().ok_or_else(|| DataError::NoGroups { name: dataset.name.clone(), needed_by })
}

/// The values of `inner` that occur together with each value of `outer`.
fn members(outer: &[usize], inner: &[usize]) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut found: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (outer, inner) in outer.iter().zip(inner) {
        found.entry(*outer).or_default().insert(*inner);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data::Inputs, matrix::Matrix};
    use std::collections::HashSet;

    /// 60 items of 6 classes; class `c` is in super class `c / 2`, and its items are from 5 cameras.
    fn data(groups: Option<Vec<usize>>) -> Dataset {
        Dataset {
            name: "t".into(),
            inputs: Inputs::Rows(Matrix::zeros(60, 1)),
            labels: Some((0..60).map(|i| i % 6).collect()),
            class_names: (0..6).map(|c| c.to_string()).collect(),
            groups,
        }
    }

    fn supers() -> Option<Vec<usize>> {
        Some((0..60).map(|i| i % 6 / 2).collect())
    }

    fn cameras() -> Option<Vec<usize>> {
        Some((0..60).map(|i| i / 6 % 5).collect())
    }

    #[test]
    fn hierarchical_batches_stay_within_super_classes_and_keep_their_size() {
        let data = data(supers());
        let sampling = Sampling::Hierarchical { super_classes: 2, images: 2 };
        let order = Order::new(&sampling, &data, 24, 1).unwrap();
        for batch in order.pass(0) {
            assert_eq!(batch.len(), 24, "two super classes, both their classes, six images of each");
            assert_eq!(batch.iter().map(|i| i % 6 / 2).collect::<HashSet<_>>().len(), 2);
            assert_eq!(batch.iter().collect::<HashSet<_>>().len(), 24);
        }
        let wide = Sampling::Hierarchical { super_classes: 4, images: 8 };
        let error = Order::new(&wide, &data, 24, 1).unwrap_err().to_string();
        assert!(error.contains("`super_classes` times `images`") && error.contains("got 32"), "{error}");
    }

    #[test]
    fn cross_group_batches_have_no_two_positives_of_one_camera() {
        let data = data(cameras());
        let order = Order::new(&Sampling::CrossGroups { groups: 3 }, &data, 32, 1).unwrap();
        for batch in order.pass(3) {
            assert_eq!(batch.len(), 18, "six classes are all there are");
            let seen: HashSet<(usize, usize)> = batch.iter().map(|i| (i % 6, i / 6 % 5)).collect();
            assert_eq!(seen.len(), 18);
        }
        let report = order.report(&data, 40);
        assert_eq!((report.classes_visited, report.items_visited, report.repeated), (6, 60, 0));
        let many = Order::new(&Sampling::CrossGroups { groups: 6 }, &data, 32, 1);
        assert!(matches!(many, Err(DataError::TooFewClasses { needed: 2, classes: 0 })));
    }

    #[test]
    fn data_without_groups_are_refused_with_the_way_out() {
        for sampling in [Sampling::Hierarchical { super_classes: 1, images: 2 }, Sampling::CrossGroups { groups: 2 }] {
            let error = Order::new(&sampling, &data(None), 24, 1).unwrap_err();
            assert!(matches!(error, DataError::NoGroups { .. }), "{error}");
            assert!(error.to_string().contains("--group-column"), "{error}");
        }
        let small = Order::new(&Sampling::PerClass { images: 1 }, &data(None), 24, 1).unwrap_err().to_string();
        assert!(small.contains("`images` of `sampling` must be at least 2"), "{small}");
        let narrow = Order::new(&Sampling::PerClass { images: 4 }, &data(None), 2, 1).unwrap_err().to_string();
        assert!(narrow.starts_with("the batch (--batch) must be at least the `images`"), "{narrow}");
        assert!(narrow.ends_with("got 2"), "{narrow}");
    }

    #[test]
    fn given_tuples_fill_batches_side_by_side() {
        let triplets: Arc<[[usize; 3]]> = (0..20).map(|i| [i, i + 6, i + 1]).collect();
        let sampling = |tuples: &Arc<[[usize; 3]]>| Sampling::Tuples(GivenTuples::Triplets(tuples.clone()));
        let order = Order::new(&sampling(&triplets), &data(None), 32, 1).unwrap();
        let batches = order.pass(0);
        assert_eq!((batches.len(), batches[0].len()), (2, 30));
        assert!(batches.iter().flat_map(|b| b.chunks(3)).all(|t| triplets.iter().any(|given| given == t)));
        let few = Order::new(&sampling(&Arc::from(&triplets[..4])), &data(None), 32, 1).unwrap();
        assert_eq!(few.pass(0)[0].len(), 12, "four triplets are all there are");
        let nothing: Arc<[[usize; 3]]> = Vec::<[usize; 3]>::new().into();
        let none = Order::new(&sampling(&nothing), &data(None), 32, 1);
        assert!(matches!(none, Err(DataError::Setting { .. })));
    }

    #[test]
    fn an_order_is_a_function_of_seed_and_pass() {
        let pairs: Arc<[[usize; 2]]> = (0..30).map(|i| [i, i + 30]).collect();
        let cases = [
            (Sampling::Shuffled, None),
            (Sampling::PerClass { images: 4 }, None),
            (Sampling::Hierarchical { super_classes: 2, images: 2 }, supers()),
            (Sampling::CrossGroups { groups: 2 }, cameras()),
            (Sampling::Tuples(GivenTuples::Pairs(pairs)), None),
        ];
        for (sampling, groups) in cases {
            let data = data(groups);
            let order = |seed| Order::new(&sampling, &data, 12, seed).unwrap();
            assert_eq!(order(5).pass(2), order(5).pass(2), "{sampling:?}");
            assert_ne!(order(5).pass(2), order(5).pass(3), "{sampling:?}");
            assert_ne!(order(5).pass(2), order(6).pass(2), "{sampling:?}");
        }
    }

    #[test]
    fn settings_name_a_sampling() {
        let read = |text: &str| serde_json::from_str::<Sampling>(text).unwrap();
        assert_eq!(read(r#""shuffled""#), Sampling::Shuffled);
        assert_eq!(read(r#"{ "per_class": { "images": 4 } }"#), Sampling::PerClass { images: 4 });
        assert_eq!(read(r#"{ "cross_groups": { "groups": 2 } }"#), Sampling::CrossGroups { groups: 2 });
        let text = r#"{ "hierarchical": { "super_classes": 2, "images": 4 } }"#;
        assert_eq!(read(text), Sampling::Hierarchical { super_classes: 2, images: 4 });
        assert!(serde_json::from_str::<Sampling>(r#"{ "per_class": { "image": 4 } }"#).is_err());
    }
}
