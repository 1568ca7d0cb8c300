//! Losses, apart from the methods that use them. All normalise their rows themselves and state their reduction.

mod info_nce;
mod negative_cosine;
mod nt_xent;

pub use info_nce::info_nce;
pub use negative_cosine::{byol_regression, negative_cosine};
pub use nt_xent::nt_xent;
