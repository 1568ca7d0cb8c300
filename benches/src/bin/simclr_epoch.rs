//! Times a whole epoch of SimCLR in the workspace's training loop and prints one line of JSON.
//!
//! `benches/peers/simclr_epoch.py` does the same work in PyTorch and lightly: the first 10,000 training images of
//! Fashion-MNIST, two views of each by the peers' recipe, conv4 and a projector to 128, NT-Xent at temperature 0.2,
//! AdamW at 1e-3; batches of 256, so 39 steps. Networks and the thread that makes the batches are set up within the
//! epoch. An epoch of one step goes before, untimed. The number of CPU threads is set with `RAYON_NUM_THREADS`.

#![recursion_limit = "256"]

use anyhow::{Context, ensure};
use benches::timer::{accept, median, positive, run_program, time_rounds};
use burn::tensor::Device;
use clap::Parser;
use contrastive::SimClr;
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    backend::Backend,
    data::{Dataset, catalog},
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{Passes, TrainConfig, TrainData, train},
};
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

/// Seed of weights, order and views.
const SEED: u64 = 0;

/// Times a whole epoch of SimCLR on Fashion-MNIST and prints one line of JSON.
#[derive(Parser)]
#[command(name = "simclr_epoch")]
struct Args {
    /// auto, flex, ndarray or wgpu
    #[arg(long, default_value_t = Backend::Flex)]
    backend: Backend,
    /// Training images
    #[arg(long, default_value_t = 10_000, value_parser = positive())]
    images: usize,
    /// Images a step
    #[arg(long, default_value_t = 256, value_parser = positive())]
    batch: usize,
    /// Width of conv4
    #[arg(long, default_value_t = 64, value_parser = positive())]
    width: usize,
    /// Timed epochs, each from the start
    #[arg(long, default_value_t = 7, value_parser = positive())]
    rounds: usize,
    /// Folder of the data that ship
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../datasets"))]
    datasets: PathBuf,
}

impl Args {
    fn check(&self) -> Result<(), String> {
        if self.batch > self.images {
            return Err(format!("--batch {} is more than there are --images, {}", self.batch, self.images));
        }
        Ok(())
    }

    fn steps(&self) -> usize {
        self.images / self.batch
    }
}

fn main() -> ExitCode {
    run_program(|| run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    accept::<Args, _>(args.check());
    let (backend, device) = accept::<Args, _>(args.backend.open());
    let work = Work::new(args, device.autodiff())?;
    work.train(1)?;
    let (seconds, loss) = time_rounds(args.rounds, || work.train(args.steps()))?;
    let line = json!({
        "work": "simclr.epoch",
        "backend": backend.to_string(),
        "seconds": median(&seconds),
        "rounds": args.rounds,
        "loss": loss,
        "images": args.images,
        "batch": args.batch,
        "steps": args.steps(),
        "threads": rayon::current_num_threads(),
    });
    println!("{line}");
    Ok(())
}

/// Everything that is at hand before an epoch begins.
struct Work {
    dataset: Dataset,
    augmenter: Augmenter,
    encoder: EncoderConfig,
    batch: usize,
    device: Device,
}

impl Work {
    fn new(args: &Args, device: Device) -> anyhow::Result<Self> {
        let source = catalog::open("fashion_mnist", &args.datasets, &catalog::Options::default())?;
        let there = source.train.len();
        ensure!(args.images <= there, "--images {} is more than the {there} of fashion_mnist", args.images);
        let dataset = source.train.select(&(0..args.images).collect::<Vec<_>>());
        let recipes = [Recipe::peers(), Recipe::peers()];
        let augmenter = Augmenter::new(&recipes, Normalization::of(&dataset.inputs), SEED)?;
        augmenter.check(&dataset.inputs)?;
        let encoder = EncoderConfig { architecture: Architecture::Conv4, width: args.width };
        Ok(Self { dataset, augmenter, encoder, batch: args.batch, device })
    }

    /// Trains new networks for `steps` steps; the mean loss of the last epoch.
    fn train(&self, steps: usize) -> anyhow::Result<f64> {
        let encoder = self.encoder.init(self.dataset.shape(), SEED, &self.device)?;
        let data = TrainData { dataset: &self.dataset, augmenter: &self.augmenter };
        // AdamW at 1e-3 with decay 1e-4.
        let optimizer = OptimizerConfig::default();
        let config = TrainConfig {
            batch: self.batch,
            passes: Passes::Whole,
            steps,
            steps_per_epoch: steps,
            seed: SEED,
            optimizer,
            checkpoints: None,
        };
        let features = self.encoder.features();
        let trained = train(&SimClr::default(), encoder, features, data, &config, &self.device, &mut ())?;
        trained.losses.last().copied().context("the run had no epoch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_default_epoch_has_39_steps() {
        let args = Args::parse_from(["simclr_epoch"]);
        assert_eq!(args.steps(), 39);
        assert!(args.check().is_ok());
        assert!(Args::parse_from(["simclr_epoch", "--batch", "9", "--images", "8"]).check().is_err());
    }
}
