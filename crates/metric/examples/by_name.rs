//! Any loss and miner by name in the training loop, with default settings.
//!
//! ```text
//! cargo run --example by_name
//! cargo run --example by_name -- circle proxy_anchor triplet_margin+distance_weighted
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use metric::methods::{LossSettings, LossTraining, MinerSettings};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{catalog, split},
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{Method, Passes, TrainConfig, TrainData, embed::embed, train},
};
use nearfar_eval::{Distance, retrieval};
use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let mut names: Vec<String> = env::args().skip(1).collect();
    if names.is_empty() {
        names = ["contrastive", "multi_similarity+multi_similarity", "circle", "arcface"].map(String::from).into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (known, test) = split::fraction(&digits, 0.8, 0).map(|(a, b)| (digits.select(&a), digits.select(&b)))?;
    let augmenter = Augmenter::new(&[Recipe::none()], Normalization::of(&known.inputs), 0)?;
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 32 };
    let optimizer = OptimizerConfig { learning_rate: 3e-3, ..OptimizerConfig::default() };
    let run = TrainConfig {
        batch: 64,
        passes: Passes::Whole,
        steps: 100,
        steps_per_epoch: 25,
        seed: 0,
        optimizer,
        checkpoints: None,
    };

    println!("{:<36} {:>16} {:>9} {:>7} {:>8}", "loss+miner", "loss, first last", "recall@1", "MAP@R", "seconds");
    for name in names {
        let (loss, miner) = name.split_once('+').map_or((&name[..], None), |(loss, miner)| (loss, Some(miner)));
        let miner = miner.map(MinerSettings::parse).transpose()?;
        let settings = LossTraining { miner, ..LossTraining::new(LossSettings::parse(loss)?) };
        let method = settings.method(known.class_names.len())?;
        let encoder = config.init(known.shape(), 0, &device)?;
        let data = TrainData { dataset: &known, augmenter: &augmenter };
        let trained = train(&method, encoder, config.features(), data, &run, &device, &mut ())?;

        let features = embed(method.encoder(&trained.model), &test, &augmenter, &device);
        let found = retrieval(&features, test.labels()?, None, Distance::Cosine, &[1])?;
        let losses = format!("{:.3} {:.3}", trained.losses[0], trained.losses[trained.losses.len() - 1]);
        let (recall, map, seconds) = (found.recall_at[0].1, found.map_at_r, trained.time.as_secs_f64());
        println!("{name:<36} {losses:>16} {recall:>9.3} {map:>7.3} {seconds:>8.1}");
    }
    Ok(())
}
