//! Gradient caching of the supervised contrastive method equals the whole batch.

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use metric::methods::SupConMethod;
use nearfar_core::{
    data::Shape,
    encoder::{Architecture, EncoderConfig},
    train::{Batch, Method, Passes, Progress, TrainError},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HALF: usize = 6;
const SHAPE: Shape = Shape { channels: 1, height: 8, width: 8 };

/// A batch whose second half repeats the first: both halves have the batch statistics of the whole, so that batch norm
/// does not tell two chunks from one batch.
fn doubled(views: usize, device: &Device) -> Batch {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut view = || {
        let half: Vec<f32> = (0..HALF * 64).map(|_| rng.random_range(-1.0..1.0f32)).collect();
        Tensor::<4>::from_data(TensorData::new(half.repeat(2), [2 * HALF, 1, 8, 8]), device)
    };
    let views = (0..views).map(|_| view()).collect();
    Batch { views, labels: [0, 1, 2, 0, 1, 2].repeat(2), indices: (0..2 * HALF).collect() }
}

struct Collect<'a>(&'a GradientsParams, Vec<f32>);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let gradient = self.0.get::<D>(param.id).expect("a trained parameter without a gradient");
            self.1.extend(gradient.try_into_vec_as::<f32>().unwrap());
        }
    }
}

/// Loss and all gradients of the first step.
fn first_step(method: &SupConMethod, passes: Passes, device: &Device) -> (f32, Vec<f32>) {
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 4 };
    let encoder = config.init(SHAPE, 3, device).unwrap();
    let (model, mut memory) = method.build(encoder, config.features(), 4, device);
    let at = Progress { step: 0, steps: 1, seed: 0 };
    let step = passes.step(method, &model, &mut memory, &doubled(method.views, device), at).unwrap();
    let mut collect = Collect(&step.gradients, Vec::new());
    model.visit(&mut collect);
    (step.loss.into_scalar::<f32>(), collect.1)
}

#[test]
#[allow(deprecated)] // Burn recommends Flex; this project keeps NdArray beside it.
fn cached_chunks_equal_the_whole_batch() {
    for device in [Device::flex().autodiff(), Device::ndarray().autodiff()] {
        for method in
            [SupConMethod::default(), SupConMethod { views: 2, projector: Some([8, 4]), ..SupConMethod::default() }]
        {
            let (whole_loss, whole) = first_step(&method, Passes::Whole, &device);
            let (loss, cached) = first_step(&method, Passes::Chunks(HALF), &device);
            assert!((loss - whole_loss).abs() <= 1e-4 * whole_loss.abs(), "{loss} {whole_loss}");
            let largest = whole.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            assert_eq!(cached.len(), whole.len());
            for (got, wanted) in cached.iter().zip(&whole) {
                assert!((got - wanted).abs() <= 2e-3 * largest, "{got} {wanted}");
            }
        }
    }
}

/// A loss that cannot be computed is an error, not a number, whichever way the batch passes.
#[test]
fn a_batch_with_too_few_labels_is_refused_with_the_reason() {
    let device = Device::flex().autodiff();
    let method = SupConMethod::default();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 4 };
    for passes in [Passes::Whole, Passes::Chunks(HALF)] {
        let encoder = config.init(SHAPE, 3, &device).unwrap();
        let (model, mut memory) = method.build(encoder, config.features(), 4, &device);
        let batch = Batch { labels: vec![0, 1, 2], ..doubled(1, &device) };
        let at = Progress { step: 0, steps: 1, seed: 0 };
        let error = passes.step(&method, &model, &mut memory, &batch, at).err().expect("labels are missing");
        assert!(matches!(error, TrainError::NoLoss { method: "supcon", step: 1, .. }), "{error}");
        assert!(error.to_string().contains("came with 3 labels"), "{error}");
    }
}
