//! Small networks and batches, and a look inside modules.

use super::values;
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};
use nearfar_core::{
    data::Shape,
    encoder::{Architecture, Encoder, EncoderConfig},
    train::{Batch, Progress},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Features of the encoder.
pub const WIDTH: usize = 4;
/// Outputs of the heads.
pub const OUTPUT: usize = 4;
/// Images of a batch.
pub const IMAGES: usize = 6;
/// Steps of a run.
pub const STEPS: usize = 10;
/// Seed of encoders and heads.
pub const SEED: u64 = 3;

/// A small encoder, always the same.
pub fn encoder(device: &Device) -> Encoder {
    let shape = Shape { channels: 1, height: 8, width: 8 };
    EncoderConfig { architecture: Architecture::Conv4, width: WIDTH }.init(shape, SEED, device).unwrap()
}

/// Views of random images; every second one is brighter and has more contrast, so that their statistics differ.
pub fn batch_of(views: usize, images: usize, seed: u64, device: &Device) -> Batch {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut view = |brightness: f32| {
        let pixels: Vec<f32> =
            (0..images * 64).map(|_| brightness + (1.0 + 2.0 * brightness) * rng.random_range(-1.0..1.0f32)).collect();
        Tensor::<4>::from_data(TensorData::new(pixels, [images, 1, 8, 8]), device)
    };
    let views = (0..views).map(|v| view((v % 2) as f32)).collect();
    Batch { views, labels: Vec::new(), indices: (0..images).collect() }
}

/// Two views.
pub fn batch(images: usize, seed: u64, device: &Device) -> Batch {
    batch_of(2, images, seed, device)
}

/// A step of a run.
pub fn at(step: usize) -> Progress {
    Progress { step, steps: STEPS, seed: SEED }
}

/// A parameter or a running statistic of a module.
pub struct Entry {
    /// Names of the fields on the way, joined by dots.
    pub path: String,
    /// Its id.
    pub id: ParamId,
    /// Whether it wants a gradient.
    pub trained: bool,
    /// Whether it is in a graph.
    pub tracked: bool,
    /// Its numbers.
    pub values: Vec<f32>,
}

impl Entry {
    /// Whether it is a running mean or variance.
    pub fn is_statistic(&self) -> bool {
        self.path.contains("running_")
    }
}

#[derive(Default)]
struct Inspect {
    path: Vec<String>,
    entries: Vec<Entry>,
}

impl ModuleVisitor for Inspect {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.entries.push(Entry {
            path: self.path.join("."),
            id: param.id,
            trained: param.is_require_grad(),
            tracked: param.val().is_tracked(),
            values: values(param.val()),
        });
    }
}

/// Everything in `module`, in the order of its fields.
pub fn inspect<M: Module>(module: &M) -> Vec<Entry> {
    let mut inspect = Inspect::default();
    module.visit(&mut inspect);
    inspect.entries
}

/// The parameters of `module` without its running statistics.
pub fn parameters<M: Module>(module: &M) -> Vec<Entry> {
    inspect(module).into_iter().filter(|e| !e.is_statistic()).collect()
}

/// The running statistics of `module`, one after the other. Its validation copy has the newest.
pub fn statistics<M: Module>(module: &M) -> Vec<f32> {
    inspect(&module.valid()).into_iter().filter(Entry::is_statistic).flat_map(|e| e.values).collect()
}
