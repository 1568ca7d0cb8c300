//! Times the training step (or the forward pass) of an encoder and prints one line of JSON.
//!
//! `benches/peers/train_step.py` does the same work in PyTorch and prints the same line, with `peer` for `backend`. The
//! number of CPU threads is set with `RAYON_NUM_THREADS`.

#![recursion_limit = "256"]

use anyhow::{anyhow, ensure};
use benches::{
    Inference, TrainStep,
    timer::{accept, median, positive, run_program},
};
use burn::tensor::{Device, Tensor};
use clap::Parser;
use nearfar_core::{
    backend::Backend,
    data::Shape,
    encoder::{Architecture, EncoderConfig},
};
use serde_json::{Value, json};
use std::{iter::repeat_n, process::ExitCode, time::Instant};

/// Times the training step of an encoder and prints one line of JSON.
#[derive(Parser)]
#[command(name = "train_step")]
struct Args {
    /// conv4, resnet9, resnet18 or mlp
    #[arg(long)]
    encoder: Architecture,
    /// Images a step
    #[arg(long, value_parser = positive())]
    batch: usize,
    /// Steps that are timed
    #[arg(long, value_parser = positive())]
    steps: usize,
    /// auto, flex, ndarray or wgpu
    #[arg(long)]
    backend: Backend,
    /// Width of the encoder
    #[arg(long, default_value_t = 64, value_parser = positive())]
    width: usize,
    /// Height and width of the images
    #[arg(long, default_value_t = 32, value_parser = positive())]
    size: usize,
    /// Channels of the images
    #[arg(long, default_value_t = 3, value_parser = positive())]
    channels: usize,
    /// Steps before the first timed one
    #[arg(long, default_value_t = 3)]
    warmup: usize,
    /// The forward pass alone, without autodiff, as in evaluation
    #[arg(long)]
    inference: bool,
}

fn main() -> ExitCode {
    run_program(|| run(&Args::parse()).map(|line| println!("{line}")))
}

fn run(args: &Args) -> anyhow::Result<Value> {
    let (backend, device) = accept::<Args, _>(args.backend.open());
    let config = EncoderConfig { architecture: args.encoder, width: args.width };
    let shape = Shape { channels: args.channels, height: args.size, width: args.size };
    let seconds = if args.inference {
        let work = accept::<Args, _>(Inference::new(config, shape, args.batch, &device));
        time_steps(args, &device, || work.run())?
    } else {
        let mut work = accept::<Args, _>(TrainStep::new(config, shape, args.batch, &device));
        time_steps(args, &device, || work.run())?
    };
    Ok(report(args, backend, &seconds))
}

/// Seconds of every timed step. A step is over when the device has done its work.
fn time_steps<const D: usize>(
    args: &Args,
    device: &Device,
    mut work: impl FnMut() -> Tensor<D>,
) -> anyhow::Result<Vec<f64>> {
    let mut seconds = Vec::new();
    let mut last = None;
    for timed in repeat_n(false, args.warmup).chain(repeat_n(true, args.steps)) {
        let start = Instant::now();
        let result = work();
        device.sync().map_err(|error| anyhow!("the {} device failed in a step: {error}", args.backend))?;
        let elapsed = start.elapsed().as_secs_f64();
        if timed {
            seconds.push(elapsed);
        }
        last = Some(result);
    }
    let values = last.expect("there is at least one step").try_into_vec_as::<f32>();
    let values = values.map_err(|error| anyhow!("the result could not be read from the device: {error:?}"))?;
    let finite = values.iter().all(|value| value.is_finite());
    ensure!(finite, "the last step's result is not finite, so its time means nothing: use more images or fewer steps");
    Ok(seconds)
}

fn report(args: &Args, backend: Backend, seconds: &[f64]) -> Value {
    let images = args.batch as f64;
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let middle = median(seconds);
    let mode = if args.inference { "inference" } else { "train" };
    json!({
        "work": format!("{}.{mode}", args.encoder),
        "backend": backend.to_string(),
        "seconds": middle,
        "encoder": args.encoder.name(),
        "batch": args.batch,
        "steps": args.steps,
        "median_images_per_s": images / middle,
        "mean_images_per_s": images / mean,
        "min_step_ms": 1e3 * least,
        "median_step_ms": 1e3 * middle,
        "threads": rayon::current_num_threads(),
    })
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
    fn the_report_is_in_images_and_milliseconds() {
        let args = ["train_step", "--encoder", "conv4", "--batch", "10", "--steps", "4", "--backend", "flex"];
        let line = report(&Args::parse_from(args), Backend::Flex, &[0.5, 2.0, 0.25, 0.5]);
        assert_eq!(line["work"], "conv4.train");
        assert_eq!(line["seconds"], 0.5);
        assert_eq!(line["median_images_per_s"], 20.0);
        assert_eq!(line["min_step_ms"], 250.0);
        assert_eq!(line["median_step_ms"], 500.0);
        assert_eq!(line["mean_images_per_s"], 10.0 / 0.8125);
    }
}
