//! Means and standard deviations of the training data, and the affine maps made of them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::AugmentError;
use crate::data::Inputs;
use crate::matrix::Matrix;

/// What is subtracted and divided by before data enters an encoder: one mean and one standard deviation per channel of
/// an image, in units of `[0, 1]` pixels, or per column of rows, in the column's own units.
///
/// Take it from the training part alone; test data must not leak into it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Means, finite.
    pub mean: Vec<f32>,
    /// Population standard deviations, finite and above 0; 1 for a constant channel or column.
    pub std: Vec<f32>,
}

impl Normalization {
    /// Statistics of all of `inputs`; of no items at all, mean 0 and standard deviation 1.
    ///
    /// Pixels are summed as integers, so images give the exact mean and variance, rounded once.
    pub fn of(inputs: &Inputs) -> Self {
        let items = match inputs {
            Inputs::Images { pixels, channels, height, width } => pixels.len() / (channels * height * width).max(1),
            Inputs::Rows(rows) => rows.rows(),
        };
        Self::of_items(inputs, &(0..items).collect::<Vec<_>>())
    }

    /// Statistics of the items `indices` of `inputs`: of a training part kept as indices into a larger set. An index
    /// that repeats counts each time.
    ///
    /// # Panics
    /// When an index is not an item.
    pub fn of_items(inputs: &Inputs, indices: &[usize]) -> Self {
        match inputs {
            Inputs::Images { pixels, channels, height, width } => of_images(pixels, *channels, height * width, indices),
            Inputs::Rows(rows) => of_rows(rows, indices),
        }
    }

    /// Checks that the statistics can normalise.
    ///
    /// # Errors
    /// [`AugmentError::StatisticsLength`] when means and standard deviations do not pair up,
    /// [`AugmentError::Statistic`] when a mean is not finite or a standard deviation is not finite and positive.
    pub fn validate(&self) -> Result<(), AugmentError> {
        if self.mean.len() != self.std.len() {
            return Err(AugmentError::StatisticsLength { means: self.mean.len(), stds: self.std.len() });
        }
        check_statistic("mean", &self.mean, f32::is_finite, "finite numbers")?;
        check_statistic("std", &self.std, is_spread, "finite numbers above 0")
    }
}

fn check_statistic(
    statistic: &'static str,
    values: &[f32],
    ok: fn(f32) -> bool,
    allowed: &'static str,
) -> Result<(), AugmentError> {
    match values.iter().position(|&value| !ok(value)) {
        None => Ok(()),
        Some(channel) => {
            let value = format!("{:?}", values[channel]);
            Err(AugmentError::Statistic { statistic, channel, value, allowed })
        }
    }
}

fn is_spread(std: f32) -> bool {
    std > 0.0 && std.is_normal()
}

fn of_images(pixels: &[u8], channels: usize, plane: usize, indices: &[usize]) -> Normalization {
    let length = channels * plane;
    let zeros = || vec![(0u64, 0u64); channels];
    // Integer sums are the same in every order, so the split over threads cannot show.
    let totals = indices
        .par_iter()
        .fold(zeros, |mut totals, &index| {
            let image = &pixels[index * length..(index + 1) * length];
            for (total, values) in totals.iter_mut().zip(image.chunks_exact(plane.max(1))) {
                let (sum, squares) = moments(values);
                *total = (total.0 + sum, total.1 + squares);
            }
            totals
        })
        .reduce(zeros, |mut totals, more| {
            for (total, (sum, squares)) in totals.iter_mut().zip(more) {
                *total = (total.0 + sum, total.1 + squares);
            }
            totals
        });
    let count = (plane * indices.len()) as u64;
    let (mean, std) = totals.iter().map(|&total| unit_statistics(total, count)).unzip();
    Normalization { mean, std }
}

/// Sum and sum of squares. Blocks are short enough for 32-bit sums, which vectorise.
fn moments(values: &[u8]) -> (u64, u64) {
    values.chunks(4096).fold((0, 0), |(sum, squares), block| {
        let block_sum: u32 = block.iter().map(|&value| u32::from(value)).sum();
        let block_squares: u32 = block.iter().map(|&value| u32::from(value) * u32::from(value)).sum();
        (sum + u64::from(block_sum), squares + u64::from(block_squares))
    })
}

/// Mean and standard deviation of `count` pixels scaled to `[0, 1]`.
fn unit_statistics((sum, squares): (u64, u64), count: u64) -> (f32, f32) {
    if count == 0 {
        return (0.0, 1.0);
    }
    // count^2 times the variance, without rounding.
    let scatter = u128::from(count) * u128::from(squares) - u128::from(sum) * u128::from(sum);
    let count = count as f64;
    let std = if scatter == 0 { 1.0 } else { (scatter as f64).sqrt() / (count * 255.0) };
    ((sum as f64 / (count * 255.0)) as f32, std as f32)
}

fn of_rows(rows: &Matrix, indices: &[usize]) -> Normalization {
    let columns = rows.cols();
    let Some(&first) = indices.first() else {
        return Normalization { mean: vec![0.0; columns], std: vec![1.0; columns] };
    };
    let count = indices.len() as f64;
    let mut mean = vec![0.0f64; columns];
    for &index in indices {
        for (mean, &value) in mean.iter_mut().zip(rows.row(index)) {
            *mean += f64::from(value);
        }
    }
    mean.iter_mut().for_each(|mean| *mean /= count);
    let mut variance = vec![0.0f64; columns];
    let mut constant = vec![true; columns];
    for &index in indices {
        let row = rows.row(index).iter().zip(rows.row(first));
        for (((variance, constant), mean), (&value, &first)) in
            variance.iter_mut().zip(&mut constant).zip(&mean).zip(row)
        {
            *variance += (f64::from(value) - mean).powi(2);
            *constant &= value == first;
        }
    }
    let std = variance.iter().zip(&constant).map(|(variance, &constant)| {
        let std = (variance / count).sqrt() as f32;
        // A spread below the smallest normal number has no usable inverse: constant for every purpose.
        if constant || std < f32::MIN_POSITIVE { 1.0 } else { std }
    });
    Normalization { std: std.collect(), mean: mean.iter().map(|&mean| mean as f32).collect() }
}

/// `x` becomes `scale * x + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: f32,
    pub(super) shift: f32,
}

/// The maps between pixel bytes, the unit interval that colours are changed in, and normalised values, per channel.
#[derive(Clone, Debug)]
pub(super) struct Scaling {
    /// Bytes to normalised values.
    pub(super) byte_to_normal: Vec<Affine>,
    /// Bytes to `[0, 1]`.
    pub(super) byte_to_unit: Vec<Affine>,
    /// `[0, 1]` to normalised values.
    pub(super) unit_to_normal: Vec<Affine>,
}

impl Scaling {
    pub(super) fn new(normalization: &Normalization) -> Self {
        let affines = |range: f64| {
            let pairs = normalization.mean.iter().zip(&normalization.std);
            pairs
                .map(|(&mean, &std)| Affine {
                    scale: (1.0 / (range * f64::from(std))) as f32,
                    shift: (-f64::from(mean) / f64::from(std)) as f32,
                })
                .collect()
        };
        Self {
            byte_to_normal: affines(255.0),
            byte_to_unit: vec![Affine { scale: 1.0 / 255.0, shift: 0.0 }; normalization.mean.len()],
            unit_to_normal: affines(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: &[f32], right: &[f32]) {
        assert_eq!(left.len(), right.len());
        for (a, b) in left.iter().zip(right) {
            assert!((a - b).abs() <= 1e-6, "{left:?} against {right:?}");
        }
    }

    #[test]
    fn images_by_hand() {
        // Two images of two channels and two pixels; the second channel is constant.
        let inputs = Inputs::Images { pixels: vec![0, 51, 9, 9, 102, 255, 9, 9], channels: 2, height: 1, width: 2 };
        let statistics = Normalization::of(&inputs);
        // 0, 0.2, 0.4, 1: mean 0.4, variance (0.16 + 0.04 + 0 + 0.36) / 4 = 0.14.
        close(&statistics.mean, &[0.4, 9.0 / 255.0]);
        close(&statistics.std, &[0.14f32.sqrt(), 1.0]);
        assert_eq!(statistics.validate(), Ok(()));
        close(&Normalization::of_items(&inputs, &[1]).mean, &[0.7, 9.0 / 255.0]);
    }

    #[test]
    fn long_planes_do_not_overflow() {
        let mut pixels = vec![255u8; 300 * 300];
        pixels[0] = 0;
        let statistics = Normalization::of(&Inputs::Images { pixels, channels: 1, height: 300, width: 300 });
        let count = 90_000.0f32;
        close(&statistics.mean, &[1.0 - 1.0 / count]);
        close(&statistics.std, &[((count - 1.0).sqrt()) / count]);
    }

    #[test]
    fn rows_by_hand() {
        let rows = Matrix::from_fn(3, 2, |i, j| if j == 0 { [1.0, 3.0, 8.0][i] } else { 0.1 });
        let statistics = Normalization::of(&Inputs::Rows(rows));
        // 1, 3, 8: mean 4, variance (9 + 1 + 16) / 3.
        close(&statistics.mean, &[4.0, 0.1]);
        close(&statistics.std, &[(26.0f32 / 3.0).sqrt(), 1.0]);
    }

    #[test]
    fn nothing_normalises_to_itself() {
        let images = Inputs::Images { pixels: Vec::new(), channels: 3, height: 4, width: 4 };
        let identity = |n| Normalization { mean: vec![0.0; n], std: vec![1.0; n] };
        assert_eq!(Normalization::of(&images), identity(3));
        assert_eq!(Normalization::of(&Inputs::Rows(Matrix::zeros(0, 5))), identity(5));
    }

    #[test]
    fn unusable_statistics_are_named() {
        let odd = Normalization { mean: vec![0.0; 2], std: vec![1.0] };
        assert_eq!(odd.validate(), Err(AugmentError::StatisticsLength { means: 2, stds: 1 }));
        for (mean, std, name) in
            [(f32::NAN, 1.0, "mean"), (0.0, 0.0, "std"), (0.0, -1.0, "std"), (0.0, f32::NAN, "std")]
        {
            let error = Normalization { mean: vec![0.0, mean], std: vec![1.0, std] }.validate();
            assert!(
                matches!(error, Err(AugmentError::Statistic { statistic, channel: 1, .. }) if statistic == name),
                "{error:?}"
            );
        }
        let rows = Matrix::from_fn(2, 1, |i, _| if i == 0 { f32::NAN } else { 1.0 });
        assert!(Normalization::of(&Inputs::Rows(rows)).validate().is_err());
    }
}
