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
//!
//! Examples that run in seconds on data that ship, `cargo run --example NAME`:
//!
//! | example | what it shows |
//! |---|---|
//! | `simclr` | a method in the training loop, watched |
//! | `own_method` | what a method of one's own has to say to run there |
//! | `moco_queue` | [`Queue`] and momentum encoder by hand |
//! | `grad_caching` | batches larger than memory |
//! | `health_monitor` | a collapse, named while it happens, with the setting to change |
//! | `loss_alone` | [`losses`] as functions of tensors, and their values at collapse |

#![recursion_limit = "256"]

mod barlow_twins;
mod byol;
mod dcl;
mod dino;
mod error;
mod fast_siam;
pub mod losses;
mod mmcr;
mod moco;
mod moco_v3;
mod networks;
mod nnclr;
mod queue;
mod ressl;
mod simclr;
mod simsiam;
mod split_norm;
mod swav;
mod temperature;
mod tico;
mod vicreg;
mod w_mse;

pub use barlow_twins::BarlowTwins;
pub use byol::Byol;
pub use dcl::{Dcl, Dclw};
pub use dino::Dino;
pub use error::ContrastiveError;
pub use fast_siam::FastSiam;
pub use mmcr::Mmcr;
pub use moco::Moco;
pub use moco_v3::MocoV3;
pub use nnclr::Nnclr;
pub use queue::{Queue, ViewQueues};
pub use ressl::ReSsl;
pub use simclr::SimClr;
pub use simsiam::SimSiam;
pub use swav::SwAv;
pub use temperature::{Course, TemperatureSchedule};
pub use tico::TiCo;
pub use vicreg::VicReg;
pub use w_mse::WMse;
