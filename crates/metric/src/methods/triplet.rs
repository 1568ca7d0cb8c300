use super::{Embedder, balanced, check_balanced, tuple_loss};
use crate::{
    Distance, MetricError,
    losses::{PairLoss, TripletMargin},
    miner::{BatchHardMiner, Miner, TripletKind, TripletMarginMiner},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Sampling, Staged},
};
use serde::{Deserialize, Serialize};

/// Which triplets of a batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mining {
    /// Every one.
    All,
    /// Farthest positive and nearest negative of every anchor (Hermans et al., 2017).
    BatchHard,
    /// Those whose negative is farther than the positive, but not by the margin (Schroff et al., 2015).
    #[default]
    SemiHard,
}

/// An encoder trained with the triplet margin loss on mined triplets of class-balanced batches
/// (Schroff et al., 2015; Hermans, Beyer and Leibe, 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMethod {
    /// The loss. Default margin 0.2, as in FaceNet.
    pub loss: TripletMargin,
    /// Which triplets count. Default [`Mining::SemiHard`], as in FaceNet.
    pub mining: Mining,
    /// How embeddings are compared. Default that of [`Distance`].
    pub distance: Distance,
    /// Images of a class in a batch, at least 2. Default 4, as in Hermans et al.
    pub images_per_class: usize,
    /// How batches are drawn, in place of `images_per_class` images of as many classes as fit. Default none.
    pub sampling: Option<Sampling>,
}

impl Default for TripletMethod {
    fn default() -> Self {
        Self {
            loss: TripletMargin { margin: 0.2, ..TripletMargin::default() },
            mining: Mining::default(),
            distance: Distance::default(),
            images_per_class: 4,
            sampling: None,
        }
    }
}

impl TripletMethod {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        check_balanced(self.images_per_class, self.sampling.as_ref())?;
        self.distance.validate()?;
        self.loss.validate()
    }
}

impl Method for TripletMethod {
    type Model = Embedder;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "triplet"
    }

    fn needs(&self) -> Needs {
        balanced(self.images_per_class, self.sampling.as_ref())
    }

    fn build(&self, encoder: Encoder, _: usize, seed: u64, device: &Device) -> (Embedder, NoMemory) {
        (Embedder::new(encoder, None, seed, device), NoMemory::new())
    }

    fn staged(&self) -> Option<&dyn Staged<Embedder, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Embedder) -> &'a Encoder {
        &model.encoder
    }
}

impl Staged<Embedder, NoMemory> for TripletMethod {
    fn embed(&self, model: &Embedder, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.embed_views(views)
    }

    fn loss(&self, _: &Embedder, _: &mut NoMemory, batch: &Embedded<'_>, _: Progress) -> Result<Tensor<1>, BatchError> {
        Ok(mined(batch, self.distance, self.mining, &self.loss)?)
    }
}

/// The triplet loss `[1]` of a batch over the triplets that `mining` picks.
pub(super) fn mined(
    batch: &Embedded<'_>,
    distance: Distance,
    mining: Mining,
    loss: &TripletMargin,
) -> Result<Tensor<1>, MetricError> {
    tuple_loss(batch, distance, |pairwise| {
        let margin = loss.margin;
        let triplets = match mining {
            Mining::All => None,
            Mining::BatchHard => Some(BatchHardMiner.mine(pairwise)?),
            Mining::SemiHard => Some(TripletMarginMiner { margin, kind: TripletKind::SemiHard }.mine(pairwise)?),
        };
        loss.forward(pairwise, triplets.as_ref())
    })
}
