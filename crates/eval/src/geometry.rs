//! Geometry of an embedding on the unit sphere: spread, alignment, uniformity and how far classes lie apart.
//!
//! Every function divides the rows by their norm first; a zero row stays at the origin.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;

use crate::error::EvalError;
use crate::labels::Classes;
use crate::product::row_products;
use crate::ranking::Prepared;
use crate::rows::{check_features, check_labelled, check_width, unit_rows};

/// Rows on each side of one block of pairs.
const BLOCK: usize = 256;

/// Mean over the dimensions of the sample standard deviation of unit rows `[n, d]`, `n >= 2`.
///
/// The collapse monitor of SimSiam (Chen and He 2021): near `1 / sqrt(d)` when healthy, 0 when all rows are one point.
///
/// # Errors
/// When there are fewer than two rows or a feature is not finite.
pub fn std_of_normalized(features: &Matrix) -> Result<f64, EvalError> {
    check_items("std of unit rows", features, 2)?;
    let unit = unit_rows(features);
    let (rows, cols) = (unit.rows() as f64, unit.cols());
    let means = column_means(&unit);
    let mut squares = vec![0.0f64; cols];
    for row in unit.iter_rows() {
        for ((square, &value), mean) in squares.iter_mut().zip(row).zip(&means) {
            *square += (f64::from(value) - mean) * (f64::from(value) - mean);
        }
    }
    Ok(squares.iter().map(|square| (square / (rows - 1.0)).sqrt()).sum::<f64>() / cols as f64)
}

/// Alignment of two views `[n, d]`: mean squared distance between row `i` of one and row `i` of the other, in `[0, 4]`;
/// smaller is better (Wang and Isola 2020, alpha = 2).
///
/// # Errors
/// When a view is empty or not finite, or the shapes differ.
pub fn alignment(view_a: &Matrix, view_b: &Matrix) -> Result<f64, EvalError> {
    if view_a.rows() != view_b.rows() {
        return Err(EvalError::Paired {
            left: "view a",
            left_rows: view_a.rows(),
            right: "view b",
            right_rows: view_b.rows(),
        });
    }
    check_features("view a", view_a)?;
    check_features("view b", view_b)?;
    check_width("view a", view_a.cols(), "view b", view_b.cols())?;
    let (a, b) = (unit_rows(view_a), unit_rows(view_b));
    let squares = a
        .iter_rows()
        .zip(b.iter_rows())
        .map(|(x, y)| x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum::<f64>());
    Ok(squares.sum::<f64>() / a.rows() as f64)
}

/// Alignment of classes: mean squared distance over all pairs of different rows of one class, in `[0, 4]`.
///
/// Computed from the class sums, without a loop over pairs.
///
/// # Errors
/// When the features are empty or not finite, labels do not fit, or no class has two rows.
pub fn label_alignment(features: &Matrix, labels: &[usize]) -> Result<f64, EvalError> {
    let sums = ClassSums::new(features, labels)?;
    let (mut squares, mut pairs) = (0.0, 0.0);
    for class in &sums.classes {
        // sum over i < j of |u_i - u_j|^2 = n * sum |u_i|^2 - |sum u_i|^2
        squares += class.rows * class.squares - dot(&class.sum, &class.sum);
        pairs += 0.5 * class.rows * (class.rows - 1.0);
    }
    if pairs == 0.0 {
        return Err(EvalError::OneKindOfPair { missing: "positive" });
    }
    Ok((squares / pairs).max(0.0))
}

/// Uniformity of `[n, d]`, `n >= 2`: `ln mean exp(-2 |u_i - u_j|^2)` over all distinct pairs, in `[-8, 0]`; smaller is
/// more uniform (Wang and Isola 2020, t = 2). Computed in blocks of pairs.
///
/// # Errors
/// When there are fewer than two rows or a feature is not finite.
pub fn uniformity(features: &Matrix) -> Result<f64, EvalError> {
    check_items("uniformity", features, 2)?;
    let rows = Prepared::on_sphere("features", features)?;
    let starts: Vec<usize> = (0..rows.len()).step_by(BLOCK).collect();
    // One sum a block of rows, added up in order: the same for every number of threads.
    let sums: Vec<f64> = starts.par_iter().map(|&first| potential_of_block(&rows, first)).collect();
    let count = rows.len() as f64;
    Ok((sums.iter().sum::<f64>() / (0.5 * count * (count - 1.0))).ln())
}

/// Sum of `exp(-2 |u_i - u_j|^2)` for the rows `i` of one block and all `j > i`.
fn potential_of_block(rows: &Prepared<'_>, first: usize) -> f64 {
    let squares = rows.squares();
    let end = rows.len().min(first + BLOCK);
    let mut products = vec![0.0f32; BLOCK * BLOCK];
    let mut sum = 0.0;
    for other in (first..rows.len()).step_by(BLOCK) {
        let stop = rows.len().min(other + BLOCK);
        let width = stop - other;
        let products = &mut products[..(end - first) * width];
        row_products(rows.block(first, end), rows.block(other, stop), rows.rows().cols(), 1.0, products);
        for (i, products) in (first..end).zip(products.chunks_exact(width)) {
            let start = other.max(i + 1);
            for (j, &product) in (start..stop).zip(&products[start - other..]) {
                let square = (squares[i] + (squares[j] - 2.0 * product)).max(0.0);
                sum += (-2.0 * f64::from(square)).exp();
            }
        }
    }
    sum
}

/// Class separation `R^2 = 1 - d_within / d_total` by mean cosine distances, pairs of a row with itself included and
/// every class weighing the same (Kornblith et al. 2021, "Why Do Better Loss Functions Lead to Less Transferable
/// Features?"). At most 1, where every class is one direction; 0 when classes do not differ.
///
/// # Errors
/// When the features are empty or not finite, labels do not fit, there are fewer than two classes, or all rows point
/// the same way, so that there is nothing to separate.
pub fn class_separation(features: &Matrix, labels: &[usize]) -> Result<f64, EvalError> {
    let sums = ClassSums::new(features, labels)?;
    sums.check_classes("class separation", 2)?;
    let count = sums.classes.len() as f64;
    let mut center = vec![0.0; features.cols()];
    let mut within = 0.0;
    for class in &sums.classes {
        let mean: Vec<f64> = class.sum.iter().map(|sum| sum / class.rows).collect();
        within += 1.0 - dot(&mean, &mean);
        center.iter_mut().zip(&mean).for_each(|(center, mean)| *center += mean / count);
    }
    let total = 1.0 - dot(&center, &center);
    // Unit rows are rounded to f32: below this all of the distance is rounding.
    if total < 1e-6 {
        return Err(EvalError::Collapsed { what: "class separation" });
    }
    Ok(1.0 - within / count / total)
}

/// Ratio of the mean cosine distance inside classes to the mean cosine distance between class centres; smaller is
/// denser (Roth et al. 2020, "Revisiting Training Strategies and Generalization Performance in Deep Metric
/// Learning").
///
/// Inside: the mean over classes of the mean over pairs of different rows; classes of one row have none and are left
/// out. Between: the mean over pairs of different classes of the distance of their means, divided by their norm.
///
/// # Errors
/// When the features are empty or not finite, labels do not fit, there are fewer than two classes, no class has two
/// rows, or all class centres point the same way.
pub fn intra_inter_ratio(features: &Matrix, labels: &[usize]) -> Result<f64, EvalError> {
    let sums = ClassSums::new(features, labels)?;
    sums.check_classes("intra/inter ratio", 2)?;
    let (mut inside, mut classes_inside) = (0.0, 0.0);
    let mut direction_sum = vec![0.0; features.cols()];
    let mut direction_squares = 0.0;
    for class in &sums.classes {
        let square = dot(&class.sum, &class.sum);
        if class.rows > 1.0 {
            inside += 1.0 - (square - class.squares) / (class.rows * (class.rows - 1.0));
            classes_inside += 1.0;
        }
        if square > 0.0 {
            let norm = square.sqrt();
            direction_sum.iter_mut().zip(&class.sum).for_each(|(sum, value)| *sum += value / norm);
            direction_squares += 1.0;
        }
    }
    if classes_inside == 0.0 {
        return Err(EvalError::OneKindOfPair { missing: "positive" });
    }
    let count = sums.classes.len() as f64;
    let cosines = (dot(&direction_sum, &direction_sum) - direction_squares) / (count * (count - 1.0));
    let between = 1.0 - cosines;
    if between < 1e-6 {
        return Err(EvalError::Collapsed { what: "intra/inter ratio" });
    }
    Ok((inside / classes_inside).max(0.0) / between)
}

/// Sums over the unit rows of a class.
struct ClassSum {
    rows: f64,
    /// Sum of the unit rows.
    sum: Vec<f64>,
    /// Sum of their squared norms: the number of rows that are not zero, up to rounding.
    squares: f64,
}

struct ClassSums {
    classes: Vec<ClassSum>,
}

impl ClassSums {
    fn new(features: &Matrix, labels: &[usize]) -> Result<Self, EvalError> {
        check_labelled("features", features, labels)?;
        let unit = unit_rows(features);
        let classes = Classes::new(labels).rows.into_iter().map(|rows| {
            let mut class = ClassSum { rows: rows.len() as f64, sum: vec![0.0; unit.cols()], squares: 0.0 };
            for row in rows {
                for (sum, &value) in class.sum.iter_mut().zip(unit.row(row as usize)) {
                    *sum += f64::from(value);
                    class.squares += f64::from(value) * f64::from(value);
                }
            }
            class
        });
        Ok(Self { classes: classes.collect() })
    }

    fn check_classes(&self, what: &'static str, needed: usize) -> Result<(), EvalError> {
        let got = self.classes.len();
        if got < needed { Err(EvalError::TooFewClasses { what, needed, got }) } else { Ok(()) }
    }
}

fn check_items(what: &'static str, features: &Matrix, needed: usize) -> Result<(), EvalError> {
    check_features("features", features)?;
    let got = features.rows();
    if got < needed { Err(EvalError::TooFewItems { what, needed, got }) } else { Ok(()) }
}

fn column_means(rows: &Matrix) -> Vec<f64> {
    let mut means = vec![0.0f64; rows.cols()];
    for row in rows.iter_rows() {
        means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value));
    }
    means.iter_mut().for_each(|mean| *mean /= rows.rows() as f64);
    means
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests;
