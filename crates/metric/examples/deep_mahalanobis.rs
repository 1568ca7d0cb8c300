//! A Mahalanobis distance on top of an encoder, trained together in the training loop, and used apart from it.
//!
//! ```text
//! cargo run --example deep_mahalanobis
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use metric::{mahalanobis::Mahalanobis, methods::DeepMahalanobis};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{catalog, split},
    encoder::{Architecture, EncoderConfig},
    matrix::Matrix,
    optim::OptimizerConfig,
    train::{Method, Passes, TrainConfig, TrainData, embed::embed, train},
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (known, test) = split::fraction(&digits, 0.8, 0).map(|(a, b)| (digits.select(&a), digits.select(&b)))?;
    let augmenter = Augmenter::new(&[Recipe::none()], Normalization::of(&known.inputs), 0)?;
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 32 };
    let report = |name: &str, rows: &Matrix| -> Result<(), Box<dyn Error>> {
        let found = retrieval(rows, test.labels()?, None, Distance::Euclidean, &[1])?;
        println!("{name:<30} {:>8.3} {:>8.3}", found.recall_at[0].1, found.map_at_r);
        Ok(())
    };
    println!("{:<30} {:>8} {:>8}", "on images held out", "recall@1", "MAP@R");
    let encoder = config.init(known.shape(), 0, &device)?;
    report("untrained encoder", &embed(&encoder, &test, &augmenter, &device))?;

    let method = DeepMahalanobis { penalty: 1e-4, images_per_class: 8, ..DeepMahalanobis::default() };
    method.validate()?;
    let optimizer = OptimizerConfig { learning_rate: 3e-3, ..OptimizerConfig::default() };
    let run = TrainConfig {
        batch: 64,
        passes: Passes::Whole,
        steps: 150,
        steps_per_epoch: 50,
        seed: 0,
        optimizer,
        checkpoints: None,
    };
    let data = TrainData { dataset: &known, augmenter: &augmenter };
    let trained = train(&method, encoder, config.features(), data, &run, &device, &mut ())?;

    let features = embed(method.encoder(&trained.model), &test, &augmenter, &device);
    report("encoder, Euclidean distance", &features)?;
    let map = method.components(&trained.model).ok_or("the method learns a map")?; // L, [32, 32]
    let distance = Mahalanobis::new(map.try_into_vec_as::<f64>()?, config.features())?;
    report("encoder, learnt distance", &distance.transform(&features)?)?;

    let matrix = distance.matrix(); // M = L^T L
    let diagonal = (0..config.features()).map(|i| matrix[i * config.features() + i]);
    let (least, most) = diagonal.fold((f64::INFINITY, 0.0), |(least, most), m| (m.min(least), m.max(most)));
    println!("features weigh between {least:.2} and {most:.2}; at the start each weighs 1");
    Ok(())
}
