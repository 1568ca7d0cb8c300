//! Losses, apart from the methods that use them: pure functions of embeddings that state their reduction and whether
//! they normalise their rows.

mod alignment_uniformity;
mod barlow_twins;
mod dcl;
mod dino;
mod host;
mod info_nce;
mod koleo;
mod mmcr;
mod moco_v3;
mod negative_cosine;
mod nnclr;
mod nt_xent;
mod ressl;
mod sup_con;
mod swav;
mod tico;
mod vicreg;
mod w_mse;

pub use alignment_uniformity::{align_uniform, alignment, uniformity};
pub use barlow_twins::barlow_twins;
pub use dcl::{dcl, dclw};
pub use dino::{dino, dino_center};
pub use info_nce::info_nce;
pub use koleo::koleo;
pub use mmcr::{mmcr, nuclear_norm};
pub use moco_v3::moco_v3;
pub use negative_cosine::{byol_regression, negative_cosine};
pub use nnclr::{nearest_neighbors, nnclr};
pub use nt_xent::{nt_xent, nt_xent_views};
pub use ressl::ressl;
pub use sup_con::{sup_con_in, sup_con_out, sup_con_sum_inside};
pub use swav::{sinkhorn, swav};
pub use tico::{tico, tico_covariance};
pub use vicreg::{VicRegWeights, vicreg};
pub use w_mse::w_mse;

use burn::tensor::Tensor;
use nearfar_core::similarity::normalize_rows;

/// `log(sum(exp(x)))` along `dim`, which keeps its place with length 1.
fn log_sum_exp(x: Tensor<2>, dim: usize) -> Tensor<2> {
    let top = x.clone().detach().max_dim(dim);
    (x - top.clone()).exp().sum_dim(dim).log() + top
}

/// The views one below the other, every row of unit length: `[views * n, d]`.
///
/// # Panics
/// When there are fewer than two views or their shapes differ.
fn stacked(views: &[Tensor<2>]) -> Tensor<2> {
    assert!(views.len() >= 2, "a contrastive loss compares at least two views, got {}", views.len());
    let dims = views[0].dims();
    assert!(views.iter().all(|v| v.dims() == dims), "all views must hold the same images in the same order");
    normalize_rows(Tensor::cat(views.to_vec(), 0))
}

/// Which image each row of [`stacked`] shows.
fn image_of_row(views: usize, n: usize) -> Vec<usize> {
    (0..views * n).map(|row| row % n).collect()
}
