use super::{ClassHead, targets::cosines};
use crate::MetricError;
use burn::tensor::Tensor;

/// Embeddings that do not belong to the main body of their class: with noisy labels, candidates for mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outliers {
    /// Their rows, in order.
    pub rows: Vec<usize>,
    /// The dominant centre of each class: the one that is nearest to most of its embeddings, the first of equals; none
    /// for a class without embeddings.
    pub dominant: Vec<Option<usize>>,
}

impl ClassHead {
    /// Embeddings `[n, d]` at more than `degrees` from the dominant centre of their class (Deng et al., "Sub-center
    /// ArcFace", 2020, with 75 degrees): what training again without them, and with one centre a class, leaves out.
    ///
    /// Takes one matrix of `n x classes * centers` cosines: give a large set in parts by class.
    ///
    /// # Errors
    /// When the angle is out of range, labels do not number the rows or have no class, dimensions differ, or the device
    /// fails.
    pub fn outliers(&self, embeddings: Tensor<2>, labels: &[usize], degrees: f64) -> Result<Outliers, MetricError> {
        MetricError::check((0.0..=180.0).contains(&degrees), "degrees", "0 to 180", degrees)?;
        self.check_batch(&embeddings, labels)?;
        let (classes, centers) = (self.classes, self.loss.centers());
        if let Some(&label) = labels.iter().find(|label| **label >= classes) {
            return Err(MetricError::ClassLabel { label, classes });
        }
        let cosine = cosines(embeddings, self.weights()).detach(); // [n, classes * centers]
        let cosine = cosine.try_into_vec_as::<f32>().map_err(|e| MetricError::Device(e.to_string()))?;
        let own = |row: usize| &cosine[(row * classes + labels[row]) * centers..][..centers];

        let mut nearest = vec![vec![0usize; centers]; classes];
        for (row, &label) in labels.iter().enumerate() {
            let of = own(row);
            let best = (1..centers).fold(0, |best, center| if of[center] > of[best] { center } else { best });
            nearest[label][best] += 1;
        }
        let most = |counts: &Vec<usize>| {
            let best = (1..centers).fold(0, |best, center| if counts[center] > counts[best] { center } else { best });
            (counts[best] > 0).then_some(best)
        };
        let dominant: Vec<Option<usize>> = nearest.iter().map(most).collect();
        let least = degrees.to_radians().cos() as f32;
        let far = |row: &usize| dominant[labels[*row]].is_some_and(|center| own(*row)[center] < least);
        Ok(Outliers { rows: (0..labels.len()).filter(far).collect(), dominant })
    }
}
