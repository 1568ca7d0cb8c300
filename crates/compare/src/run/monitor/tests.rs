use super::*;
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Tensor, TensorData},
};
use contrastive::SimClr;
use nearfar_core::{
    augment::{Normalization, Recipe},
    data::{Inputs, Shape},
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{Health, Method, Passes, TrainConfig, TrainData, train},
};
use nearfar_eval::knn;
use std::time::Duration;

const SHAPE: Shape = Shape { channels: 1, height: 8, width: 8 };
const ENCODER: EncoderConfig = EncoderConfig { architecture: Architecture::Conv4, width: 4 };
const BOTH: [MonitorKind; 2] = [MonitorKind::Knn, MonitorKind::Linear];

/// Three classes of 8x8 images, each bright in its own rows.
fn images(n: usize) -> Dataset {
    let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
    let value = |image: usize, p: usize| {
        let noise = (image * 31 + p * 17) % 50;
        (if p / 8 / 3 == image % 3 { 150 } else { 20 }) + noise as u8
    };
    Dataset {
        name: "bars".into(),
        inputs: Inputs::Images {
            pixels: (0..n * 64).map(|i| value(i / 64, i % 64)).collect(),
            channels: 1,
            height: 8,
            width: 8,
        },
        labels: Some(labels),
        class_names: ["top", "middle", "bottom"].map(Into::into).to_vec(),
        groups: None,
    }
}

fn augmenter(data: &Dataset) -> Augmenter {
    let recipe = Recipe { flip: 0.5, ..Recipe::none() };
    Augmenter::new(&[recipe.clone(), recipe], Normalization::of(&data.inputs), 3).unwrap()
}

/// Every number of an encoder, its running statistics too.
fn bits(encoder: &Encoder) -> Vec<u32> {
    struct All(Vec<u32>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().try_into_vec_as::<f32>().unwrap();
            self.0.extend(values.into_iter().map(f32::to_bits));
        }
    }
    let mut all = All(Vec::new());
    encoder.valid().visit(&mut all);
    all.0
}

/// Two epochs of SimCLR: the encoder that came of it.
fn trained(train_set: &Dataset, augmenter: &Augmenter, device: &Device, observer: &mut dyn Observer) -> Encoder {
    let encoder = ENCODER.init(SHAPE, 3, device).unwrap();
    let config = TrainConfig {
        batch: 12,
        passes: Passes::Whole,
        steps: 8,
        steps_per_epoch: 4,
        seed: 3,
        optimizer: OptimizerConfig::default(),
        checkpoints: None,
    };
    let method = SimClr { hidden: 8, output: 4, ..SimClr::default() };
    let data = TrainData { dataset: train_set, augmenter };
    let trained = train(&method, encoder, ENCODER.features(), data, &config, device, observer).unwrap();
    method.encoder(&trained.model).clone()
}

#[test]
fn the_encoder_is_the_same_to_the_last_bit_with_and_without() {
    let (train_set, validation) = (images(60), images(15));
    let augmenter = augmenter(&train_set);
    let device = Device::flex().autodiff();
    let features = ENCODER.features();
    let watched =
        Watched { train: &train_set, validation: &validation, augmenter: &augmenter, features, device: &device };
    let without = trained(&train_set, &augmenter, &device, &mut ());
    let mut monitor = Monitor::new(&BOTH, watched).unwrap().unwrap();
    let encoder = trained(&train_set, &augmenter, &device, &mut monitor);
    assert_eq!(bits(&encoder), bits(&without));
    assert!(monitor.newest().contains(" knn.validation "), "{}", monitor.newest());
    let (values, notes) = monitor.finish();
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(values.keys().collect::<Vec<_>>(), ["knn.validation", "linear.batches", "linear.validation"]);
    for (name, values) in &values {
        assert!(values.len() == 2 && values.iter().all(|v| (0.0..=1.0).contains(v)), "{name}: {values:?}");
    }
    let read = |set: &Dataset| embed::embed(&encoder, set, &augmenter, &device);
    let (bank, rows) = (read(&train_set), read(&validation));
    let (of_bank, of_rows) = (train_set.labels().unwrap(), validation.labels().unwrap());
    let last = knn((&bank, of_bank), (&rows, of_rows), &KnnConfig::default()).unwrap();
    assert_eq!(values["knn.validation"][1], last.accuracy);
}

#[test]
fn going_on_from_what_was_saved_gives_the_same_values() {
    let (train_set, validation) = (images(60), images(15));
    let augmenter = augmenter(&train_set);
    let device = Device::flex().autodiff();
    let features = ENCODER.features();
    let watched =
        Watched { train: &train_set, validation: &validation, augmenter: &augmenter, features, device: &device };
    let encoder = ENCODER.init(SHAPE, 3, &device).unwrap();
    let drive = |monitor: &mut Monitor<'_>, steps: std::ops::Range<usize>| {
        for step in steps {
            let indices: Vec<usize> = (0..12).map(|i| (5 * step + i) % 60).collect();
            let view = TensorData::new(augmenter.plain(&train_set.inputs, &indices), [12, 1, 8, 8]);
            let views = vec![Tensor::from_data(view, &device)];
            monitor.batch(&Batch { views, labels: Vec::new(), indices }, &encoder);
            if step % 3 == 2 {
                let (loss, health, elapsed) = (1.0, Health::default(), Duration::ZERO);
                monitor.epoch(&EpochEvent { epoch: step / 3 + 1, loss, health, elapsed, encoder: &encoder });
            }
        }
    };
    let new = || Monitor::new(&BOTH, watched).unwrap().unwrap();
    let mut whole = new();
    drive(&mut whole, 0..9);
    let mut stopped = new();
    drive(&mut stopped, 0..4);
    let file = serde_json::to_vec(&stopped.save()).unwrap();
    let mut resumed = new();
    resumed.restore(&serde_json::from_slice(&file).unwrap());
    drive(&mut resumed, 4..9);
    assert_eq!(resumed.state, whole.state);
    assert_eq!(whole.finish().0["linear.batches"].len(), 3);

    // A checkpoint without them is no reason to stop, but is said.
    let mut bare = new();
    bare.restore(&serde_json::Value::Null);
    drive(&mut bare, 4..9);
    let (values, notes) = bare.finish();
    assert!(values.is_empty() && notes.len() == 1 && notes[0].contains("checkpoint"), "{notes:?}");
}

#[test]
fn names_are_read_once_and_typos_answered() {
    assert_eq!(MonitorKind::parse_list("linear, knn,linear").unwrap(), [MonitorKind::Linear, MonitorKind::Knn]);
    assert!(MonitorKind::parse_list("liner").unwrap_err().to_string().contains("did you mean `linear`?"));
    let mut unlabelled = images(6);
    unlabelled.labels = None;
    let (augmenter, device) = (augmenter(&unlabelled), Device::flex());
    let watched =
        Watched { train: &unlabelled, validation: &unlabelled, augmenter: &augmenter, features: 4, device: &device };
    assert!(Monitor::new(&[], watched).unwrap().is_none());
    assert!(Monitor::new(&BOTH, watched).is_err());
}
