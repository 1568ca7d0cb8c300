//! The training loop through a real method: resumption, order, and errors.

use burn::tensor::Device;
use metric::{
    mahalanobis::Mahalanobis,
    methods::{DeepMahalanobis, SupConMethod, TripletMethod},
};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{Dataset, Inputs},
    encoder::{Architecture, Encoder, EncoderConfig},
    optim::OptimizerConfig,
    train::{
        Batch, CheckpointError, EpochEvent, Method, Observer, Passes, PassesError, StepEvent, TrainConfig, TrainData,
        TrainError, Trained, latest, train,
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{ops::ControlFlow, path::Path};

/// Three classes of noisy 8x8 images, each bright in its own rows.
fn images(n: usize) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
    let mut pixels = Vec::with_capacity(n * 64);
    for label in &labels {
        for p in 0..64 {
            let bright = if p / 8 / 3 == *label { 120 } else { 20 };
            pixels.push(bright + rng.random_range(0..100u8));
        }
    }
    Dataset {
        name: "bars".into(),
        inputs: Inputs::Images { pixels, channels: 1, height: 8, width: 8 },
        labels: Some(labels),
        class_names: ["top", "middle", "bottom"].map(Into::into).to_vec(),
        groups: None,
    }
}

struct StopAt(usize);

impl Observer for StopAt {
    fn step(&mut self, event: &StepEvent) -> ControlFlow<()> {
        if event.step == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn run(
    data: &Dataset,
    checkpoints: Option<&Path>,
    learning_rate: f64,
    observer: &mut dyn Observer,
) -> Result<Trained<metric::methods::Embedder>, TrainError> {
    run_method(&TripletMethod::default(), data, checkpoints, learning_rate, observer)
}

fn run_method<M: Method>(
    method: &M,
    data: &Dataset,
    checkpoints: Option<&Path>,
    learning_rate: f64,
    observer: &mut dyn Observer,
) -> Result<Trained<M::Model>, TrainError> {
    run_passing(method, Passes::Whole, data, checkpoints, learning_rate, observer)
}

fn run_passing<M: Method>(
    method: &M,
    passes: Passes,
    data: &Dataset,
    checkpoints: Option<&Path>,
    learning_rate: f64,
    observer: &mut dyn Observer,
) -> Result<Trained<M::Model>, TrainError> {
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 6 };
    let encoder = config.init(data.shape(), 3, &device).unwrap();
    let recipe = Recipe { flip: 0.5, ..Recipe::none() };
    let augmenter = Augmenter::new(&[recipe], Normalization::of(&data.inputs), 3).unwrap();
    let train_config = TrainConfig {
        batch: 12,
        passes,
        steps: 20,
        steps_per_epoch: 5,
        seed: 3,
        optimizer: OptimizerConfig { learning_rate, ..OptimizerConfig::default() },
        checkpoints: checkpoints.map(Into::into),
    };
    let data = TrainData { dataset: data, augmenter: &augmenter };
    train(method, encoder, config.features(), data, &train_config, &device, observer)
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    // Burn restores optimiser states on its default device; Flex comes before NdArray there.
    let data = images(60);
    let whole = run(&data, None, 1e-3, &mut ()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let part = run(&data, Some(dir.path()), 1e-3, &mut StopAt(10)).unwrap();
    assert!(!part.finished && part.steps == 10);
    let rest = run(&data, Some(dir.path()), 1e-3, &mut ()).unwrap();
    assert!(rest.finished && rest.steps == 20);
    assert_eq!(rest.losses.len(), 4);
    for (a, b) in whole.losses.iter().zip(&rest.losses) {
        assert!((a - b).abs() < 1e-5, "{:?} {:?}", whole.losses, rest.losses);
    }
    assert_eq!(latest(dir.path()).unwrap().file_name().unwrap(), "step-00000020");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "older checkpoints are removed");
}

#[test]
fn the_checkpoint_of_another_run_is_refused() {
    let (data, dir) = (images(60), tempfile::tempdir().unwrap());
    let here = Some(dir.path());
    let method = TripletMethod::default();
    run(&data, here, 1e-3, &mut StopAt(5)).unwrap();
    let mut other = data.clone();
    other.labels.as_mut().unwrap().swap(0, 59);
    let mut wide = method.clone();
    wide.loss.margin *= 2.0;
    let refused = [
        run(&data, here, 2e-3, &mut ()).err(),
        run(&other, here, 1e-3, &mut ()).err(),
        run(&images(57), here, 1e-3, &mut ()).err(),
        run_method(&wide, &data, here, 1e-3, &mut ()).err(),
        run_passing(&method, Passes::Chunks(5), &data, here, 1e-3, &mut ()).err(),
    ];
    for (which, error) in refused.into_iter().enumerate() {
        let foreign = matches!(error, Some(TrainError::Checkpoint(CheckpointError::Foreign { .. })));
        assert!(foreign, "{which}: {error:?}");
    }
    assert!(run(&data, here, 1e-3, &mut ()).unwrap().finished, "the run that it belongs to goes on");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = images(60);
    // The first loss is that of the initial weights.
    run(&data, Some(dir.path()), f64::MAX, &mut StopAt(1)).unwrap();
    let error = run(&data, Some(dir.path()), f64::MAX, &mut ()).err().expect("diverges");
    assert!(matches!(&error, TrainError::NonFinite { checkpoint: Some(_), .. }), "{error}");
    assert!(latest(dir.path()).is_some());
    data.labels = None;
    assert!(run(&data, None, 1e-3, &mut ()).err().unwrap().to_string().contains("no labels"));
}

#[test]
fn a_batch_larger_than_the_data_is_refused() {
    let message = run(&images(9), None, 1e-3, &mut ()).err().unwrap().to_string();
    assert!(message.contains("batch of 12") && message.contains("9 images"), "{message}");
}

#[test]
fn a_deep_metric_moves_away_from_the_identity_and_is_a_distance() {
    let method = DeepMahalanobis::default();
    let trained = run_method(&method, &images(60), None, 1e-2, &mut ()).unwrap();
    let map = method.components(&trained.model).unwrap().try_into_vec_as::<f32>().unwrap();
    let components: Vec<f64> = map.into_iter().map(f64::from).collect();
    let identity = |at: usize| if at.is_multiple_of(7) { 1.0 } else { 0.0 }; // 6 x 6
    assert!(components.iter().enumerate().any(|(at, v)| (v - identity(at)).abs() > 1e-3), "{components:?}");
    assert!(Mahalanobis::new(components, 6).is_ok());
}

#[test]
fn what_compares_a_batch_trains_in_chunks_but_not_in_parts() {
    fn check<M: Method>(method: &M, data: &Dataset) {
        let (name, chunks) = (method.name(), Passes::Chunks(5));
        let trained = run_passing(method, chunks, data, None, 1e-3, &mut ()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(trained.finished && trained.losses.iter().all(|l| l.is_finite()), "{name}: {:?}", trained.losses);
        match run_passing(method, Passes::Parts(2), data, None, 1e-3, &mut ()).err() {
            Some(TrainError::Passes(reason)) => {
                assert_eq!(reason, PassesError::ComparesBatch { method: name, parts: 2 });
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let data = images(60);
    check(&SupConMethod::default(), &data);
    check(&TripletMethod::default(), &data);
    check(&DeepMahalanobis::default(), &data);
}

/// Counts what it is shown, and stops after a step.
#[derive(Default)]
struct Watch {
    stop_at: Option<usize>,
    seen: Vec<usize>,
    epochs: Vec<usize>,
}

impl Observer for Watch {
    fn step(&mut self, event: &StepEvent) -> ControlFlow<()> {
        if self.stop_at == Some(event.step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn watches_batches(&self) -> bool {
        true
    }

    fn batch(&mut self, batch: &Batch, _: &Encoder) {
        self.seen.extend(&batch.indices);
    }

    fn epoch(&mut self, event: &EpochEvent<'_>) {
        self.epochs.push(event.epoch);
    }

    fn save(&self) -> serde_json::Value {
        serde_json::json!([self.seen, self.epochs])
    }

    fn restore(&mut self, saved: &serde_json::Value) {
        (self.seen, self.epochs) = serde_json::from_value(saved.clone()).unwrap();
    }
}

#[test]
fn what_an_observer_keeps_outlives_a_stop_within_an_epoch() {
    let data = images(60);
    let mut unstopped = Watch::default();
    let whole = run(&data, None, 1e-3, &mut unstopped).unwrap();
    assert_eq!(unstopped.seen.len(), 20 * 12);
    assert_eq!(unstopped.epochs, [1, 2, 3, 4]);
    let dir = tempfile::tempdir().unwrap();
    run(&data, Some(dir.path()), 1e-3, &mut Watch { stop_at: Some(7), ..Watch::default() }).unwrap();
    let mut resumed = Watch::default();
    let rest = run(&data, Some(dir.path()), 1e-3, &mut resumed).unwrap();
    assert_eq!((&resumed.seen, &resumed.epochs), (&unstopped.seen, &unstopped.epochs));
    // The second epoch's mean has the two losses from before the stop.
    assert_eq!(rest.losses.len(), 4);
    for (a, b) in whole.losses.iter().zip(&rest.losses) {
        assert!((a - b).abs() < 1e-5, "{:?} {:?}", whole.losses, rest.losses);
    }
}
