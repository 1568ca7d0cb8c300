//! Losses with class weights and regularisers: reference values, laws, gradients, refusals.

mod goldens;
mod laws;
mod regularizers;

use burn::tensor::{Device, Tensor, TensorData};
use nearfar_core::backend::Backend;
use serde::Deserialize;
use std::{collections::HashMap, path::PathBuf};

/// One embedding or one class weight a row.
type Rows = Vec<Vec<f64>>;

/// What pytorch-metric-learning computed in f64; other values are taken from a folder `GOLDEN_DIR`.
#[derive(Deserialize)]
struct Fixture {
    embeddings: Rows,
    labels: Vec<usize>,
    class_weights: Rows,
    /// `[d, classes * 3]`.
    soft_triple_centers: Rows,
    losses: HashMap<String, Golden>,
}

/// A loss and its gradient with respect to the embeddings.
#[derive(Deserialize)]
struct Golden {
    value: f64,
    grad: Rows,
}

impl Fixture {
    fn read() -> Self {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
        let path = std::env::var_os("GOLDEN_DIR").map_or_else(|| PathBuf::from(shipped), PathBuf::from);
        let path = path.join("metric.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The centres of a class one below the other, `[classes * 3, d]`.
    fn centers(&self) -> Rows {
        let columns = self.soft_triple_centers[0].len();
        (0..columns).map(|c| self.soft_triple_centers.iter().map(|row| row[c]).collect()).collect()
    }
}

/// The value to 1e-5 of itself.
fn check_value(name: &str, got: f32, wanted: f64) {
    assert!((f64::from(got) - wanted).abs() <= 1e-5 * wanted.abs(), "{name} is {got} instead of {wanted}");
}

/// Every entry to 1e-4 of the largest.
fn check_gradient(name: &str, got: &[f32], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len(), "{name}: entries of the gradient");
    let largest = wanted.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let off = (f64::from(*got) - wanted).abs();
        assert!(off <= 1e-4 * largest, "{name}: entry {i} of the gradient is {got} instead of {wanted}");
    }
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

fn tensor(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows.iter().flatten().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows[0].len()]), device)
}

/// The value of `f` at `rows` and its gradient, row after row.
fn evaluate(rows: &[Vec<f64>], device: &Device, f: impl FnOnce(Tensor<2>) -> Tensor<1>) -> (f32, Vec<f32>) {
    let x = tensor(rows, device).require_grad();
    let value = f(x.clone());
    let gradient = x.grad(&value.backward()).expect("a loss keeps its graph");
    (value.into_scalar::<f32>(), gradient.try_into_vec_as::<f32>().unwrap())
}

/// Unit vectors at these angles in degrees.
fn fan(degrees: &[f64]) -> Rows {
    degrees.iter().map(|d| vec![d.to_radians().cos(), d.to_radians().sin()]).collect()
}
