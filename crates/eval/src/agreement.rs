//! How far two labellings of the same items agree, whatever their labels are called.

use std::collections::BTreeMap;

use crate::error::EvalError;
use crate::labels::Classes;

/// Normalised mutual information in `[0, 1]`: the mutual information divided by the arithmetic mean of the entropies,
/// as scikit-learn's `normalized_mutual_info_score`. Two labellings that do not split the items at all agree fully
/// (1).
///
/// # Errors
/// When there is no item or the lists differ in length.
///
/// ```
/// use nearfar_eval::normalized_mutual_information;
///
/// assert_eq!(normalized_mutual_information(&[0, 0, 1, 1], &[7, 7, 3, 3]), Ok(1.0));
/// ```
pub fn normalized_mutual_information(a: &[usize], b: &[usize]) -> Result<f64, EvalError> {
    let table = Contingency::new(a, b)?;
    Ok(match table.trivial() {
        Some(score) => score,
        None => (table.mutual_information() / table.mean_entropy()).clamp(0.0, 1.0),
    })
}

/// Adjusted mutual information, at most 1 and near 0 for unrelated labellings: the mutual information less what
/// random labellings with the same group sizes share, divided by the mean entropy less the same. The expectation is
/// the exact one (Vinh, Epps and Bailey 2010), as in scikit-learn's `adjusted_mutual_info_score`.
///
/// # Errors
/// When there is no item or the lists differ in length.
pub fn adjusted_mutual_information(a: &[usize], b: &[usize]) -> Result<f64, EvalError> {
    let table = Contingency::new(a, b)?;
    if let Some(score) = table.trivial() {
        return Ok(score);
    }
    let expected = table.expected_mutual_information();
    let room = table.mean_entropy() - expected;
    // Only when every item is alone in both labellings does chance explain everything; they are then the same
    // labelling.
    if room.abs() < 1e-12 {
        return Ok(1.0);
    }
    Ok((table.mutual_information() - expected) / room)
}

/// Sizes of the groups of two labellings and of their intersections.
struct Contingency {
    items: usize,
    left: Vec<usize>,
    right: Vec<usize>,
    /// Items in group `.0` of the left and group `.1` of the right labelling, where there are any.
    both: BTreeMap<(u32, u32), usize>,
}

impl Contingency {
    fn new(a: &[usize], b: &[usize]) -> Result<Self, EvalError> {
        if a.len() != b.len() {
            return Err(EvalError::Paired {
                left: "the first labelling",
                left_rows: a.len(),
                right: "the second labelling",
                right_rows: b.len(),
            });
        }
        if a.is_empty() {
            return Err(EvalError::NoRows { what: "labellings" });
        }
        let (left, right) = (Classes::new(a), Classes::new(b));
        let mut both = BTreeMap::new();
        for pair in left.of_row.iter().copied().zip(right.of_row.iter().copied()) {
            *both.entry(pair).or_insert(0) += 1;
        }
        let sizes = |classes: &Classes| classes.rows.iter().map(Vec::len).collect::<Vec<_>>();
        Ok(Self { items: a.len(), left: sizes(&left), right: sizes(&right), both })
    }

    /// The agreement when a labelling does not split the items: full with another such one, else none.
    fn trivial(&self) -> Option<f64> {
        match (self.left.len(), self.right.len()) {
            (1, 1) => Some(1.0),
            (1, _) | (_, 1) => Some(0.0),
            _ => None,
        }
    }

    fn mutual_information(&self) -> f64 {
        let n = self.items as f64;
        self.both
            .iter()
            .map(|(&(i, j), &count)| {
                let (count, product) = (count as f64, self.left[i as usize] as f64 * self.right[j as usize] as f64);
                count / n * (n * count / product).ln()
            })
            .sum()
    }

    /// Arithmetic mean of the entropies, in nats.
    fn mean_entropy(&self) -> f64 {
        let n = self.items as f64;
        let entropy =
            |sizes: &[usize]| -> f64 { sizes.iter().map(|&size| -(size as f64 / n) * (size as f64 / n).ln()).sum() };
        0.5 * (entropy(&self.left) + entropy(&self.right))
    }

    /// Mean mutual information over all labellings with the same group sizes (hypergeometric model).
    fn expected_mutual_information(&self) -> f64 {
        let n = self.items;
        let log_factorial = log_factorials(n);
        let mut sum = 0.0;
        for &a in &self.left {
            for &b in &self.right {
                let product = a as f64 * b as f64;
                let fixed = log_factorial[a] + log_factorial[b] + log_factorial[n - a] + log_factorial[n - b]
                    - log_factorial[n];
                for both in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    // Chance that so many items fall into both groups.
                    let log_chance = fixed
                        - log_factorial[both]
                        - log_factorial[a - both]
                        - log_factorial[b - both]
                        - log_factorial[n + both - a - b];
                    let share = both as f64 / n as f64;
                    sum += share * (n as f64 * both as f64 / product).ln() * log_chance.exp();
                }
            }
        }
        sum
    }
}

/// `ln(i!)` for `i` from 0 to `n`.
fn log_factorials(n: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mut table = Vec::with_capacity(n + 1);
    table.push(0.0);
    for i in 1..=n {
        sum += (i as f64).ln();
        table.push(sum);
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::noise;

    fn scores(a: &[usize], b: &[usize]) -> (f64, f64) {
        (normalized_mutual_information(a, b).unwrap(), adjusted_mutual_information(a, b).unwrap())
    }

    fn assert_close(found: (f64, f64), expected: (f64, f64)) {
        assert!((found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9, "{found:?} {expected:?}");
    }

    /// scikit-learn's documented values and its test of both scores.
    #[test]
    fn matches_scikit_learn() {
        assert_close(scores(&[0, 0, 1, 1], &[0, 0, 1, 1]), (1.0, 1.0));
        assert_close(scores(&[0, 0, 1, 1], &[1, 1, 0, 0]), (1.0, 1.0));
        assert_close(scores(&[0, 0, 0, 0], &[0, 1, 2, 3]), (0.0, 0.0));
        assert_close(scores(&[3, 3], &[1, 1]), (1.0, 1.0));
        let a = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3];
        let b = [1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 3, 1, 3, 3, 3, 2, 2];
        let table = Contingency::new(&a, &b).unwrap();
        assert!((table.mutual_information() - 0.410_218_622_740_453_5).abs() < 1e-12);
        assert!((table.expected_mutual_information() - 0.150_424_802_582_171_97).abs() < 1e-12);
        assert_close(scores(&a, &b), (0.378_349_927_872_040_9, 0.278_209_646_572_697_3));
    }

    #[test]
    fn small_case_by_naive_tables() {
        let (a, b) = ([0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 2, 2]);
        assert_close(scores(&a, &b), (0.558_873_038_217_032_6, 0.319_672_650_569_645_5));
    }

    /// The expectation, by going through every order of five items.
    #[test]
    fn expectation_is_the_mean_over_permutations() {
        let (a, b) = ([0usize, 0, 1, 1, 2], [0usize, 0, 0, 1, 1]);
        let mut orders = vec![vec![]];
        for item in 0..5 {
            orders = orders
                .into_iter()
                .flat_map(|order: Vec<usize>| {
                    (0..=order.len()).map(move |at| {
                        let mut longer = order.clone();
                        longer.insert(at, item);
                        longer
                    })
                })
                .collect();
        }
        let sum: f64 = orders
            .iter()
            .map(|order| {
                let shuffled: Vec<usize> = order.iter().map(|&i| b[i]).collect();
                Contingency::new(&a, &shuffled).unwrap().mutual_information()
            })
            .sum();
        let expected = Contingency::new(&a, &b).unwrap().expected_mutual_information();
        assert_eq!(orders.len(), 120);
        assert!((sum / 120.0 - expected).abs() < 1e-12);
    }

    #[test]
    fn all_items_alone_agree() {
        assert_close(scores(&[0, 1, 2, 3], &[3, 1, 0, 2]), (1.0, 1.0));
    }

    #[test]
    fn unrelated_labellings_are_near_zero_when_adjusted() {
        let label = |i: usize| (noise(i).abs() * 20.0) as usize;
        let (a, b): (Vec<usize>, Vec<usize>) = (0..400).map(|i| (label(i), label(i + 1000))).unzip();
        let (nmi, ami) = scores(&a, &b);
        assert!(nmi > 0.1 && ami.abs() < 0.05, "{nmi} {ami}");
    }

    #[test]
    fn rejects_unequal_lengths() {
        assert!(matches!(normalized_mutual_information(&[0], &[0, 1]), Err(EvalError::Paired { .. })));
        assert_eq!(adjusted_mutual_information(&[], &[]), Err(EvalError::NoRows { what: "labellings" }));
    }

    proptest! {
        /// Symmetric, blind to names, 1 for the same labelling.
        #[test]
        fn laws(pairs in prop::collection::vec((0usize..4, 0usize..4), 2..40)) {
            let (a, b): (Vec<usize>, Vec<usize>) = pairs.into_iter().unzip();
            let (nmi, ami) = scores(&a, &b);
            let swapped = scores(&b, &a);
            prop_assert!((nmi - swapped.0).abs() < 1e-9 && (ami - swapped.1).abs() < 1e-9);
            let renamed: Vec<usize> = b.iter().map(|label| 100 - label * 7).collect();
            let renamed = scores(&a, &renamed);
            prop_assert!((nmi - renamed.0).abs() < 1e-9 && (ami - renamed.1).abs() < 1e-9);
            prop_assert!((-1e-12..=1.0 + 1e-12).contains(&nmi) && ami <= 1.0 + 1e-9);
            let same = scores(&a, &a);
            prop_assert!((same.0 - 1.0).abs() < 1e-9 && (same.1 - 1.0).abs() < 1e-9);
        }
    }
}
