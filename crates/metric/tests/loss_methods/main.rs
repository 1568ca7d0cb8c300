//! Every loss and every miner of the table through the training loop.

#![recursion_limit = "256"] // Burn's types nest deeply

mod refusals;
mod weak;

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance,
    losses::Instance,
    methods::{LossModel, LossSettings, LossTraining, MinerSettings},
};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{DataError, Dataset, Inputs},
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{
        Batch, Method, Needs, Observer, Passes, Progress, Sampling, StepEvent, TrainConfig, TrainData, TrainError,
        Trained, train,
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{ops::ControlFlow, path::Path};

const CLASSES: usize = 3;

/// Three classes of noisy 6x6 images, each bright in its own rows.
fn images(n: usize) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let labels: Vec<usize> = (0..n).map(|i| i % CLASSES).collect();
    let bright = |label: usize, pixel: usize| if pixel / 6 / 2 == label { 120 } else { 20 };
    let pixels = labels.iter().flat_map(|label| (0..36).map(|p| bright(*label, p)).collect::<Vec<u8>>());
    let pixels = pixels.map(|base| base + rng.random_range(0..60u8)).collect();
    Dataset {
        name: "bars".into(),
        inputs: Inputs::Images { pixels, channels: 1, height: 6, width: 6 },
        labels: Some(labels),
        class_names: ["top", "middle", "bottom"].map(Into::into).to_vec(),
        groups: None,
    }
}

/// Trains `method` on `data` for `steps` steps of 12 images.
fn run_method<M: Method>(method: &M, data: &Dataset, steps: usize) -> Result<Trained<M::Model>, TrainError> {
    run_stored(method, data, steps, None, &mut ())
}

/// The same with checkpoints, in two epochs.
fn run_stored<M: Method>(
    method: &M,
    data: &Dataset,
    steps: usize,
    checkpoints: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<Trained<M::Model>, TrainError> {
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Mlp, width: 8 };
    let encoder = config.init(data.shape(), 3, &device).unwrap();
    let augmenter = Augmenter::new(&[Recipe::none()], Normalization::of(&data.inputs), 3).unwrap();
    let augmenter = augmenter.with_views(method.needs().views);
    let train_config = TrainConfig {
        batch: 12,
        passes: Passes::Whole,
        steps,
        steps_per_epoch: steps.div_ceil(2),
        seed: 3,
        optimizer: OptimizerConfig { learning_rate: 1e-2, ..OptimizerConfig::default() },
        checkpoints: checkpoints.map(Into::into),
    };
    let data = TrainData { dataset: data, augmenter: &augmenter };
    train(method, encoder, config.features(), data, &train_config, &device, observer)
}

fn run(training: LossTraining, steps: usize) -> Result<Trained<LossModel>, TrainError> {
    run_method(&training.method(CLASSES).unwrap(), &images(48), steps)
}

#[test]
fn every_loss_of_the_table_trains() {
    for name in LossSettings::names() {
        let trained = run(LossTraining::new(LossSettings::parse(name).unwrap()), 4);
        let trained = trained.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(trained.finished && trained.losses.iter().all(|l| l.is_finite()), "{name}: {:?}", trained.losses);
    }
}

#[test]
fn every_miner_of_the_table_goes_with_both_kinds_of_losses() {
    for (name, _) in MinerSettings::LISTING {
        for loss in ["multi_similarity", "proxy_nca"] {
            let miner = Some(MinerSettings::parse(name).unwrap());
            let training = LossTraining { miner, ..LossTraining::new(LossSettings::parse(loss).unwrap()) };
            let distance = Some(Distance::default());
            let trained = run(LossTraining { distance, ..training }, 2);
            trained.unwrap_or_else(|e| panic!("{loss} with {name}: {e}"));
        }
    }
}

#[test]
fn class_weights_are_trained_with_the_encoder() {
    let training = LossTraining::new(LossSettings::parse("normalized_softmax").unwrap());
    let weights = |steps| {
        let trained = run(training.clone(), steps).unwrap();
        let weights = trained.model.head().expect("a class loss").weights();
        (weights.try_into_vec_as::<f32>().unwrap(), trained.losses)
    };
    let (first, _) = weights(1);
    let (last, losses) = weights(60);
    let moved = first.iter().zip(&last).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(moved > 0.05, "{moved}");
    assert!(losses[1] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn batches_suit_the_loss() {
    let sampling = |training: LossTraining| training.method(CLASSES).unwrap().needs().sampling;
    let new = |name| LossTraining::new(LossSettings::parse(name).unwrap());
    assert_eq!(sampling(new("circle")), Sampling::PerClass { images: 4 });
    assert_eq!(sampling(new("arcface")), Sampling::Shuffled);
    let miner = Some(MinerSettings::BatchHard);
    assert_eq!(sampling(LossTraining { miner, ..new("arcface") }), Sampling::PerClass { images: 4 });
    let chosen = LossTraining { images_per_class: Some(2), ..new("arcface") };
    assert_eq!(sampling(chosen), Sampling::PerClass { images: 2 });
    assert_eq!(new("proxy_anchor").method(CLASSES).unwrap().name(), "proxy_anchor");
}

#[test]
fn a_settings_file_names_what_it_changes() {
    let text = r#"{ "loss": { "name": "circle" }, "miner": { "name": "n_hard" }, "images_per_class": 3 }"#;
    let training: LossTraining = serde_json::from_str(text).unwrap();
    assert_eq!(training.loss, LossSettings::parse("circle").unwrap());
    assert_eq!(training.miner, Some(MinerSettings::parse("n_hard").unwrap()));
    assert_eq!((training.distance, training.images_per_class), (None, Some(3)));
}

struct StopAt(usize);

impl Observer for StopAt {
    fn step(&mut self, event: &StepEvent) -> ControlFlow<()> {
        if event.step == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_loss_with_a_memory_goes_on_where_it_was() {
    let data = images(48);
    let method = LossTraining::new(LossSettings::parse("dynamic_soft_margin").unwrap()).method(CLASSES).unwrap();
    let whole = run_method(&method, &data, 16).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let part = run_stored(&method, &data, 16, Some(dir.path()), &mut StopAt(5)).unwrap();
    assert!(!part.finished && part.steps == 5);
    let rest = run_stored(&method, &data, 16, Some(dir.path()), &mut ()).unwrap();
    // The first epoch of the resumed run has the losses of its last three steps only.
    let (whole, rest) = (whole.losses[1], rest.losses[1]);
    assert!((whole - rest).abs() <= 1e-5 * whole.abs(), "{whole} and {rest}");
}

#[test]
fn the_histogram_of_gaps_is_kept_between_steps() {
    let (data, device) = (images(12), Device::flex().autodiff());
    let method = LossTraining::new(LossSettings::parse("dynamic_soft_margin").unwrap()).method(CLASSES).unwrap();
    let config = EncoderConfig { architecture: Architecture::Mlp, width: 8 };
    let (model, mut memory) = method.build(config.init(data.shape(), 3, &device).unwrap(), 8, 0, &device);
    assert!(memory.gaps().unwrap().shares().is_empty());
    let batch = whole(&data, &device);
    let at = Progress { step: 0, steps: 2, seed: 0 };
    method.objective(&model, &mut memory, &batch, at).unwrap();
    let first = memory.gaps().unwrap();
    assert_eq!(first.shares().len(), 11);
    assert!((first.shares().iter().sum::<f64>() - 1.0).abs() < 1e-6, "{first:?}");
    let other = Batch { labels: (0..12).map(|i| i / 4).collect(), ..batch };
    method.objective(&model, &mut memory, &other, at).unwrap();
    assert_ne!(memory.gaps().unwrap(), first);
}

/// All items of `data` as one batch, in order.
fn whole(data: &Dataset, device: &Device) -> Batch {
    let (n, shape) = (data.len(), data.shape());
    let values: Vec<f32> = data.features().as_slice().to_vec();
    let dims = [n, shape.channels, shape.height, shape.width];
    let view = Tensor::<4>::from_data(TensorData::new(values, dims), device);
    Batch { views: vec![view], labels: data.labels.clone().unwrap(), indices: (0..n).collect() }
}

#[test]
fn manifold_has_a_proxy_a_class_and_instance_no_labels() {
    let new = |name| LossTraining::new(LossSettings::parse(name).unwrap());
    let trained = run(new("manifold"), 2).unwrap();
    assert_eq!(trained.model.manifold().expect("proxies").proxies().dims(), [CLASSES, 8]);
    // At the default scale the loss of two equal views is nearly nothing from the start.
    let loss = LossSettings::Instance(Instance { gamma: 4.0, ..Instance::default() });
    let method = LossTraining::new(loss).method(CLASSES).unwrap();
    assert_eq!(method.needs(), Needs { views: 2, labels: false, sampling: Sampling::Shuffled });
    let data = Dataset { labels: None, ..images(48) };
    let trained = run_method(&method, &data, 60).unwrap();
    assert!(trained.losses[1] < trained.losses[0], "{:?}", trained.losses);
}

#[test]
fn groups_of_the_data_make_batches_and_are_asked_for() {
    let with = |groups: Option<Vec<usize>>| Dataset { groups, ..images(48) };
    let cameras = with(Some((0..48).map(|i| i / 3 % 4).collect()));
    let training = |sampling| LossTraining { sampling: Some(sampling), ..LossTraining::default() };
    let cross = training(Sampling::CrossGroups { groups: 2 }).method(CLASSES).unwrap();
    assert!(run_method(&cross, &cameras, 4).unwrap().finished);
    let error = run_method(&cross, &with(None), 4).err().expect("no groups");
    assert!(matches!(error, TrainError::Data(DataError::NoGroups { .. })), "{error}");
    let above = with(Some((0..48).map(|i| i % CLASSES / 2).collect()));
    let within = training(Sampling::Hierarchical { super_classes: 1, images: 2 }).method(CLASSES).unwrap();
    assert!(run_method(&within, &above, 4).unwrap().finished);
}
