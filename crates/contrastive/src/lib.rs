//! Self-supervised contrastive learning on Burn: features that transfer, learnt from augmented views without labels.
//!
//! [`losses`] are pure functions of embeddings; a method is one file that wires networks, memory and loss as its paper
//! does, and runs in [`nearfar_core::train`]'s loop.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use contrastive::losses::nt_xent;
//!
//! let device = Device::flex();
//! let a = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
//! let loss = nt_xent(a.clone(), a, 0.5).into_scalar::<f32>();
//! assert!((loss - 0.239_544_77).abs() < 1e-5); // ln(1 + 2 e^-2)
//! ```

#![recursion_limit = "256"]

mod byol;
mod error;
pub mod losses;
mod moco;
mod queue;
mod simclr;
mod simsiam;
mod split_norm;

pub use byol::Byol;
pub use error::ContrastiveError;
pub use moco::Moco;
pub use queue::Queue;
pub use simclr::SimClr;
pub use simsiam::SimSiam;
