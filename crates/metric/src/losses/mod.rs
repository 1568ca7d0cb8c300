//! Losses over tuples and over whole batches.
//!
//! A loss over distances implements [`PairLoss`]. It gives groups of elements ([`Term`]): their values, and the way
//! back from the weights that the reducer gives them to the distances. Wrappers ([`CrossBatchMemory`], [`Combined`],
//! [`SelfSupervised`]) take any of them. Losses with class weights are in [`class`](mod@class).

mod angular;
mod circle;
pub mod class;
mod combined;
mod contrastive;
mod cross_batch_memory;
mod dynamic_soft_margin;
mod fast_ap;
mod generalized_lifted;
mod histogram;
mod instance;
mod intra_pair_variance;
mod lifted;
mod manifold;
mod margin;
mod math;
mod multi_similarity;
mod nca;
mod npairs;
mod ntxent;
mod pair_loss;
mod pnp;
mod ranked_list;
mod self_supervised;
mod sets;
mod snr_contrastive;
mod supcon;
mod term;
mod threshold_consistent;
mod triplet;
mod tuplet_margin;

pub use angular::Angular;
pub use circle::Circle;
pub use combined::{Combined, Part};
pub use contrastive::Contrastive;
pub use cross_batch_memory::CrossBatchMemory;
pub use dynamic_soft_margin::{DynamicSoftMargin, GapHistogram};
pub use fast_ap::FastAp;
pub use generalized_lifted::GeneralizedLiftedStructure;
pub use histogram::Histogram;
pub use instance::Instance;
pub use intra_pair_variance::IntraPairVariance;
pub use lifted::LiftedStructure;
pub use manifold::{Manifold, ManifoldHead};
pub use margin::Margin;
pub use multi_similarity::MultiSimilarity;
pub use nca::NcaLoss;
pub use npairs::NPairs;
pub use ntxent::NtXent;
pub use pair_loss::{Evidence, PairLoss};
pub use pnp::{Penalty, Pnp};
pub use ranked_list::RankedList;
pub use self_supervised::SelfSupervised;
pub use sets::{Row, Sets};
pub use snr_contrastive::SnrContrastive;
pub use supcon::SupCon;
pub use term::{Gradient, Term};
pub use threshold_consistent::ThresholdConsistentMargin;
pub use triplet::TripletMargin;
pub use tuplet_margin::TupletMargin;
