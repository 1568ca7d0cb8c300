//! Batches in chunks: gradient caching equals the whole batch, whatever the loss.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod norm_free;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use metric::{
    Distance,
    methods::{
        DeepMahalanobis, LossSettings, LossTraining, MinerSettings, Mining, Siamese, SupConMethod, TripletMethod,
        WeakTraining,
    },
    weak::{Pairs, Weak},
};
use nearfar_core::{
    data::Shape,
    encoder::{Architecture, EncoderConfig},
    optim::OptimizerConfig,
    train::{Batch, Embedded, Method, Passes, Progress, TrainError},
};
use norm_free::NormFree;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

const CLASSES: usize = 3;
const FEATURES: usize = 8;
const HALF: usize = 6;
const SHAPE: Shape = Shape { channels: 1, height: 8, width: 8 };

/// Images of a batch, and the chunks of at most four of them.
const IMAGES: usize = 11;
const CHUNKS: [Range<usize>; 3] = [0..3, 3..7, 7..11];

#[allow(deprecated)] // Burn recommends Flex; this project keeps NdArray beside it.
fn devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::ndarray().autodiff()]
}

fn at(step: usize) -> Progress {
    Progress { step, steps: 10, seed: 0 }
}

/// Views of random images, the classes in turn; the images are repeated so many times.
fn images(views: usize, images: usize, times: usize, device: &Device) -> Batch {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut view = || {
        let pixels: Vec<f32> = (0..images * SHAPE.size()).map(|_| rng.random_range(-1.0..1.0f32)).collect();
        Tensor::<4>::from_data(TensorData::new(pixels.repeat(times), [images * times, 1, 8, 8]), device)
    };
    let views = (0..views).map(|_| view()).collect();
    let labels: Vec<usize> = (0..images).map(|i| i % CLASSES).collect();
    Batch { views, labels: labels.repeat(times), indices: (0..images * times).collect() }
}

/// Every gradient of a model, one after the other; zeros where there is none.
struct Collect<'a>(&'a GradientsParams, Vec<f32>);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            match self.0.get::<D>(param.id) {
                Some(gradient) => self.1.extend(gradient.try_into_vec_as::<f32>().unwrap()),
                None => self.1.extend(vec![0.0f32; param.val().dims().iter().product()]),
            }
        }
    }
}

fn gradients<M: Module>(model: &M, from: &GradientsParams) -> Vec<f32> {
    let mut collect = Collect(from, Vec::new());
    model.visit(&mut collect);
    collect.1
}

/// Every number of a module.
#[derive(Default)]
struct Numbers(Vec<f32>);

impl ModuleVisitor for Numbers {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(param.val().try_into_vec_as::<f32>().unwrap());
    }
}

/// What a step gives, and what it leaves in the memory.
struct Taken {
    loss: Vec<f32>,
    gradients: Vec<f32>,
    memory: Vec<f32>,
}

impl Taken {
    fn new<M: Module, N: Module>(loss: Tensor<1>, from: &GradientsParams, model: &M, memory: &N) -> Self {
        let mut numbers = Numbers::default();
        memory.visit(&mut numbers);
        Self { loss: loss.try_into_vec_as::<f32>().unwrap(), gradients: gradients(model, from), memory: numbers.0 }
    }

    fn assert_equals(&self, wanted: &Self, what: &str) {
        assert!(wanted.gradients.iter().any(|g| *g != 0.0), "{what}: nothing is learnt");
        for (part, got, wanted) in [
            ("loss", &self.loss, &wanted.loss),
            ("gradient", &self.gradients, &wanted.gradients),
            ("memory", &self.memory, &wanted.memory),
        ] {
            assert_eq!(got.len(), wanted.len(), "{what}: {part}");
            let largest = wanted.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - wanted).abs() <= 2e-3 * largest + 1e-6, "{what}: {part} {got} instead of {wanted}");
            }
        }
    }
}

/// The second step.
fn second<M: Method>(method: &M, passes: Passes, model: &M::Model, memory: &M::Memory, batch: &Batch) -> Taken {
    let mut memory = memory.clone();
    let step = passes.step(method, model, &mut memory, batch, at(1)).unwrap();
    Taken::new(step.loss, &step.gradients, model, &memory)
}

/// Networks and memory after the first step, so that nothing is as special as it is at the start.
fn after_one_step<M: Method>(method: &M, batch: &Batch, device: &Device) -> (M::Model, M::Memory) {
    let config = EncoderConfig { architecture: Architecture::Mlp, width: FEATURES };
    let (model, mut memory) = method.build(config.init(SHAPE, 3, device).unwrap(), FEATURES, 4, device);
    let first = Passes::Whole.step(method, &model, &mut memory, batch, at(0)).unwrap();
    let mut optimizer = OptimizerConfig::default().init();
    let model = optimizer.step(1e-2, model, first.gradients);
    (model, memory)
}

/// Calls a generic function with every method: the whole table of losses, and a miner that draws.
macro_rules! for_every_method {
    ($check:ident) => {
        $check(&SupConMethod::default());
        $check(&SupConMethod { views: 2, projector: Some([8, 4]), ..SupConMethod::default() });
        $check(&Siamese::default());
        for mining in [Mining::All, Mining::BatchHard, Mining::SemiHard] {
            $check(&TripletMethod { mining, ..TripletMethod::default() });
        }
        // A penalty that counts beside the loss.
        $check(&DeepMahalanobis { penalty: 10.0, ..DeepMahalanobis::default() });
        let training = |name| LossTraining::new(LossSettings::parse(name).unwrap());
        for name in LossSettings::names() {
            $check(&training(name).method(CLASSES).unwrap());
        }
        for name in ["multi_similarity", "proxy_nca"] {
            let miner = Some(MinerSettings::parse("distance_weighted").unwrap());
            let mined = LossTraining { miner, distance: Some(Distance::default()), ..training(name) };
            $check(&mined.method(CLASSES).unwrap());
        }
        // The second pair stands in two chunks.
        let pairs = vec![[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]];
        let said = Weak::Pairs(Pairs { pairs, same: vec![true, true, false, true, false] });
        $check(&WeakTraining::default().method(said, IMAGES).unwrap());
    };
}

fn equals_the_whole_batch<M: Method>(method: &M) {
    let method = NormFree(method);
    for device in devices() {
        let batch = images(method.needs().views, IMAGES, 1, &device);
        let (model, memory) = after_one_step(&method, &batch, &device);
        let whole = second(&method, Passes::Whole, &model, &memory, &batch);
        for size in [4, 6, 100] {
            let chunks = second(&method, Passes::Chunks(size), &model, &memory, &batch);
            chunks.assert_equals(&whole, &format!("{} in chunks of {size}", method.name()));
        }
    }
}

#[test]
fn without_batch_norm_chunks_of_any_size_equal_the_whole_batch() {
    for_every_method!(equals_the_whole_batch);
}

/// The chunks pass with a graph, each with batch statistics of its own; one loss of all embeddings goes back through
/// all of them.
fn written_out<M: Method>(method: &M, model: &M::Model, memory: &M::Memory, batch: &Batch) -> Taken {
    let staged = method.staged().expect("the method is in stages");
    let mut memory = memory.clone();
    staged.prepare(model, &mut memory, at(1));
    let chunks: Vec<Vec<Tensor<2>>> =
        CHUNKS.iter().map(|chunk| staged.embed(model, &batch.part(chunk).views)).collect();
    let output = |i: usize| Tensor::cat(chunks.iter().map(|chunk| chunk[i].clone()).collect(), 0);
    let outputs = (0..chunks[0].len()).map(output).collect();
    let embedded = Embedded { outputs, targets: Vec::new(), labels: &batch.labels, indices: &batch.indices };
    let loss = staged.loss(model, &mut memory, &embedded, at(1)).unwrap();
    let from = GradientsParams::from_grads(loss.clone().backward(), model);
    Taken::new(loss, &from, model, &memory)
}

fn equals_the_graph_of_all_chunks<M: Method>(method: &M) {
    for device in devices() {
        let batch = images(method.needs().views, IMAGES, 1, &device);
        let (model, memory) = after_one_step(method, &batch, &device);
        let wanted = written_out(method, &model, &memory, &batch);
        second(method, Passes::Chunks(4), &model, &memory, &batch).assert_equals(&wanted, method.name());
    }
}

#[test]
fn with_batch_norm_chunks_equal_the_graph_of_all_of_them() {
    for_every_method!(equals_the_graph_of_all_chunks);
}

/// Loss and all gradients of the first step on a batch whose second half repeats the first: both halves have the batch
/// statistics of the whole, so that batch norm does not tell two chunks from one batch.
fn first_step(method: &SupConMethod, passes: Passes, device: &Device) -> (f32, Vec<f32>) {
    let config = EncoderConfig { architecture: Architecture::Conv4, width: 4 };
    let encoder = config.init(SHAPE, 3, device).unwrap();
    let (model, mut memory) = method.build(encoder, config.features(), 4, device);
    let step = passes.step(method, &model, &mut memory, &images(method.views, HALF, 2, device), at(0)).unwrap();
    let gradients = gradients(&model, &step.gradients);
    (step.loss.into_scalar::<f32>(), gradients)
}

#[test]
fn two_equal_halves_equal_the_whole_batch_of_a_convolutional_encoder() {
    for device in devices() {
        for method in
            [SupConMethod::default(), SupConMethod { views: 2, projector: Some([8, 4]), ..SupConMethod::default() }]
        {
            let (whole_loss, whole) = first_step(&method, Passes::Whole, &device);
            let (loss, cached) = first_step(&method, Passes::Chunks(HALF), &device);
            assert!((loss - whole_loss).abs() <= 1e-4 * whole_loss.abs(), "{loss} {whole_loss}");
            let largest = whole.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            assert!(largest > 0.0);
            assert_eq!(cached.len(), whole.len());
            for (got, wanted) in cached.iter().zip(&whole) {
                assert!((got - wanted).abs() <= 2e-3 * largest, "{got} {wanted}");
            }
        }
    }
}

#[test]
fn a_batch_without_tuples_has_no_loss_and_no_gradient_in_chunks_either() {
    for device in devices() {
        let method = TripletMethod::default();
        let batch = Batch { labels: (0..IMAGES).collect(), ..images(1, IMAGES, 1, &device) };
        let config = EncoderConfig { architecture: Architecture::Mlp, width: FEATURES };
        let (model, memory) = method.build(config.init(SHAPE, 3, &device).unwrap(), FEATURES, 4, &device);
        let taken = second(&method, Passes::Chunks(4), &model, &memory, &batch);
        assert_eq!(taken.loss, [0.0]);
        assert!(taken.gradients.iter().all(|g| *g == 0.0), "{:?}", taken.gradients);
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
        let batch = Batch { labels: vec![0, 1, 2], ..images(1, HALF, 2, &device) };
        let error = passes.step(&method, &model, &mut memory, &batch, at(0)).err().expect("labels are missing");
        assert!(matches!(error, TrainError::NoLoss { method: "supcon", step: 1, .. }), "{error}");
        assert!(error.to_string().contains("came with 3 labels"), "{error}");
    }
}
