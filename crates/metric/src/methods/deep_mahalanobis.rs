use super::{
    balanced, check_balanced,
    triplet::{Mining, mined},
};
use crate::{
    Distance, MetricError,
    losses::{PairLoss, TripletMargin},
};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use nearfar_core::{
    encoder::Encoder,
    train::{BatchError, Embedded, Method, Needs, NoMemory, Progress, Sampling, Staged, forward_views},
};
use serde::{Deserialize, Serialize};

/// Distances of embeddings as they are: scaling them is what the metric is for.
pub(super) const DISTANCE: Distance = Distance::Euclidean { normalized: false, squared: false };

/// An encoder `f` with a learnt Mahalanobis distance on top, trained together:
///
/// ```text
/// d(a, b) = |L (f(a) - f(b))|,   L = I at the start
/// loss = triplet margin of d over mined triplets + penalty |L^T L - I|^2 / features
/// ```
///
/// The linear learners of [`crate::mahalanobis`] find `L` for features that stay as they are; here features and `L`
/// move together (compare Hu, Lu and Tan, "Discriminative deep metric learning for face verification in the wild", CVPR
/// 2014, who train a whole network as a metric). Rows are not normalised: a norm would undo what `L` does to lengths.
///
/// The triplet loss does not tell the size of `L` from the size of `f`. The penalty does: it keeps the distance near
/// the Euclidean one where triplets are indifferent. At `L^T L = 2 I` the default adds 0.001, half a percent of the
/// margin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeepMahalanobis {
    /// The loss. Default margin 0.2, as in FaceNet.
    pub loss: TripletMargin,
    /// Which triplets count. Default [`Mining::SemiHard`].
    pub mining: Mining,
    /// Weight of the penalty, finite and not negative. Default 1e-3.
    pub penalty: f64,
    /// Images of a class in a batch, at least 2. Default 4, as in Hermans et al.
    pub images_per_class: usize,
    /// How batches are drawn, in place of `images_per_class` images of as many classes as fit. Default none.
    pub sampling: Option<Sampling>,
}

impl Default for DeepMahalanobis {
    fn default() -> Self {
        Self {
            loss: TripletMargin { margin: 0.2, ..TripletMargin::default() },
            mining: Mining::default(),
            penalty: 1e-3,
            images_per_class: 4,
            sampling: None,
        }
    }
}

impl DeepMahalanobis {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        check_balanced(self.images_per_class, self.sampling.as_ref())?;
        MetricError::not_negative("penalty", self.penalty)?;
        self.loss.validate()
    }
}

/// An encoder and the map `L` of its distance.
#[derive(Module, Debug)]
pub struct MahalanobisEmbedder {
    encoder: Encoder,
    /// `L^T`, `[features, features]`.
    metric: Param<Tensor<2>>,
}

impl Method for DeepMahalanobis {
    type Model = MahalanobisEmbedder;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "deep_mahalanobis"
    }

    fn needs(&self) -> Needs {
        balanced(self.images_per_class, self.sampling.as_ref())
    }

    fn build(&self, encoder: Encoder, features: usize, _: u64, device: &Device) -> (MahalanobisEmbedder, NoMemory) {
        let metric = Param::from_tensor(Tensor::<2>::eye(features, device));
        (MahalanobisEmbedder { encoder, metric }, NoMemory::new())
    }

    fn staged(&self) -> Option<&dyn Staged<MahalanobisEmbedder, NoMemory>> {
        Some(self)
    }

    fn encoder<'a>(&self, model: &'a MahalanobisEmbedder) -> &'a Encoder {
        &model.encoder
    }

    fn components(&self, model: &MahalanobisEmbedder) -> Option<Tensor<2>> {
        Some(model.metric.val().detach().transpose())
    }
}

impl Staged<MahalanobisEmbedder, NoMemory> for DeepMahalanobis {
    fn embed(&self, model: &MahalanobisEmbedder, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        let features = forward_views(views, |x| model.encoder.forward(x)); // [views n, features]
        features.matmul(model.metric.val()).chunk(views.len(), 0) // [n, features] each
    }

    fn loss(
        &self,
        model: &MahalanobisEmbedder,
        _: &mut NoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        let penalty = away_from_identity(model.metric.val()).mul_scalar(self.penalty);
        Ok(mined(batch, DISTANCE, self.mining, &self.loss)? + penalty)
    }
}

/// `|L^T L - I|^2` a feature, `[1]`; `map` is `L^T`.
pub(super) fn away_from_identity(map: Tensor<2>) -> Tensor<1> {
    let [features, _] = map.dims();
    let identity = Tensor::<2>::eye(features, &map.device());
    let away = map.clone().matmul(map.transpose()) - identity; // [features, features]
    away.powi_scalar(2).sum().div_scalar(features as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use nearfar_core::{
        data::Shape,
        encoder::{Architecture, EncoderConfig},
    };

    #[test]
    fn the_penalty_is_zero_at_the_start_and_grows_with_the_map() {
        let device = Device::flex().autodiff();
        let identity = Tensor::<2>::eye(3, &device);
        assert_eq!(away_from_identity(identity.clone()).into_scalar::<f32>(), 0.0);
        // L = 2 I: M - I = 3 I, whose squares add up to 9 a feature.
        let map = identity.mul_scalar(2.0).require_grad();
        let penalty = away_from_identity(map.clone());
        let slopes = map.grad(&penalty.clone().backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        assert!((penalty.into_scalar::<f32>() - 9.0).abs() < 1e-5);
        // d (l^2 - 1)^2 / 3 features = 4 l (l^2 - 1) / 3 = 8.
        let expected = [8.0, 0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 8.0];
        assert!(slopes.iter().zip(expected).all(|(s, e): (&f32, f32)| (s - e).abs() < 1e-5), "{slopes:?}");
    }

    #[test]
    fn components_are_the_transposed_map() {
        let device = Device::flex();
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let encoder = EncoderConfig { architecture: Architecture::Conv4, width: 2 }.init(shape, 0, &device).unwrap();
        let method = DeepMahalanobis::default();
        let (mut model, _) = method.build(encoder, 2, 0, &device);
        let components =
            |model: &MahalanobisEmbedder| method.components(model).unwrap().try_into_vec_as::<f32>().unwrap();
        assert_eq!(components(&model), [1.0, 0.0, 0.0, 1.0]);
        let map = Tensor::<2>::from_data(TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]), &device);
        model.metric = Param::from_tensor(map);
        assert_eq!(components(&model), [1.0, 3.0, 2.0, 4.0]);
    }

    #[test]
    fn settings_outside_their_ranges_are_refused() {
        assert!(DeepMahalanobis::default().validate().is_ok());
        for penalty in [-1.0, f64::NAN, f64::INFINITY] {
            let error = DeepMahalanobis { penalty, ..DeepMahalanobis::default() }.validate().unwrap_err();
            assert!(matches!(error, MetricError::Setting { name: "penalty", .. }), "{error}");
        }
        assert!(DeepMahalanobis { images_per_class: 1, ..DeepMahalanobis::default() }.validate().is_err());
    }
}
