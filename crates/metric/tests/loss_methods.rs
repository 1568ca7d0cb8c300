//! Every loss and every miner of the table through the training loop.

use burn::tensor::Device;
use metric::{
    Distance, MetricError, Reducer,
    losses::class::{ArcFace, ProxyNca},
    methods::{LossModel, LossSettings, LossTraining, MinerSettings, Weak, WeakTraining},
    weak::{Chunks, Pairs, Quadruplets, Triplets, WeakError},
};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{Dataset, Inputs},
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{Method, Passes, Sampling, TrainConfig, TrainData, TrainError, Trained, train},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Mlp, width: 8 };
    let encoder = config.init(data.shape(), 3, &device).unwrap();
    let augmenter = Augmenter::new(&[Recipe::none()], Normalization::of(&data.inputs), 3).unwrap();
    let train_config = TrainConfig {
        batch: 12,
        passes: Passes::Whole,
        steps,
        steps_per_epoch: steps.div_ceil(2),
        seed: 3,
        optimizer: OptimizerConfig { learning_rate: 1e-2, ..OptimizerConfig::default() },
        checkpoints: None,
    };
    let data = TrainData { dataset: data, augmenter: &augmenter };
    train(method, encoder, config.features(), data, &train_config, &device, &mut ())
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
fn settings_are_checked_before_a_run() {
    let new = LossTraining::new;
    let setting = |training: LossTraining, classes, wanted: &str| match training.method(classes) {
        Err(MetricError::Setting { name, .. }) => assert_eq!(name, wanted),
        other => panic!("{wanted}: {other:?}"),
    };
    setting(new(LossSettings::ArcFace(ArcFace { scale: 0.0, ..ArcFace::default() })), CLASSES, "scale");
    setting(new(LossSettings::ArcFace(ArcFace::default())), 1, "classes");
    setting(LossTraining { images_per_class: Some(1), ..LossTraining::default() }, CLASSES, "images_per_class");
    let reducer = Reducer::ClassWeighted { weights: vec![1.0, 2.0] };
    let few = new(LossSettings::ProxyNca(ProxyNca { reducer, ..ProxyNca::default() }));
    assert_eq!(few.method(CLASSES).unwrap_err(), MetricError::ClassWeight { class: 2, classes: 2 });
}

#[test]
fn a_settings_file_names_what_it_changes() {
    let text = r#"{ "loss": { "name": "circle" }, "miner": { "name": "n_hard" }, "images_per_class": 3 }"#;
    let training: LossTraining = serde_json::from_str(text).unwrap();
    assert_eq!(training.loss, LossSettings::parse("circle").unwrap());
    assert_eq!(training.miner, Some(MinerSettings::parse("n_hard").unwrap()));
    assert_eq!((training.distance, training.images_per_class), (None, Some(3)));
}

#[test]
fn what_a_person_says_trains_without_labels() {
    let labelled = images(48);
    let known: Vec<Option<usize>> = labelled.labels.iter().flatten().copied().map(Some).collect();
    let data = Dataset { labels: None, ..labelled };
    let said = [
        ("contrastive", Weak::Pairs(Pairs::from_labels(&known, 200, 0).unwrap())),
        ("triplet_margin", Weak::Triplets(Triplets::from_labels(&known, 4000, 0).unwrap())),
        ("contrastive", Weak::Quadruplets(Quadruplets::from_labels(&known, 200, 0).unwrap())),
        ("contrastive", Weak::Chunks(Chunks::from_labels(&known, 12, 4, 0).unwrap())),
    ];
    for (loss, weak) in said {
        let training = WeakTraining { loss: LossSettings::parse(loss).unwrap(), distance: None };
        let trained = run_method(&training.method(weak, data.len()).unwrap(), &data, 40).unwrap();
        assert!(trained.losses[1] < trained.losses[0], "{loss}: {:?}", trained.losses);
    }
    let pairs = || Weak::Pairs(Pairs { pairs: vec![[0, 50]], same: vec![true] });
    assert!(matches!(WeakTraining::default().method(pairs(), 48), Err(WeakError::Row { row: 50, rows: 48, .. })));
    let classes = WeakTraining { loss: LossSettings::parse("arcface").unwrap(), distance: None };
    assert!(matches!(classes.method(pairs(), 60), Err(WeakError::Metric(MetricError::Settings(_)))));
}
