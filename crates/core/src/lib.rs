//! What metric and contrastive learning share: data, augmentation, encoders, heads, optimisers and the one training
//! loop. This crate knows no loss and no method.

// Burn's generic module types nest deeply when they are derived.
#![recursion_limit = "256"]

pub mod augment;
pub mod backend;
pub mod data;
mod digest;
pub mod encoder;
pub mod head;
pub mod init;
pub mod matrix;
pub mod momentum;
pub mod optim;
pub mod similarity;
pub mod train;
pub mod weights;

pub use nearfar_kernels as kernels;
