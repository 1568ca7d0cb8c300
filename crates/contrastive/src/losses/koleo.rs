use burn::tensor::Tensor;
use nearfar_core::similarity::{diagonal, dot_products, normalize_rows};

/// Keeps logarithm and root away from zero, as in DINOv2 and lightly.
const EPSILON: f64 = 1e-8;

/// The KoLeo regulariser (Sablayrolles et al., 2019; DINOv2): minus the mean log distance of each row `[n, d]` to its
/// nearest other row, after normalisation. Small where the rows spread evenly over the sphere.
///
/// ```text
/// L = - mean over rows i of log( min over j != i of |x_i - x_j| )
/// ```
///
/// Which row is nearest carries no gradient.
///
/// # Panics
/// When there are fewer than two rows.
pub fn koleo(x: Tensor<2>) -> Tensor<1> {
    let [n, _] = x.dims();
    assert!(n >= 2, "one row has no nearest other row");
    let x = normalize_rows(x);
    let still = x.clone().detach();
    let cosines = dot_products(still.clone(), still).mask_fill(diagonal(n, &x.device()), -2.0); // [n, n]
    let nearest = x.clone().select(0, cosines.argmax(1).squeeze_dim(1)); // [n, d]
    let distance = (x - nearest).add_scalar(EPSILON).square().sum_dim(1).sqrt(); // [n, 1]
    -distance.add_scalar(EPSILON).log().mean()
}
