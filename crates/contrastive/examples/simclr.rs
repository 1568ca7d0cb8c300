//! A method in the training loop: SimCLR on digits without their labels, judged by its nearest neighbours.
//!
//! ```text
//! cargo run --example simclr
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use contrastive::SimClr;
use nearfar_core::{
    augment::{Augmenter, ColorJitter, Normalization, RandomResizedCrop, Recipe},
    data::{catalog, split},
    encoder::{Architecture, Encoder, EncoderConfig},
    optim::OptimizerConfig,
    train::{EpochEvent, Method, Observer, Passes, TrainConfig, TrainData, Warning, embed::embed, train},
};
use nearfar_eval::{KnnConfig, knn};
use std::{error::Error, path::Path};

/// Prints every epoch, and trouble as it comes.
struct Printer;

impl Observer for Printer {
    fn epoch(&mut self, event: &EpochEvent) {
        println!("epoch {:>2}: loss {:.3}, spread {:.2}", event.epoch, event.loss, event.health.spread);
    }

    fn warning(&mut self, warning: &Warning) {
        println!("{warning}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (known, test) = split::fraction(&digits, 0.8, 0)?;
    let (known, test) = (digits.select(&known), digits.select(&test));
    // Mild views: a mirrored digit is none, and a small window of 8 x 8 pixels shows nothing.
    let view = Recipe {
        crop: Some(RandomResizedCrop { scale: (0.6, 1.0), ..RandomResizedCrop::default() }),
        jitter: Some(ColorJitter { brightness: 0.4, contrast: 0.4, ..ColorJitter::default() }),
        ..Recipe::none()
    };
    let augmenter = Augmenter::new(&[view.clone(), view], Normalization::of(&known.inputs), 0)?;
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 32 };
    let report = |name: &str, encoder: &Encoder| -> Result<(), Box<dyn Error>> {
        let [gallery, queries] = [&known, &test].map(|data| embed(encoder, data, &augmenter, &device));
        let votes = KnnConfig { k: 20, ..KnnConfig::default() };
        let found = knn((&gallery, known.labels()?), (&queries, test.labels()?), &votes)?;
        println!("accuracy of 20 neighbours, {name}: {:.3}", found.accuracy);
        Ok(())
    };

    let encoder = config.init(known.shape(), 0, &device)?;
    report("untrained", &encoder)?;
    let method = SimClr { hidden: 64, output: 32, ..SimClr::default() };
    method.validate()?;
    let epoch = known.len() / 128;
    let optimizer = OptimizerConfig { learning_rate: 3e-3, ..OptimizerConfig::default() };
    let run = TrainConfig {
        batch: 128,
        passes: Passes::Whole,
        steps: 10 * epoch,
        steps_per_epoch: epoch,
        seed: 0,
        optimizer,
        checkpoints: None,
    };
    let data = TrainData { dataset: &known, augmenter: &augmenter };
    let trained = train(&method, encoder, config.features(), data, &run, &device, &mut Printer)?;
    report("trained", method.encoder(&trained.model))
}
