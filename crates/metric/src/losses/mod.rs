//! Losses over tuples and over whole batches.

pub mod class;
mod circle;
mod contrastive;
mod generalized_lifted;
mod lifted;
mod margin;
mod math;
mod multi_similarity;
mod nca;
mod npairs;
mod ntxent;
mod pair_loss;
mod snr_contrastive;
mod supcon;
mod term;
mod triplet;

pub use circle::Circle;
pub use contrastive::Contrastive;
pub use generalized_lifted::GeneralizedLiftedStructure;
pub use lifted::LiftedStructure;
pub use margin::Margin;
pub use multi_similarity::MultiSimilarity;
pub use nca::NcaLoss;
pub use npairs::NPairs;
pub use ntxent::NtXent;
pub use pair_loss::PairLoss;
pub use snr_contrastive::SnrContrastive;
pub use supcon::SupCon;
pub use term::{Gradient, Row, Sets, Term};
pub use triplet::TripletMargin;
