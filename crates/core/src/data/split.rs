//! Splits: seeded, stratified by class, and the same whatever the machine.
//!
//! Indices come back in increasing order, and nothing is drawn from one class that depends on another.

use super::{
    DataError, Dataset, Source,
    random::{Purpose, stream},
};
use rand::seq::SliceRandom;

/// Share of the items that [`complete`] holds out to score on: the usual 80 : 20.
pub const TEST_SHARE: f64 = 0.2;
/// Share of the remaining training items that [`complete`] holds out to choose settings on.
pub const VALIDATION_SHARE: f64 = 0.1;

/// Indices of each class in a seeded order; without labels all items are one class.
fn shuffled_classes(data: &Dataset, seed: u64) -> Vec<Vec<usize>> {
    let labels = data.labels.as_deref().unwrap_or_default();
    let classes = labels.iter().max().map_or(1, |l| l + 1).max(data.class_names.len());
    let mut members = vec![Vec::new(); classes];
    for i in 0..data.len() {
        members[labels.get(i).copied().unwrap_or(0)].push(i);
    }
    for (indices, class) in members.iter_mut().zip(0u64..) {
        // A stream a class: another class's size does not change this one's order.
        indices.shuffle(&mut stream(seed, Purpose::Split, class));
    }
    members
}

/// How many of each class make `count` in all, in proportion, by largest remainders (smaller class index first).
fn shares(sizes: &[usize], count: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let count = count.min(total);
    let mut shares: Vec<usize> = sizes.iter().map(|s| s * count / total.max(1)).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&c| std::cmp::Reverse((sizes[c] * count) % total.max(1)));
    let missing = count - shares.iter().sum::<usize>();
    for &c in order.iter().take(missing) {
        shares[c] += 1;
    }
    shares
}

/// `count` indices, every class within one item of its share, and the rest; all of them and nothing if there are no
/// more than `count`. For one seed a smaller count is contained in a larger one up to the rounding of the shares.
pub fn subset(data: &Dataset, count: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let members = shuffled_classes(data, seed);
    let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
    take(&members, &shares(&sizes, count))
}

/// A share of every class, rounded, at least one item of each, and the rest. For one seed a smaller share is contained
/// in a larger one.
///
/// # Errors
/// When the share is not in (0, 1].
pub fn fraction(data: &Dataset, share: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(DataError::Setting { what: "a share of the labels", range: "in (0, 1]", value: share });
    }
    let members = shuffled_classes(data, seed);
    let counts: Vec<usize> =
        members.iter().map(|m| ((m.len() as f64 * share).round() as usize).clamp(1.min(m.len()), m.len())).collect();
    Ok(take(&members, &counts))
}

fn take(members: &[Vec<usize>], counts: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    for (indices, &count) in members.iter().zip(counts) {
        taken.extend_from_slice(&indices[..count]);
        rest.extend_from_slice(&indices[count..]);
    }
    taken.sort_unstable();
    rest.sort_unstable();
    (taken, rest)
}

/// The source with the parts that it lacks: [`TEST_SHARE`] of the training items to score on, then
/// [`VALIDATION_SHARE`] of the rest to choose settings on. Parts that it has stay as they are.
///
/// # Errors
/// When a part is to be made of fewer than two items.
pub fn complete(source: Source, seed: u64) -> Result<Source, DataError> {
    let Source { train, validation, test, notes } = source;
    let (train, test) = match test {
        Some(test) => (train, test),
        None => hold_out(&train, TEST_SHARE, seed)?,
    };
    let (train, validation) = match validation {
        Some(validation) => (train, validation),
        None => hold_out(&train, VALIDATION_SHARE, seed.wrapping_add(1))?,
    };
    Ok(Source { train, validation: Some(validation), test: Some(test), notes })
}

/// What is kept and what is held out, at least one item each.
fn hold_out(data: &Dataset, share: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
    let n = data.len();
    if n < 2 {
        let problem = format!("a part cannot be held out of {n} items; give more data or the part itself");
        return Err(DataError::Inconsistent { name: data.name.clone(), problem });
    }
    let count = ((n as f64 * share).round() as usize).clamp(1, n - 1);
    let (held, kept) = subset(data, count, seed);
    Ok((data.select(&kept), data.select(&held)))
}

/// The items of all classes but `unseen`, and those of `unseen`; both relabelled from 0 in the order of their classes.
///
/// # Errors
/// When the data have no labels, a class does not exist or is named twice, or fewer than two would be left.
pub fn class_split(data: &Dataset, unseen: &[usize]) -> Result<(Dataset, Dataset), DataError> {
    let classes = data.class_names.len();
    let apart = data.keep_classes(unseen)?;
    check_left(classes, unseen.len())?;
    let seen: Vec<usize> = (0..classes).filter(|c| !unseen.contains(c)).collect();
    Ok((data.keep_classes(&seen)?, apart))
}

/// `count` classes that are never trained on, in increasing order.
///
/// # Errors
/// When fewer than two would be left.
pub fn choose_unseen(classes: usize, count: usize, seed: u64) -> Result<Vec<usize>, DataError> {
    check_left(classes, count)?;
    let mut order: Vec<usize> = (0..classes).collect();
    order.shuffle(&mut stream(seed, Purpose::Unseen, 0));
    order.truncate(count);
    order.sort_unstable();
    Ok(order)
}

/// An error if holding out `count` of `classes` leaves fewer than two.
///
/// # Errors
/// See above.
pub fn check_left(classes: usize, count: usize) -> Result<(), DataError> {
    let left = classes.saturating_sub(count);
    if count > 0 && left < 2 { Err(DataError::TooFewSeen { left, classes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data::Inputs, matrix::Matrix};
    use proptest::prelude::*;

    fn data(labels: Vec<usize>, classes: usize) -> Dataset {
        Dataset {
            name: "t".into(),
            inputs: Inputs::Rows(Matrix::from_fn(labels.len(), 1, |i, _| i as f32)),
            labels: Some(labels),
            class_names: (0..classes).map(|c| c.to_string()).collect(),
            groups: None,
        }
    }

    fn items(data: &Dataset) -> Vec<usize> {
        data.features().as_slice().iter().map(|v| *v as usize).collect()
    }

    proptest! {
        #[test]
        fn subsets_are_stratified_disjoint_and_repeatable(
            labels in prop::collection::vec(0usize..4, 8..200), count in 1usize..100, seed in any::<u64>(),
        ) {
            let (n, count) = (labels.len(), count.min(labels.len()));
            let d = data(labels.clone(), 4);
            let (taken, rest) = subset(&d, count, seed);
            prop_assert_eq!(taken.len(), count);
            let mut all = [taken.clone(), rest].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).collect::<Vec<_>>());
            for c in 0..4 {
                let of = |v: &[usize]| v.iter().filter(|i| labels[**i] == c).count() as f64;
                let whole = labels.iter().filter(|l| **l == c).count() as f64;
                prop_assert!((of(&taken) - whole * count as f64 / n as f64).abs() <= 1.0);
            }
            prop_assert_eq!(subset(&d, count, seed).0, taken);
        }

        #[test]
        fn shares_of_labels_are_nested(
            labels in prop::collection::vec(0usize..3, 10..100), a in 0.01f64..1.0, b in 0.01f64..1.0, seed in any::<u64>(),
        ) {
            let d = data(labels.clone(), 3);
            let (small, large) = (a.min(b), a.max(b));
            let small = fraction(&d, small, seed).unwrap().0;
            let large = fraction(&d, large, seed).unwrap().0;
            prop_assert!(small.iter().all(|i| large.contains(i)));
            for c in 0..3 {
                prop_assert_eq!(labels.contains(&c), small.iter().any(|i| labels[*i] == c));
            }
            prop_assert_eq!(fraction(&d, 1.0, seed).unwrap().0.len(), labels.len());
        }

        #[test]
        fn completed_parts_are_disjoint_and_whole(
            labels in prop::collection::vec(0usize..3, 3..100), labelled in any::<bool>(), seed in any::<u64>(),
        ) {
            let n = labels.len();
            let mut train = data(labels, 3);
            if !labelled {
                train.labels = None;
            }
            let source = complete(Source::of(train), seed).unwrap();
            let parts = [source.train, source.validation.unwrap(), source.test.unwrap()];
            prop_assert!(parts.iter().all(|p| !p.is_empty() && p.labels.is_some() == labelled));
            prop_assert_eq!(parts[2].len(), ((n as f64 * TEST_SHARE).round() as usize).max(1));
            let mut all: Vec<usize> = parts.iter().flat_map(items).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn unseen_classes_are_chosen_once(classes in 2usize..40, count in 0usize..38, seed in any::<u64>()) {
            prop_assume!(classes >= count + 2);
            let chosen = choose_unseen(classes, count, seed).unwrap();
            prop_assert_eq!(chosen.len(), count);
            prop_assert!(chosen.windows(2).all(|w| w[0] < w[1]) && chosen.iter().all(|c| *c < classes));
            prop_assert_eq!(chosen, choose_unseen(classes, count, seed).unwrap());
        }
    }

    #[test]
    fn parts_that_exist_stay() {
        let notes = vec!["scaled".to_owned()];
        let source = Source { test: Some(data(vec![1, 1], 2)), notes, ..Source::of(data(vec![0, 1, 0], 2)) };
        let done = complete(source, 3).unwrap();
        assert_eq!((done.train.len(), done.validation.unwrap().len()), (2, 1));
        assert_eq!((done.test.unwrap().labels, done.notes), (Some(vec![1, 1]), vec!["scaled".to_owned()]));
        let one = Source::of(data(vec![0], 1));
        assert!(complete(one, 3).unwrap_err().to_string().contains("held out of 1 items"));
    }

    #[test]
    fn classes_are_split_and_relabelled() {
        let d = data(vec![0, 1, 2, 3, 1, 3], 4);
        let (seen, unseen) = class_split(&d, &[3, 1]).unwrap();
        assert_eq!((items(&seen), items(&unseen)), (vec![0, 2], vec![1, 3, 4, 5]));
        assert_eq!((seen.labels.unwrap(), unseen.labels.unwrap()), (vec![0, 1], vec![1, 0, 1, 0]));
        assert_eq!((seen.class_names.join(""), unseen.class_names.join("")), ("02".into(), "31".into()));
        assert!(matches!(class_split(&d, &[0, 1, 2]), Err(DataError::TooFewSeen { left: 1, classes: 4 })));
        assert!(matches!(class_split(&d, &[0, 0]), Err(DataError::RepeatedClass { .. })));
        assert!(matches!(class_split(&d, &[4]), Err(DataError::NoClass { .. })));
    }

    #[test]
    fn bad_requests_are_refused() {
        let d = data(vec![0, 1], 2);
        assert!(fraction(&d, 0.0, 0).is_err() && fraction(&d, f64::NAN, 0).is_err() && fraction(&d, 1.1, 0).is_err());
        assert!(choose_unseen(3, 2, 0).unwrap_err().to_string().contains("--unseen-classes"));
        assert_eq!(choose_unseen(10, 3, 7).unwrap().len(), 3);
    }
}
