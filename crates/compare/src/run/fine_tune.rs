//! What an encoder is worth as a start: it is trained on with few labels, and the whole network is scored.
//!
//! After SimCLR (Chen et al. 2020; so does SimCLRv2): a linear classifier on top, no weight decay, 60 epochs with 1 % of
//! the labels and 30 with 10 %. The paper takes Nesterov SGD at 0.05 * batch / 256 with batches of 4,096, which is more
//! than small data hold; here AdamW with batches of 64 takes at least 100 steps, at the one of three rates that is best on
//! validation items. Views are those of the run, the first of each image.

use super::{
    baseline::{Classifier, Supervised},
    prepare::Prepared,
    score::Scores,
};
use anyhow::{Context, anyhow};
use burn::{module::Module, tensor::Device};
use nearfar_core::{
    augment::Augmenter,
    data::{Dataset, split},
    encoder::Encoder,
    optim::OptimizerConfig,
    train::{Method, Passes, TrainConfig, TrainData, TrainError, embed::embed, train},
};

/// Percent of the training labels, and passes over the items that have them.
const SHARES: [(usize, usize); 2] = [(1, 60), (10, 30)];
/// Learning rates to choose from. The largest is that of `supervised`, for a start that is worth nothing.
const RATES: [f64; 3] = [3e-4, 1e-3, 3e-3];
/// Items a step, or all that there are.
const BATCH: usize = 64;
/// Steps at least: one percent of small data is one batch.
const LEAST_STEPS: usize = 100;

/// Adds `transfer.PLACE.fine_tune_1` and `transfer.PLACE.fine_tune_10` for the seen and the unseen classes. `seed` draws
/// the labels, the classifier and the order, the same for every encoder. Of the seen classes they are drawn from the labels
/// that are given, false ones among them: no score may rest on labels that its run does not have.
pub fn fine_tune(
    encoder: &Encoder,
    data: &Prepared,
    augmenter: &Augmenter,
    device: &Device,
    seed: u64,
    scores: &mut Scores,
) -> anyhow::Result<()> {
    let augmenter = augmenter.with_views(1);
    let run = FineTuning { encoder, features: data.encoder.features(), augmenter: &augmenter, device, seed };
    let given = &data.given_validation;
    let validation = Dataset { labels: Some(given.labels.clone()), ..data.seen.validation.select(&given.items) };
    let seen = ("seen", [&data.labelled, &validation, &data.seen.test], data.seen.train.len());
    let unseen = data.unseen.as_ref();
    let unseen = unseen.map(|parts| ("unseen", [&parts.train, &parts.validation, &parts.test], parts.train.len()));
    for (place, parts, images) in [Some(seen), unseen].into_iter().flatten() {
        for (percent, epochs) in SHARES {
            let name = format!("transfer.{place}.fine_tune_{percent}");
            let score = run.score(parts, share_of(percent, images, parts[0].len()), epochs);
            match score.with_context(|| name.clone())? {
                Some(accuracy) => scores.add(name, accuracy),
                None => scores.notes.push(format!("{name}: the loss was not finite at any learning rate")),
            }
        }
    }
    Ok(())
}

/// The share of the labels `given` that is so many percent of all training items; all of them where that is more.
fn share_of(percent: usize, items: usize, given: usize) -> f64 {
    // The quotient first: it is 1 where all labels are given, and leaves the share as it is.
    (items as f64 / given as f64 * (percent as f64 / 100.0)).min(1.0)
}

/// What all fine-tuning of one row shares.
struct FineTuning<'a> {
    encoder: &'a Encoder,
    features: usize,
    augmenter: &'a Augmenter,
    device: &'a Device,
    seed: u64,
}

impl FineTuning<'_> {
    /// Accuracy on the test items after training on with a share of the labels, at the rate that is best on the validation
    /// items, the lowest of equals; `None` if the loss left the finite numbers at every rate.
    fn score(
        &self,
        [training, validation, test]: [&Dataset; 3],
        share: f64,
        epochs: usize,
    ) -> anyhow::Result<Option<f64>> {
        let labelled = training.select(&split::fraction(training, share, self.seed)?.0);
        let mut best: Option<(f64, Classifier)> = None;
        for rate in RATES {
            let Some(classifier) = self.trained(&labelled, epochs, rate)? else { continue };
            let accuracy = self.accuracy(&classifier, validation)?;
            if best.as_ref().is_none_or(|(highest, _)| accuracy > *highest) {
                best = Some((accuracy, classifier));
            }
        }
        best.map(|(_, classifier)| self.accuracy(&classifier, test)).transpose()
    }

    /// The whole network after training on with the labels of `labelled`.
    fn trained(&self, labelled: &Dataset, epochs: usize, learning_rate: f64) -> anyhow::Result<Option<Classifier>> {
        let batch = BATCH.min(labelled.len());
        let steps = (epochs * (labelled.len() / batch.max(1))).max(LEAST_STEPS);
        let config = TrainConfig {
            batch,
            passes: Passes::Whole,
            steps,
            steps_per_epoch: steps,
            seed: self.seed,
            optimizer: OptimizerConfig { learning_rate, weight_decay: 0.0, ..OptimizerConfig::default() },
            checkpoints: None,
        };
        let method = Supervised { classes: labelled.class_names.len() };
        // Parameters and running statistics of its own: the encoder is scored as it was.
        let start = self.encoder.valid().train();
        let data = TrainData { dataset: labelled, augmenter: self.augmenter };
        match train(&method, start, self.features, data, &config, self.device, &mut ()) {
            Ok(trained) => Ok(Some(trained.model)),
            Err(TrainError::NonFinite { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn accuracy(&self, classifier: &Classifier, part: &Dataset) -> anyhow::Result<f64> {
        let labels = part.labels_for("fine-tuning")?;
        let encoder = Supervised::default().encoder(classifier);
        let features = embed(encoder, part, self.augmenter, self.device);
        let found = classifier.classes_of(&features, self.device);
        let found = found.map_err(|error| anyhow!("the classifier's scores were not read: {error}"))?;
        let hits = found.iter().zip(labels).filter(|(found, label)| found == label).count();
        Ok(hits as f64 / labels.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::{
        augment::{Normalization, Recipe},
        backend::Backend,
        data::Inputs,
        encoder::{Architecture, EncoderConfig},
        matrix::Matrix,
    };

    /// Rows of four numbers whose class is which of them is largest: nothing that an untrained encoder knows.
    fn part(rows: usize, offset: usize) -> Dataset {
        let value = |i: usize, j: usize| ((((i + offset) * 4 + j) as f32 * 12.9898).sin() * 43_758.547).fract();
        let rows = Matrix::from_fn(rows, 4, value);
        let largest = |row: &[f32]| (1..4).fold(0, |best, j| if row[j] > row[best] { j } else { best });
        Dataset {
            name: "rows".into(),
            labels: Some(rows.iter_rows().map(largest).collect()),
            class_names: (0..4).map(|c| c.to_string()).collect(),
            groups: None,
            inputs: Inputs::Rows(rows),
        }
    }

    #[test]
    fn no_more_labels_than_are_given() {
        assert_eq!([1, 10].map(|percent| share_of(percent, 2000, 2000)), [0.01, 0.1]);
        assert!((share_of(10, 2000, 1000) - 0.2).abs() < 1e-12);
        assert_eq!(share_of(10, 2000, 20), 1.0);
    }

    #[test]
    fn training_on_learns_the_same_every_time_and_leaves_the_encoder_alone() {
        let device = Backend::Flex.open().unwrap().1.autodiff();
        let (training, validation, test) = (part(2000, 0), part(200, 5000), part(500, 9000));
        let parts = [&training, &validation, &test];
        let config = EncoderConfig { architecture: Architecture::Mlp, width: 16 };
        let encoder = config.init(training.shape(), 3, &device).unwrap();
        let normalization = Normalization::of(&training.inputs);
        let augmenter = Augmenter::new(&[Recipe::none()], normalization, 1).unwrap();
        let run = FineTuning { encoder: &encoder, features: 16, augmenter: &augmenter, device: &device, seed: 7 };

        let before = embed(&encoder, &test, &augmenter, &device);
        let [few, more] = [0.02, 0.2].map(|share| run.score(parts, share, 30).unwrap().unwrap());
        assert_eq!(run.score(parts, 0.02, 30).unwrap(), Some(few));
        assert_eq!(before.as_slice(), embed(&encoder, &test, &augmenter, &device).as_slice());
        // Chance is a quarter.
        assert!(few > 0.4 && more > 0.7 && more > few, "{few} {more}");
    }
}
