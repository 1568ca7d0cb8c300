//! False labels, as people who label in a hurry give them.

use super::{
    DataError,
    random::{Purpose, stream},
};
use rand::{RngExt, seq::SliceRandom};

/// The labels with a share of them, rounded to whole items, replaced by another of the `classes` classes, each with the
/// same chance (symmetric noise). For one seed, what a smaller share makes false a larger one does too, in the same way.
///
/// # Errors
/// When the share is not in [0, 1), or it is above 0 and there are fewer than two classes.
pub fn false_labels(labels: &[usize], classes: usize, share: f64, seed: u64) -> Result<Vec<usize>, DataError> {
    if !(0.0..1.0).contains(&share) {
        return Err(DataError::Setting { what: "a share of false labels", range: "in [0, 1)", value: share });
    }
    let mut given = labels.to_vec();
    if share == 0.0 {
        return Ok(given);
    }
    if classes < 2 {
        let (what, value) = ("classes of data with false labels", classes as f64);
        return Err(DataError::Setting { what, range: "at least 2", value });
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut stream(seed, Purpose::Noise, 0));
    let count = (labels.len() as f64 * share).round() as usize;
    for &item in order.iter().take(count) {
        // A stream an item, behind that of the order.
        let step = stream(seed, Purpose::Noise, item as u64 + 1).random_range(1..classes as u64) as usize;
        given[item] = (labels[item] + step) % classes;
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_are_exact_nested_and_within_the_classes(
            labels in prop::collection::vec(0usize..5, 1..300), a in 0.0f64..0.6, b in 0.0f64..0.6, seed in any::<u64>(),
        ) {
            let (small, large) = (a.min(b), a.max(b));
            let [few, many] = [small, large].map(|share| false_labels(&labels, 5, share, seed).unwrap());
            let changed = |given: &[usize]| given.iter().zip(&labels).filter(|(a, b)| a != b).count();
            prop_assert_eq!(changed(&few), (labels.len() as f64 * small).round() as usize);
            prop_assert_eq!(changed(&many), (labels.len() as f64 * large).round() as usize);
            prop_assert!(many.iter().all(|label| *label < 5));
            for ((few, many), label) in few.iter().zip(&many).zip(&labels) {
                prop_assert!(few == label || few == many);
            }
            prop_assert_eq!(false_labels(&labels, 5, large, seed).unwrap(), many);
        }
    }

    /// Each other class takes a fourth of what leaves a class: binomial with mean 500 and deviation 19.4.
    #[test]
    fn other_classes_are_equally_likely() {
        let given = false_labels(&[2; 4_000], 5, 0.5, 7).unwrap();
        for class in [0, 1, 3, 4] {
            let count = given.iter().filter(|label| **label == class).count();
            assert!((420..=580).contains(&count), "class {class}: {count}");
        }
    }

    #[test]
    fn bad_requests_are_refused() {
        let refused = |classes, share| false_labels(&[0, 0], classes, share, 0).is_err();
        assert!(refused(2, -0.1) && refused(2, 1.0) && refused(2, f64::NAN) && refused(1, 0.5));
        assert_eq!(false_labels(&[0, 0], 1, 0.0, 0).unwrap(), [0, 0]);
    }
}
