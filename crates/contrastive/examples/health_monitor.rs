//! Embeddings watched while they train: SimCLR, and TiCo without the term that keeps images apart, which must collapse.
//!
//! ```text
//! cargo run --example health_monitor
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use contrastive::{SimClr, TiCo};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{Dataset, catalog},
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{EpochEvent, Method, Observer, Passes, TrainConfig, TrainData, Warning, train},
};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    watch(&SimClr { hidden: 64, output: 32, ..SimClr::default() }, &digits)?;
    watch(&TiCo { rho: 0.0, momentum: 0.9, hidden: 64, output: 32, ..TiCo::default() }, &digits)
}

fn watch<M: Method>(method: &M, digits: &Dataset) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe { pad_crop: Some(1), ..Recipe::none() };
    let augmenter = Augmenter::new(&[recipe.clone(), recipe], Normalization::of(&digits.inputs), 0)?;
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 32 };
    let encoder = config.init(digits.shape(), 0, &device)?;
    let optimizer = OptimizerConfig { learning_rate: 1e-2, ..OptimizerConfig::default() };
    let passes = Passes::Whole;
    let run =
        TrainConfig { batch: 128, passes, steps: 112, steps_per_epoch: 14, seed: 0, optimizer, checkpoints: None };
    let data = TrainData { dataset: digits, augmenter: &augmenter };
    println!("\n{}\nepoch     loss  spread  dimensions  uniformity  cosine: same image  other image", method.name());
    let trained = train(method, encoder, config.features(), data, &run, &device, &mut Monitor)?;
    if let Some(share) = trained.health.pairs.and_then(|pairs| pairs.false_negatives) {
        println!("{:.0} % of the pairs of other images show the same digit", 100.0 * share);
    }
    Ok(())
}

struct Monitor;

impl Observer for Monitor {
    fn epoch(&mut self, event: &EpochEvent) {
        let (health, pairs) = (event.health, event.health.pairs.unwrap_or_default());
        print!("{:>5} {:>8.3} {:>7.3} {:>11.1}", event.epoch, event.loss, health.spread, health.dimensions);
        println!(" {:>11.2} {:>19.3} {:>12.3}", health.uniformity, pairs.positive, pairs.negative);
    }

    /// Once for each kind of trouble: what is wrong, since when, the likely cause, and the setting to change.
    fn warning(&mut self, warning: &Warning) {
        println!("{warning}");
    }
}
