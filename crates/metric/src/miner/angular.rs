use super::Miner;
use crate::{Distance, MetricError, Pairwise, Triplet, Tuples};
use serde::{Deserialize, Serialize};

/// Triplets whose negative sees the positive pair at a wide angle (Wang et al., "Deep metric learning with angular
/// loss", 2017):
///
/// ```text
/// atan( |a - p| / (2 |n - c|) ) > angle        c = (a + p) / 2
/// ```
///
/// Takes Euclidean distances, from which `|n - c|` follows. pytorch-metric-learning normalises no rows here; the same
/// triplets come from distances of rows as they are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AngularMiner {
    /// In degrees, in [0, 90]. Default 20, as in pytorch-metric-learning.
    pub angle: f32,
}

impl Default for AngularMiner {
    fn default() -> Self {
        Self { angle: 20.0 }
    }
}

impl Miner for AngularMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check((0.0..=90.0).contains(&self.angle), "angle", "in [0, 90] degrees", self.angle.into())
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        let fits = distance.euclidean().is_some_and(|(_, power)| power == 1.0);
        let needs = "the Euclidean distance (such as `{ euclidean = { normalized = true, squared = false } }`)";
        MetricError::defined(fits, "angular mining", needs, distance)
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        self.accepts(on.distance())?;
        let among;
        let references = if on.is_square() {
            on
        } else {
            among = on.among_references()?;
            &among
        };
        let square = |d: f32| f64::from(d) * f64::from(d);
        let least = f64::from(self.angle).to_radians();
        let (mut triplets, mut negatives) = (Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            negatives.clear();
            negatives.extend(on.negatives(anchor));
            for positive in on.positives(anchor) {
                let from_positive = references.values().row(positive);
                let base = square(row[positive]);
                // The median of the triangle (Apollonius).
                let wide = |n: &&usize| {
                    let median = (2.0 * (square(row[**n]) + square(from_positive[**n])) - base).max(0.0).sqrt() / 2.0;
                    base.sqrt().atan2(2.0 * median) > least
                };
                triplets.extend(negatives.iter().filter(wide).map(|&n| Triplet::new(anchor, positive, n)));
            }
        }
        Ok(Tuples::Triplets(triplets))
    }
}
