//! Reference values of the Python originals, for tests.

use nearfar_core::matrix::Matrix;
use serde_json::Value;

/// The folder of the values that ship.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");

/// The golden file `name`, from `GOLDEN_DIR` or the workspace's `fixtures/golden`.
pub(crate) fn golden(name: &str) -> Value {
    let folder = std::env::var("GOLDEN_DIR").unwrap_or_else(|_| SHIPPED.to_owned());
    read(&format!("{folder}/{name}"))
}

/// Statistics of scipy and statsmodels.
pub(crate) fn statistics() -> Value {
    of_own_script("stats.json")
}

/// Moderated variances of limma.
pub(crate) fn variances() -> Value {
    of_own_script("variances.json")
}

/// t-SNE of scikit-learn.
pub(crate) fn map_of_rows() -> Value {
    of_own_script("tsne.json")
}

/// A file that a script of its own makes: a `GOLDEN_DIR` without it leaves the workspace's in force.
fn of_own_script(name: &str) -> Value {
    let other = std::env::var("GOLDEN_DIR").map(|folder| format!("{folder}/{name}")).ok();
    let other = other.filter(|path| std::path::Path::new(path).exists());
    read(&other.unwrap_or_else(|| format!("{SHIPPED}/{name}")))
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("cannot parse {path}: {error}"))
}

/// A list of equally long rows.
pub(crate) fn matrix(value: &Value) -> Matrix {
    let rows = value.as_array().expect("a list of rows");
    let data: Vec<f32> = rows
        .iter()
        .flat_map(|row| row.as_array().expect("a row"))
        .map(|v| v.as_f64().expect("a number") as f32)
        .collect();
    Matrix::new(data.clone(), rows.len(), data.len() / rows.len()).expect("rows of equal length")
}

/// A list of class indices.
pub(crate) fn labels(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a class index") as usize).collect()
}

/// A matrix from rows written out.
pub(crate) fn from_rows<const D: usize>(rows: &[[f32; D]]) -> Matrix {
    Matrix::new(rows.concat(), rows.len(), D).expect("rows of equal length")
}

/// Three well separated blobs of `per_class` rows in `cols` dimensions, with classes 4, 5 and 9.
pub(crate) fn blobs(per_class: usize, cols: usize, spread: f32) -> (Matrix, Vec<usize>) {
    let labels: Vec<usize> = (0..3 * per_class).map(|i| [4, 5, 9][i % 3]).collect();
    let features = Matrix::from_fn(3 * per_class, cols, |i, j| {
        let center = if j % 3 == i % 3 { 2.0 } else { 0.0 };
        center + spread * noise(i * cols + j)
    });
    (features, labels)
}

/// A fixed value in `[-1, 1)` for each index, without structure.
pub(crate) fn noise(index: usize) -> f32 {
    // SplitMix64's output function (Steele, Lea, Flood 2014).
    let mut z = (index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}
