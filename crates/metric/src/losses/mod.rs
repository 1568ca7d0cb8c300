//! Losses over tuples and over whole batches.

mod contrastive;
mod supcon;
mod triplet;

pub use contrastive::Contrastive;
pub use supcon::SupCon;
pub use triplet::TripletMargin;
