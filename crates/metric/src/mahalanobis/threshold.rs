//! From distances to decisions: the largest distance at which two rows count as the same.

use serde::{Deserialize, Serialize};

use super::MahalanobisError;
use super::data::check_length;

/// What a threshold shall be best at. A positive is a pair that belongs together, and a pair is accepted when its
/// distance is at most the threshold. The strategies and their rules are those of metric-learn's
/// `calibrate_threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdStrategy {
    /// The greatest share of correct decisions. The default, as in metric-learn.
    #[default]
    Accuracy,
    /// The greatest F-score.
    FBeta {
        /// Weight of recall against precision, greater than 0; metric-learn's default is 1.
        beta: f64,
    },
    /// The greatest true positive rate among thresholds whose true negative rate is at least `min_tnr`.
    MaxTpr {
        /// In 0 to 1.
        min_tnr: f64,
    },
    /// The greatest true negative rate among thresholds whose true positive rate is at least `min_tpr`.
    MaxTnr {
        /// In 0 to 1.
        min_tpr: f64,
    },
}

/// Decisions at one threshold.
#[derive(Clone, Copy)]
struct Counts {
    true_positives: f64,
    false_positives: f64,
    positives: f64,
    negatives: f64,
}

/// The threshold that is best on pairs at the given `distances`; `same[i]` says whether pair `i` belongs together.
///
/// Candidates are the distances themselves (equal distances are accepted together) and the smallest distance minus 1,
/// which accepts none. Among equally good ones the smallest wins.
///
/// # Errors
/// When the lengths differ, a distance is not finite, there are not both kinds of pairs, or a setting of the strategy
/// is out of range.
pub fn choose_threshold(
    distances: &[f64],
    same: &[bool],
    strategy: ThresholdStrategy,
) -> Result<f64, MahalanobisError> {
    check(distances, same, strategy)?;
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]).then(a.cmp(&b)));
    let positives = same.iter().filter(|&&s| s).count() as f64;
    let negatives = same.len() as f64 - positives;
    let mut counts = Counts { true_positives: 0.0, false_positives: 0.0, positives, negatives };
    let mut best = (distances[order[0]] - 1.0, strategy.score(counts));
    for group in order.chunk_by(|&a, &b| distances[a] == distances[b]) {
        let accepted = group.iter().filter(|&&i| same[i]).count() as f64;
        counts.true_positives += accepted;
        counts.false_positives += group.len() as f64 - accepted;
        let score = strategy.score(counts);
        if score > best.1 {
            best = (distances[group[0]], score);
        }
    }
    Ok(best.0)
}

impl ThresholdStrategy {
    /// Larger is better; a threshold that breaks the strategy's condition scores -1. One that meets it always exists:
    /// accepting none has true negative rate 1, accepting all has true positive rate 1.
    fn score(self, counts: Counts) -> f64 {
        let Counts { true_positives, false_positives, positives, negatives } = counts;
        let true_negatives = negatives - false_positives;
        match self {
            Self::Accuracy => true_positives + true_negatives,
            Self::FBeta { beta } => {
                let weight = beta * beta;
                let missed = positives - true_positives;
                (1.0 + weight) * true_positives / ((1.0 + weight) * true_positives + weight * missed + false_positives)
            }
            Self::MaxTpr { min_tnr } if true_negatives / negatives >= min_tnr => true_positives,
            Self::MaxTnr { min_tpr } if true_positives / positives >= min_tpr => true_negatives,
            Self::MaxTpr { .. } | Self::MaxTnr { .. } => -1.0,
        }
    }
}

fn check(distances: &[f64], same: &[bool], strategy: ThresholdStrategy) -> Result<(), MahalanobisError> {
    check_length("`same`, one for each pair", distances.len(), same.len())?;
    if distances.iter().any(|d| !d.is_finite()) {
        return Err(MahalanobisError::Overflow { what: "the distance of a pair" });
    }
    for (kind, wanted) in [("same", true), ("different", false)] {
        if !same.contains(&wanted) {
            return Err(MahalanobisError::MissingPairs { kind });
        }
    }
    let rate = |name, value: f64| match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(MahalanobisError::setting(name, value, "between 0 and 1")),
    };
    match strategy {
        ThresholdStrategy::Accuracy => Ok(()),
        ThresholdStrategy::FBeta { beta } if beta > 0.0 && beta.is_finite() => Ok(()),
        ThresholdStrategy::FBeta { beta } => Err(MahalanobisError::setting("beta", beta, "finite and greater than 0")),
        ThresholdStrategy::MaxTpr { min_tnr } => rate("min_tnr", min_tnr),
        ThresholdStrategy::MaxTnr { min_tpr } => rate("min_tpr", min_tpr),
    }
}

#[cfg(test)]
mod tests {
    use super::ThresholdStrategy::{Accuracy, FBeta, MaxTnr, MaxTpr};
    use super::*;

    const DISTANCES: [f64; 7] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];

    #[test]
    fn accuracy_of_metric_learn_worked_examples() {
        let threshold = choose_threshold(&DISTANCES[..4], &[true, true, false, false], Accuracy).unwrap();
        assert_eq!(threshold, 2.0);
        // Different pairs are the closer ones. Three positives of seven: reject all; four: accept all.
        let reject = choose_threshold(&DISTANCES, &[false, false, false, false, true, true, true], Accuracy).unwrap();
        assert!(DISTANCES.iter().all(|&d| d > reject));
        let accept = choose_threshold(&DISTANCES, &[false, false, false, true, true, true, true], Accuracy).unwrap();
        assert!(DISTANCES.iter().all(|&d| d <= accept));
    }

    #[test]
    fn equal_distances_are_accepted_together() {
        // Cutting inside the tie at 2 would look perfect and cannot be done.
        let threshold = choose_threshold(&[1.0, 2.0, 2.0, 2.0], &[true, true, false, false], Accuracy).unwrap();
        assert_eq!(threshold, 1.0);
    }

    #[test]
    fn rates_are_traded_as_asked() {
        let same = [true, true, false, true, false, true, false];
        let choose = |strategy| choose_threshold(&DISTANCES, &same, strategy).unwrap();
        // Thresholds 0 to 7 accept same 0 1 2 2 3 3 4 4 and different 0 0 0 1 1 2 2 3.
        assert_eq!(choose(MaxTpr { min_tnr: 1.0 }), 2.0);
        assert_eq!(choose(MaxTpr { min_tnr: 0.5 }), 4.0);
        assert_eq!(choose(MaxTpr { min_tnr: 0.0 }), 6.0);
        assert_eq!(choose(MaxTnr { min_tpr: 1.0 }), 6.0);
        assert_eq!(choose(MaxTnr { min_tpr: 0.75 }), 4.0);
        assert_eq!(choose(MaxTnr { min_tpr: 0.0 }), 0.0);
        // F1 = 2 tp / (2 tp + fn + fp): 2/3 at 2, 3/4 at 4, 4/5 at 6.
        assert_eq!(choose(FBeta { beta: 1.0 }), 6.0);
        // Precision alone, almost: 1 at 1 and at 2, and 2 finds more.
        assert_eq!(choose(FBeta { beta: 0.1 }), 2.0);
    }

    #[test]
    fn refuses_what_has_no_answer() {
        let error = choose_threshold(&[1.0], &[true, false], Accuracy).unwrap_err();
        assert!(matches!(error, MahalanobisError::LengthMismatch { expected: 1, got: 2, .. }));
        let error = choose_threshold(&[1.0, 2.0], &[true, true], Accuracy).unwrap_err();
        assert_eq!(error, MahalanobisError::MissingPairs { kind: "different" });
        assert_eq!(choose_threshold(&[], &[], Accuracy), Err(MahalanobisError::MissingPairs { kind: "same" }));
        for strategy in [FBeta { beta: 0.0 }, MaxTpr { min_tnr: 1.1 }, MaxTnr { min_tpr: f64::NAN }] {
            let error = choose_threshold(&[1.0, 2.0], &[true, false], strategy).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { .. }));
        }
        assert!(choose_threshold(&[1.0, f64::NAN], &[true, false], Accuracy).is_err());
    }
}
