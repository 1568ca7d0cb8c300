//! A training step of every encoder on every backend that opens here: forward, backward and SGD.
//!
//! Batch and width are small, so that the whole run takes minutes even on a software GPU. The binary of the same name
//! times the published sizes.

#![recursion_limit = "256"]

use benches::{TrainStep, cpu_backends};
use burn::tensor::{Device, Tensor};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use nearfar_core::{
    backend::Backend,
    data::Shape,
    encoder::{Architecture, EncoderConfig},
};
use std::time::Duration;

const BATCH: usize = 16;
const WIDTH: usize = 32;
const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };
/// Steps before criterion's own warm-up: a GPU compiles and tunes its kernels in them.
const WARM_UP: usize = 3;

/// The CPU backends, and wgpu if it finds an adapter.
fn backends() -> Vec<(Backend, Device)> {
    let mut opened = cpu_backends().expect("the benches are built with both CPU backends");
    match Backend::Wgpu.open() {
        Ok(gpu) => opened.push(gpu),
        Err(error) => eprintln!("wgpu is left out: {error}"),
    }
    opened
}

fn warm(architecture: Architecture, device: &Device) -> TrainStep {
    let config = EncoderConfig { architecture, width: WIDTH };
    let mut step = TrainStep::new(config, SHAPE, BATCH, device).expect("the images are large enough");
    for _ in 0..WARM_UP {
        finished(&mut step, device);
    }
    step
}

fn finished(step: &mut TrainStep, device: &Device) -> Tensor<1> {
    let loss = step.run();
    device.sync().expect("the device finishes its work");
    loss
}

fn train_step(c: &mut Criterion) {
    let backends = backends();
    for architecture in Architecture::ALL {
        let mut group = c.benchmark_group(format!("train_step/{architecture}/b{BATCH}_w{WIDTH}"));
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(BATCH as u64));
        for (backend, device) in &backends {
            // Built at first use: a filter on the command line skips the warm-up of what it leaves out.
            let mut step = None;
            group.bench_function(backend.to_string(), |b| {
                let step = step.get_or_insert_with(|| warm(architecture, device));
                b.iter(|| finished(step, device));
            });
        }
        group.finish();
    }
}

fn config() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10))
}

criterion_group! { name = groups; config = config(); targets = train_step }
criterion_main!(groups);
