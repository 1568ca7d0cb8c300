//! What settings are chosen by: images that the trial does not train on, and never a test image.
//!
//! Where the run has classes that are never trained on, a fold takes other classes out of the training, so that settings
//! are chosen for what the run asks: features that serve classes which training has not seen. Everything here comes
//! from the training and validation parts of the run's seen classes.

use crate::run::{
    config::Config,
    prepare::{Parts, Prepared},
};
use anyhow::ensure;
use nearfar_core::{
    augment::{Augmenter, Normalization},
    data::{Dataset, Shape, split},
    encoder::EncoderConfig,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Share of the seen classes that a fold holds out, as for the run's unseen classes.
const HELD_OUT: f64 = 0.3;
/// Most images that are ranked, that probes are fitted on, and that they are scored on.
const MOST_IMAGES: usize = 4_000;

/// The folds, and the encoder that every trial trains.
pub struct Validation {
    /// At least one.
    pub folds: Vec<Fold>,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// What it sees.
    pub shape: Shape,
}

/// What a trial trains on, and what it is scored on.
pub struct Fold {
    /// Names of the classes that are held out; none where validation is by other images of the same classes.
    pub held_out: Vec<String>,
    /// To train on.
    pub train: Dataset,
    /// The part of it whose labels methods may use.
    pub labelled: Dataset,
    /// Ranked among themselves: images of the held-out classes, or else the validation images.
    pub ranked: Dataset,
    /// Images of all seen classes, whose labels methods may use, that the probe is fitted on.
    pub probe: Dataset,
    /// Validation images of all seen classes that the probe is scored on.
    pub probed: Dataset,
    /// The run's views, with statistics of `train`.
    pub augmenter: Augmenter,
}

impl Validation {
    /// The folds of a run's data.
    ///
    /// # Errors
    /// When there are not so many folds.
    pub fn new(data: &Prepared, config: &Config, count: usize) -> anyhow::Result<Self> {
        let classes = data.seen.train.class_names.len();
        let sets = if data.unseen_names.is_empty() || classes < held_out(classes) + 2 {
            ensure!(
                count == 1,
                "--folds {count}: this run has no unseen classes, or too few seen ones, to hold classes out; there is \
                 one fold, of other images of the same classes"
            );
            vec![Vec::new()]
        } else {
            class_folds(classes, count, config.split_seed())?
        };
        let parts = &data.seen;
        let some = |data: Dataset| {
            let (chosen, _) = split::subset(&data, MOST_IMAGES, config.split_seed());
            if chosen.len() < data.len() { data.select(&chosen) } else { data }
        };
        let fold = |held: Vec<usize>| -> anyhow::Result<Fold> {
            let kept: Vec<usize> = (0..classes).filter(|class| !held.contains(class)).collect();
            let train = parts.train.keep_classes(&kept)?;
            let augmenter = Augmenter::new(&data.views, Normalization::of(&train.inputs), config.seed)?;
            augmenter.check(&train.inputs)?;
            Ok(Fold {
                held_out: held.iter().map(|&class| parts.train.class_names[class].clone()).collect(),
                labelled: data.labelled.keep_classes(&kept)?,
                ranked: some(ranked(parts, &held)?),
                probe: some(data.labelled.clone()),
                probed: some(parts.validation.clone()),
                train,
                augmenter,
            })
        };
        let folds = sets.into_iter().map(fold).collect::<anyhow::Result<_>>()?;
        Ok(Self { folds, encoder: data.encoder, shape: data.shape })
    }

    /// What settings are chosen by, in a sentence.
    pub fn describe(&self) -> String {
        let sets: Vec<String> = self.folds.iter().map(|fold| fold.held_out.join(", ")).collect();
        match sets.as_slice() {
            [one] if one.is_empty() => {
                "Validation: images of the classes trained on that training does not see.".into()
            }
            [one] => format!("Validation: the classes {one} are held out of the training."),
            many => format!(
                "Validation: {} folds, whose value is the mean over them; held out of the training in turn: {}.",
                many.len(),
                many.join("; ")
            ),
        }
    }
}

fn ranked(parts: &Parts, held: &[usize]) -> anyhow::Result<Dataset> {
    Ok(if held.is_empty() { parts.validation.clone() } else { parts.train.keep_classes(held)? })
}

/// How many of the seen classes a fold holds out: at least two, which can be told apart.
fn held_out(classes: usize) -> usize {
    ((classes as f64 * HELD_OUT).round() as usize).max(2)
}

/// `count` sets of classes that do not overlap, each in increasing order.
fn class_folds(classes: usize, count: usize, seed: u64) -> anyhow::Result<Vec<Vec<usize>>> {
    let held = held_out(classes);
    let most = classes / held;
    ensure!(
        (1..=most).contains(&count),
        "--folds must be between 1 and {most} for {classes} seen classes, got {count}"
    );
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(b"tunefold");
    let mut order: Vec<usize> = (0..classes).collect();
    order.shuffle(&mut ChaCha8Rng::from_seed(key));
    let sorted = |part: &[usize]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part
    };
    Ok(order.chunks_exact(held).take(count).map(sorted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{config::UnseenClasses, method::MethodName};

    fn prepared(config: &Config) -> Prepared {
        Prepared::new(config, &MethodName::parse_list("triplet").unwrap()).unwrap()
    }

    fn config(dataset: &str) -> Config {
        Config { dataset: dataset.into(), images: 600, batch: Some(64), ..Config::default() }
    }

    #[test]
    fn folds_do_not_overlap_and_leave_classes_to_train_on() {
        for classes in 4..30 {
            let held = held_out(classes);
            assert!(held >= 2 && held + 2 <= classes);
            let folds = class_folds(classes, classes / held, 1).unwrap();
            let mut all = folds.concat();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), folds.len() * held);
            assert!(
                folds.iter().all(|f| f.len() == held && f.windows(2).all(|w| w[0] < w[1]) && f.len() + 2 <= classes)
            );
            assert_eq!(class_folds(classes, 1, 1).unwrap(), folds[..1]);
            assert!(class_folds(classes, classes / held + 1, 1).is_err() && class_folds(classes, 0, 1).is_err());
        }
        assert_eq!((held_out(7), held_out(20)), (2, 6));
        assert!(class_folds(7, 4, 0).unwrap_err().to_string().contains("--folds must be between 1 and 3"));
        assert_ne!(class_folds(20, 1, 0).unwrap(), class_folds(20, 1, 1).unwrap());
    }

    #[test]
    fn no_trial_trains_on_held_out_classes_and_none_sees_a_test_image() {
        let config = config("digits");
        let mut data = prepared(&config);
        let validation = Validation::new(&data, &config, 3).unwrap();
        let seen = &data.seen.train.class_names;
        for fold in &validation.folds {
            assert_eq!(fold.held_out.len(), 2);
            assert_eq!(fold.train.class_names.len(), seen.len() - 2);
            assert!(fold.held_out.iter().all(|c| seen.contains(c) && !fold.train.class_names.contains(c)));
            assert_eq!(fold.ranked.class_names, fold.held_out);
            assert_eq!(fold.labelled.class_names, fold.train.class_names);
            assert_eq!(fold.train.len() + fold.ranked.len(), data.seen.train.len());
            assert_eq!((fold.probe.class_names.len(), fold.probed.len()), (seen.len(), data.seen.validation.len()));
        }
        // Without any test part, and without the run's unseen classes and other data, they are the same.
        data.seen.test = data.seen.test.select(&[]);
        data.unseen = None;
        data.other = None;
        let again = Validation::new(&data, &config, 3).unwrap();
        for (a, b) in validation.folds.iter().zip(&again.folds) {
            assert_eq!((&a.train, &a.labelled, &a.ranked), (&b.train, &b.labelled, &b.ranked));
            assert_eq!((&a.probe, &a.probed), (&b.probe, &b.probed));
        }
    }

    #[test]
    fn without_unseen_classes_none_are_held_out() {
        let config = Config { unseen_classes: Some(UnseenClasses::Count(0)), ..config("digits") };
        let data = prepared(&config);
        let validation = Validation::new(&data, &config, 1).unwrap();
        let fold = &validation.folds[0];
        assert!(fold.held_out.is_empty());
        assert_eq!((&fold.train, &fold.ranked), (&data.seen.train, &data.seen.validation));
        assert!(Validation::new(&data, &config, 2).is_err());
    }
}
