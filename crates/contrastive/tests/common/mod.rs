//! What the test files of this crate share.

#![allow(dead_code)] // every test file uses its part

pub mod networks;

use burn::tensor::{Device, Tensor, TensorData};

/// One embedding a row.
pub type Rows = Vec<Vec<f32>>;

/// Both CPU backends, with autodiff.
#[allow(deprecated)] // Burn recommends Flex; this project keeps NdArray beside it.
pub fn devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::ndarray().autodiff()]
}

/// The numbers of a tensor, row after row.
pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.try_into_vec_as::<f32>().unwrap()
}

/// Fails unless all entries differ by at most `tolerance` times the largest wanted one.
pub fn assert_close(what: &str, got: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(got.len(), wanted.len(), "{what}: number of entries");
    let largest = wanted.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert!((got - wanted).abs() <= tolerance * largest, "{what}: entry {i} is {got} instead of {wanted}");
    }
}

/// `rows` as a tensor `[n, d]`.
pub fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), rows[0].len()]), device)
}

/// Fails unless the loss has this value to 1e-5 of it.
pub fn check(what: &str, loss: Tensor<1>, wanted: f64) {
    assert_close(what, &values(loss), &[wanted as f32], 1e-5);
}
