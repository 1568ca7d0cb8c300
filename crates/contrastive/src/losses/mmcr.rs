use super::host::{read, with_gradient};
use burn::tensor::Tensor;
use faer::MatRef;

/// Maximum manifold capacity representations (Yerxa et al., 2023): the centroids of all images span as much as they
/// can, the views of one image as little.
///
/// ```text
/// loss = - |C|_* + lambda / n * sum over images of |Z_i|_*
/// ```
///
/// `|.|_*` is the nuclear norm, `Z_i [views, d]` the rows of one image, row `i` of `C [n, d]` their mean. Views are
/// `[n, d]`, as in lightly online and momentum networks' together, not normalised here (the paper puts rows on the unit
/// sphere before). `lambda` is 5e-3 in lightly; with 0 the first term alone compresses the views.
///
/// # Panics
/// When there are fewer than two views or their shapes differ.
pub fn mmcr(views: &[Tensor<2>], lambda: f64) -> Tensor<1> {
    assert!(views.len() >= 2, "a manifold needs at least two views, got {}", views.len());
    let [n, _] = views[0].dims();
    let z = Tensor::stack::<3>(views.to_vec(), 1); // [n, views, d]
    let centroids: Tensor<2> = z.clone().mean_dim(1).squeeze_dim(1); // [n, d]
    let loss = -nuclear_norm(centroids.unsqueeze_dim(0));
    if lambda == 0.0 { loss } else { loss + nuclear_norm(z).mul_scalar(lambda / n as f64) }
}

/// The sum of the singular values of every matrix of `x [matrices, rows, columns]`, added up: `[1]`.
///
/// Decomposed on the host in `f64`. The derivative of a matrix is `U V^T` of its thin decomposition; directions without
/// extent have no part in it, which is a subgradient. Numbers that are not finite give NaN.
pub fn nuclear_norm(x: Tensor<3>) -> Tensor<1> {
    let [_, rows, columns] = x.dims();
    let values = read(&x);
    let (mut sum, mut gradient) = (0.0, Vec::with_capacity(values.len()));
    for matrix in values.chunks_exact((rows * columns).max(1)) {
        match one_nuclear_norm(matrix, rows, columns) {
            Some((norm, derivative)) => {
                sum += norm;
                gradient.extend(derivative);
            }
            // The training loop stops at a loss that is no number.
            None => {
                sum = f64::NAN;
                gradient.resize(gradient.len() + matrix.len(), 0.0);
            }
        }
    }
    with_gradient(x, sum, &gradient)
}

/// Singular values below this share of the largest are rounding: embeddings are `f32`.
const RANK: f64 = 1e-6;

/// Nuclear norm and derivative of a row-major matrix; nothing where it has no decomposition.
fn one_nuclear_norm(matrix: &[f64], rows: usize, columns: usize) -> Option<(f64, Vec<f64>)> {
    if matrix.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let svd = MatRef::from_row_major_slice(matrix, rows, columns).thin_svd().ok()?;
    let (u, v, values) = (svd.U(), svd.V(), svd.S().column_vector());
    let sizes: Vec<f64> = (0..rows.min(columns)).map(|k| values[k]).collect();
    let largest = sizes.first().copied().unwrap_or(0.0);
    let mut derivative = vec![0.0; rows * columns];
    for k in (0..sizes.len()).filter(|k| sizes[*k] > RANK * largest) {
        for (i, row) in derivative.chunks_exact_mut(columns).enumerate() {
            for (j, entry) in row.iter_mut().enumerate() {
                *entry += u[(i, k)] * v[(j, k)];
            }
        }
    }
    Some((sizes.iter().sum(), derivative))
}
