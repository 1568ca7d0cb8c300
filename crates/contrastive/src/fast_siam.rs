use crate::{
    ContrastiveError, SimSiam,
    error::check_views,
    losses::negative_cosine,
    networks::{Predicting, views},
};
use burn::tensor::{Device, Tensor};
use nearfar_core::{
    encoder::Encoder,
    train::{Batch, BatchError, Method, Needs, NoMemory, Objective, Progress},
};
use serde::{Deserialize, Serialize};

/// FastSiam (Pototzky, Sultan and Schmidt-Thieme, 2022): SimSiam whose target is the mean of several other views'
/// projections, which is steadier, so that small batches and few epochs do.
///
/// The predictor's learning rate stays constant, as in SimSiam. Each image passes once for every view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FastSiam {
    /// Views of each image, at least 2. Default 4, as in the paper: one predicts, three are the target, each in turn.
    pub views: usize,
    /// The networks; the defaults are `simsiam`'s.
    pub networks: SimSiam,
}

impl Default for FastSiam {
    fn default() -> Self {
        Self { views: 4, networks: SimSiam::default() }
    }
}

impl FastSiam {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_views(self.views)?;
        self.networks.validate()
    }
}

impl Method for FastSiam {
    type Model = Predicting;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "fast_siam"
    }

    fn needs(&self) -> Needs {
        views(self.views)
    }

    fn build(&self, encoder: Encoder, features: usize, seed: u64, device: &Device) -> (Predicting, NoMemory) {
        (self.networks.networks(encoder, features, seed, device), NoMemory::new())
    }

    fn objective(
        &self,
        model: &Predicting,
        _: &mut NoMemory,
        batch: &Batch,
        _: Progress,
    ) -> Result<Objective, BatchError> {
        check_views(batch.views.len())?;
        let z = model.online.forward_each(&batch.views); // [n, output] each
        let p = model.predict_each(&z);
        let all = z[1..].iter().cloned().fold(z[0].clone(), |sum, z| sum + z).detach(); // [n, output]
        let others = (z.len() - 1) as f64;
        let losses = p.iter().zip(&z).map(|(p, z)| {
            let target = (all.clone() - z.clone().detach()).div_scalar(others); // [n, output]
            negative_cosine(p.clone(), target)
        });
        let loss = Tensor::cat(losses.collect::<Vec<_>>(), 0).mean();
        Ok(Objective { loss, embedding: Tensor::cat(z, 0) })
    }

    fn constant_rate(&self) -> &'static [&'static str] {
        &["predictor"]
    }

    fn compares_batch(&self) -> bool {
        false
    }

    fn encoder<'a>(&self, model: &'a Predicting) -> &'a Encoder {
        &model.online.encoder
    }

    fn collapsed_loss(&self, _: usize) -> Option<f64> {
        Some(-1.0)
    }

    fn remedy(&self) -> &'static str {
        "the predictor may be too slow: lower `learning_rate`, or set `networks.projector_layers` to 3"
    }
}
