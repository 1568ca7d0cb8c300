use crate::{
    ContrastiveError,
    error::{check_momentum, check_size, check_views, check_weight},
    losses::mmcr,
    networks::{Projected, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    head::HeadConfig,
    momentum::{cosine_momentum, momentum_copy, update},
    similarity::normalize_rows,
    train::{BatchError, Embedded, Method, Needs, Progress, Staged},
};
use serde::{Deserialize, Serialize};

/// MMCR (Yerxa et al., 2023): the centroids of the images' views span as many directions as they can. Each view is seen
/// by the network and by its momentum copy; rows are put on the unit sphere, as in the paper.
///
/// The momentum network moves before it is used, as in lightly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mmcr {
    /// Weight of the compression of each image's views, >= 0. Default 0; 5e-3 in lightly. The first term alone
    /// compresses them already; above 0 this one costs a small decomposition an image.
    pub compression: f64,
    /// Views of each image, at least 2; 8 in lightly. Default 2.
    pub views: usize,
    /// Momentum of the second network at the start, in [0, 1], rising to 1 along a cosine; 0.996 in lightly. The
    /// shorter the run, the lower. Default 0.99.
    pub momentum: f64,
    /// Hidden units of the projector, at least 1; 8192 in lightly behind a ResNet-50. Default 256, ours for a small
    /// encoder.
    pub hidden: usize,
    /// Outputs of the projector, at least 1. Default 128, as in lightly's CIFAR-10 example; 512 in lightly behind a
    /// ResNet-50.
    pub output: usize,
}

impl Default for Mmcr {
    fn default() -> Self {
        Self { compression: 0.0, views: 2, momentum: 0.99, hidden: 256, output: 128 }
    }
}

impl Mmcr {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_weight("compression", self.compression)?;
        check_views(self.views)?;
        check_momentum("momentum", self.momentum)?;
        check_size("hidden", self.hidden)?;
        check_size("output", self.output)
    }
}

impl Method for Mmcr {
    type Model = Projected;
    type Memory = Projected;

    fn name(&self) -> &'static str {
        "mmcr"
    }

    fn needs(&self) -> Needs {
        views(self.views)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Projected, Projected) {
        let model = Projected::new(encoder, &HeadConfig::new([features, self.hidden, self.output]), seed, device);
        let target = momentum_copy(&model);
        (model, target)
    }

    fn staged(&self) -> Option<&dyn Staged<Projected, Projected>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a Projected) -> &'a Encoder {
        &model.encoder
    }

    fn collapsed_loss(&self, n: usize) -> Option<f64> {
        Some(self.compression * (2.0 * self.views as f64).sqrt() - (n as f64).sqrt())
    }

    fn remedy(&self) -> &'static str {
        "all centroids are one: lower `learning_rate` or `compression`, or raise the batch size"
    }
}

impl Staged<Projected, Projected> for Mmcr {
    fn prepare(&self, model: &Projected, target: &mut Projected, at: Progress) {
        *target = update(target.clone(), model, cosine_momentum(self.momentum, at.step, at.steps));
    }

    fn embed(&self, model: &Projected, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        model.forward_each(views)
    }

    fn targets(&self, target: &Projected, views: &[Tensor<4>], _: Progress) -> Vec<Tensor<2>> {
        target.targets(views)
    }

    fn loss(
        &self,
        _: &Projected,
        _: &mut Projected,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let rows = batch.outputs.iter().chain(&batch.targets).cloned().map(normalize_rows); // [n, output] each
        Ok(mmcr(&rows.collect::<Vec<_>>(), self.compression))
    }
}
