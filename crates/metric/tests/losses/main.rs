//! Losses over tuples: reference values, worked values, laws, derivatives, wrappers.

#![recursion_limit = "256"] // Burn's types nest deeply

mod derivatives;
mod goldens;
mod laws;
mod originals;
mod worked;
mod wrappers;

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance, Pairwise, Tuples,
    losses::{DynamicSoftMargin, GapHistogram, PairLoss},
};
use nearfar_core::backend::Backend;
use serde::Deserialize;
use std::{collections::HashMap, path::PathBuf};

/// One embedding a row.
type Rows = Vec<Vec<f64>>;

const EUCLIDEAN: Distance = Distance::Euclidean { normalized: true, squared: false };
const SQUARED: Distance = Distance::Euclidean { normalized: true, squared: true };
const UNNORMALIZED: Distance = Distance::Euclidean { normalized: false, squared: false };

/// What pytorch-metric-learning computed in f64 from fixed embeddings; other values are taken from a folder
/// `GOLDEN_DIR`. No hinge of the fixture lies within 2e-5 of its kink, so that f32 finds the same active tuples.
#[derive(Deserialize)]
struct Fixture {
    embeddings: Rows,
    labels: Vec<usize>,
    class_weights: Rows,
    losses: HashMap<String, Golden>,
    miners: HashMap<String, Mined>,
    reference: Reference,
    cross_batch_memory: Memory,
}

/// A separate set that the embeddings are compared with.
#[derive(Deserialize)]
struct Reference {
    embeddings: Rows,
    labels: Vec<usize>,
    losses: HashMap<String, Golden>,
}

/// Batches through a cross-batch memory with the contrastive loss.
#[derive(Deserialize)]
struct Memory {
    memory_size: usize,
    batches: Vec<MemoryBatch>,
}

#[derive(Deserialize)]
struct MemoryBatch {
    embeddings: Rows,
    labels: Vec<usize>,
    #[serde(flatten)]
    golden: Golden,
}

/// A loss and its gradient with respect to the embeddings.
#[derive(Deserialize)]
struct Golden {
    value: f64,
    grad: Rows,
}

/// What a miner found, of whichever kind.
#[derive(Deserialize)]
struct Mined {
    #[serde(default)]
    triplets: Vec<(u32, u32, u32)>,
    #[serde(default)]
    positive_pairs: Vec<(u32, u32)>,
    #[serde(default)]
    negative_pairs: Vec<(u32, u32)>,
}

impl Fixture {
    fn read() -> Self {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
        let path = std::env::var_os("GOLDEN_DIR").map_or_else(|| PathBuf::from(shipped), PathBuf::from);
        let path = path.join("metric.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

impl Golden {
    /// The value to 1e-5 of itself, the gradient to 1e-4 of its largest entry.
    fn check(&self, name: &str, (value, gradient): (f32, Vec<f32>)) {
        check_value(name, value, self.value);
        let wanted = self.grad.concat();
        assert_eq!(gradient.len(), wanted.len(), "{name}: entries of the gradient");
        let largest = wanted.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        for (i, (got, wanted)) in gradient.iter().zip(&wanted).enumerate() {
            let off = (f64::from(*got) - wanted).abs();
            assert!(off <= 1e-4 * largest, "{name}: entry {i} of the gradient is {got} instead of {wanted}");
        }
    }
}

fn check_value(name: &str, got: f32, wanted: f64) {
    assert!((f64::from(got) - wanted).abs() <= 1e-5 * wanted.abs(), "{name} is {got} instead of {wanted}");
}

/// A loss and the distance it is taken on.
#[derive(Debug)]
struct Case {
    distance: Distance,
    loss: Box<dyn PairLoss>,
}

impl Case {
    fn new(distance: Distance, loss: impl PairLoss + 'static) -> Self {
        Self { distance, loss: Box::new(loss) }
    }

    /// On the loss's own distance.
    fn own(loss: impl PairLoss + 'static) -> Self {
        Self { distance: loss.default_distance(), loss: Box::new(loss) }
    }

    /// The loss `[1]` over every tuple of the batch.
    fn of(&self, x: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        self.over(x, labels, None, None)
    }

    fn over(
        &self,
        x: Tensor<2>,
        labels: &[usize],
        references: Option<(Tensor<2>, &[usize])>,
        tuples: Option<&Tuples>,
    ) -> Tensor<1> {
        let on = Pairwise::new(self.distance, x, labels, references).unwrap();
        self.loss.forward(&on, tuples).unwrap()
    }
}

/// The dynamic soft margin loss of one batch, its first.
fn first_dynamic_soft_margin(x: Tensor<2>, labels: &[usize]) -> Tensor<1> {
    let on = Pairwise::new(EUCLIDEAN, x, labels, None).unwrap();
    DynamicSoftMargin::default().forward(&on, None, &mut GapHistogram::default()).unwrap()
}

/// Both CPU backends, with autodiff.
#[allow(deprecated)] // Burn recommends Flex; this project keeps NdArray beside it.
fn devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::ndarray().autodiff()]
}

/// The wgpu backend on whatever adapter there is: a software one will do. Without any it says so; with
/// `NEARFAR_REQUIRE_WGPU` set it fails instead.
fn wgpu() -> Option<Device> {
    match Backend::Wgpu.open() {
        Ok((_, device)) => Some(device.autodiff()),
        Err(error) if std::env::var_os("NEARFAR_REQUIRE_WGPU").is_none() => {
            eprintln!("no wgpu adapter here, nothing compared: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// `rows` as a tensor `[n, d]`.
fn tensor(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows.iter().flatten().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len()]), device)
}

/// The loss of `rows` and its gradient, row after row.
fn evaluate(rows: &[Vec<f64>], device: &Device, loss: impl FnOnce(Tensor<2>) -> Tensor<1>) -> (f32, Vec<f32>) {
    let embeddings = tensor(rows, device).require_grad();
    let loss = loss(embeddings.clone());
    let gradient = embeddings.grad(&loss.backward()).expect("a loss keeps its graph");
    (loss.into_scalar::<f32>(), gradient.try_into_vec_as::<f32>().unwrap())
}
