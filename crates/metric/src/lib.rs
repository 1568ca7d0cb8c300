//! Metric learning on Burn: a distance for one task, learnt from labels.
//!
//! The axes are independent: a [`Distance`] gives the pairwise matrix, a [`miner`] picks tuples from it, a [`losses`]
//! entry values each tuple, and a [`Reducer`] makes one number of them.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use metric::{Distance, Pairwise, losses::{PairLoss, TripletMargin}, miner::{Miner, TripletMarginMiner}};
//!
//! let device = Device::flex().autodiff();
//! let embeddings = Tensor::<2>::from_data([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.8]], &device).require_grad();
//! let pairwise = Pairwise::new(Distance::default(), embeddings.clone(), &[0, 0, 1, 1], None)?;
//! let triplets = TripletMarginMiner::default().mine(&pairwise)?;
//! let loss = TripletMargin::default().forward(&pairwise, Some(&triplets))?;
//! let gradient = embeddings.grad(&loss.backward());
//! assert!(gradient.is_some());
//! # Ok::<(), metric::MetricError>(())
//! ```
//!
//! [`mahalanobis`] learns a linear distance on rows; [`methods`] train encoders in [`nearfar_core::train`]'s loop.
//!
//! Examples that run in seconds on data that ship, `cargo run --example NAME`:
//!
//! | example | what it shows |
//! |---|---|
//! | `losses` | [`losses`] and [`miner`]s in a loop of one's own |
//! | `distances` | one loss under every kind of [`Distance`] |
//! | `reducers` | many tuples to one number by each [`Reducer`], and the gradient that is left |
//! | `miners` | what each [`miner`] picks from a batch, with its report |
//! | `samplers` | how batches are drawn, and what they really hold |
//! | `class_weights` | [`losses::class`](mod@losses::class): weights trained with the encoder |
//! | `cross_batch_memory` | small batches that see many negatives |
//! | `self_supervised` | a loss for labels on two views and no label |
//! | `weak_supervision` | [`weak`] pairs from a CSV file, for ITML and for an encoder |
//! | `mahalanobis` | every linear learner of [`mahalanobis`], and a threshold for pairs |
//! | `deep_mahalanobis` | a distance trained on top of an encoder |
//! | `by_name` | any loss and miner by name in the training loop |

#![recursion_limit = "256"]

mod distance;
mod error;
mod grouped;
mod host;
pub mod losses;
pub mod mahalanobis;
pub mod methods;
pub mod miner;
mod pairwise;
mod reducer;
pub mod regularizer;
mod tuples;
pub mod weak;

pub use distance::Distance;
pub use error::MetricError;
pub use pairwise::Pairwise;
pub use reducer::{Anchors, ElementKind, Elements, Reducer};
pub use tuples::{Pair, Triplet, Tuples};
