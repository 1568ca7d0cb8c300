//! Batches piece by piece: gradient caching equals the whole batch, accumulation does where it keeps the meaning, and
//! both are refused where they would not.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use common::{
    assert_close, devices,
    networks::{IMAGES, OUTPUT, SEED, WIDTH, at, batch, batch_of, encoder, inspect, parameters, statistics},
    values,
};
use contrastive::{
    BarlowTwins, Byol, Dcl, Dclw, Dino, FastSiam, Mmcr, Moco, MocoV3, Nnclr, ReSsl, SimClr, SimSiam, SwAv, TiCo,
    VicReg, WMse, losses::nt_xent,
};
use nearfar_core::{
    augment::SmallCrops,
    encoder::Encoder,
    head::{Head, HeadConfig},
    init,
    optim::{OptimizerConfig, OptimizerKind},
    train::{
        Batch, BatchError, Embedded, Method, Needs, NoMemory, Objective, Passes, PassesError, Progress, Sampling,
        Staged, Step,
    },
};

const HIDDEN: usize = 8;
const SIM_SIAM: SimSiam = SimSiam { output: OUTPUT, projector_layers: 2, bottleneck: 3 };

/// With two small crops, and a queue longer than a batch.
fn swav() -> SwAv {
    let method = SwAv { prototypes: 6, queue: 30, hidden: HIDDEN, output: OUTPUT, ..SwAv::default() };
    SwAv { small_crops: SmallCrops { count: 2, ..method.small_crops }, ..method }
}

/// With two small crops.
fn dino() -> Dino {
    let method = Dino { prototypes: 6, hidden: HIDDEN, output: OUTPUT, ..Dino::default() };
    Dino { small_crops: SmallCrops { count: 2, ..method.small_crops }, ..method }
}

struct Collect<'a>(&'a GradientsParams, Vec<f32>);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.1.extend(values(self.0.get::<D>(param.id).expect("a trained parameter without a gradient")));
        }
    }
}

/// The gradients of every trained parameter, one after the other.
fn gradients<M: Module>(module: &M, from: &GradientsParams) -> Vec<f32> {
    let mut collect = Collect(from, Vec::new());
    module.visit(&mut collect);
    collect.1
}

/// A batch whose second half repeats the first: both halves have the batch statistics of the whole, so that batch norm
/// does not tell two chunks from one batch.
fn doubled(views: usize, device: &Device) -> Batch {
    let half = batch_of(views, IMAGES, 1, device);
    let views = half.views.into_iter().map(|view| Tensor::cat(vec![view.clone(), view], 0)).collect();
    Batch { views, labels: Vec::new(), indices: (0..2 * IMAGES).collect() }
}

/// The same whose first two views are twice as high and wide, four copies of the image, beside small crops.
fn doubled_with_crops(views: usize, device: &Device) -> Batch {
    let mut batch = doubled(views, device);
    for view in &mut batch.views[..2] {
        *view = view.clone().repeat_dim(2, 2).repeat_dim(3, 2);
    }
    batch
}

/// One step from the start, with what it left in the memory.
fn step<M: Method>(method: &M, passes: Passes, batch: &Batch, device: &Device) -> (M::Model, M::Memory, Step) {
    let (model, mut memory) = method.build(encoder(device), WIDTH, SEED, device);
    let step = passes.step(method, &model, &mut memory, batch, at(5)).unwrap();
    (model, memory, step)
}

/// The memory after the optimiser's step.
fn after<M: Method>(method: &M, model: M::Model, memory: M::Memory, gradients: GradientsParams) -> M::Memory {
    let config = OptimizerConfig { kind: OptimizerKind::Sgd, ..OptimizerConfig::default() };
    let mut optimizer = config.init();
    let model = optimizer.step(0.1, model, gradients);
    method.after_step(&model, memory, at(5))
}

fn two_halves_equal_the_whole<M: Method>(method: &M, passes: Passes) {
    two_halves_of(method, passes, doubled);
}

fn two_halves_of<M: Method>(method: &M, passes: Passes, batch: impl Fn(usize, &Device) -> Batch) {
    for device in devices() {
        let batch = batch(method.needs().views, &device);
        let (model, whole_memory, whole) = step(method, Passes::Whole, &batch, &device);
        let (other, memory, halves) = step(method, passes, &batch, &device);
        let name = method.name();
        assert_close(&format!("{name}: loss"), &values(halves.loss), &values(whole.loss), 1e-4);
        assert_close(&format!("{name}: embedding"), &values(halves.embedding), &values(whole.embedding), 1e-4);
        let (got, wanted) = (gradients(&other, &halves.gradients), gradients(&model, &whole.gradients));
        assert_close(&format!("{name}: gradient"), &got, &wanted, 2e-3);
        // Queues took the same keys, momentum networks and centers moved once.
        let same = |memory: &M::Memory, whole: &M::Memory| {
            for (got, wanted) in parameters(memory).iter().zip(parameters(whole)) {
                // A bias in front of a batch norm starts at zero and has no gradient but rounding.
                if [&got.values, &wanted.values].iter().all(|values| values.iter().all(|v| v.abs() < 1e-8)) {
                    continue;
                }
                assert_close(&format!("{name}: {}", got.path), &got.values, &wanted.values, 1e-4);
            }
        };
        same(&memory, &whole_memory);
        let memory = after(method, other, memory, halves.gradients);
        same(&memory, &after(method, model, whole_memory, whole.gradients));
    }
}

#[test]
fn gradient_caching_equals_the_whole_batch_in_every_method_that_has_it() {
    let caching = Passes::Chunks(IMAGES);
    two_halves_equal_the_whole(&SimClr { hidden: HIDDEN, output: OUTPUT, ..SimClr::default() }, caching);
    two_halves_equal_the_whole(&Dcl { hidden: HIDDEN, output: OUTPUT, ..Dcl::default() }, caching);
    two_halves_equal_the_whole(
        &Dclw { dcl: Dcl { hidden: HIDDEN, output: OUTPUT, ..Dcl::default() }, ..Dclw::default() },
        caching,
    );
    let moco = Moco { queue: 30, norm_parts: 1, hidden: HIDDEN, output: OUTPUT, ..Moco::default() };
    two_halves_equal_the_whole(&moco, caching);
    two_halves_equal_the_whole(&Moco { queue_per_view: true, ..moco }, caching);
    two_halves_equal_the_whole(&Moco { symmetric: false, ..moco }, caching);
    two_halves_equal_the_whole(&MocoV3 { hidden: HIDDEN, output: OUTPUT, ..MocoV3::default() }, caching);
    two_halves_equal_the_whole(&Nnclr { queue: 10, hidden: HIDDEN, output: OUTPUT, ..Nnclr::default() }, caching);
    two_halves_equal_the_whole(&ReSsl { queue: 10, hidden: HIDDEN, output: OUTPUT, ..ReSsl::default() }, caching);
    two_halves_equal_the_whole(&BarlowTwins { hidden: HIDDEN, output: OUTPUT, ..BarlowTwins::default() }, caching);
    two_halves_equal_the_whole(&VicReg { hidden: HIDDEN, output: OUTPUT, ..VicReg::default() }, caching);
    two_halves_equal_the_whole(&WMse { hidden: HIDDEN, output: OUTPUT, ..WMse::default() }, caching);
    two_halves_equal_the_whole(&TiCo { hidden: HIDDEN, output: OUTPUT, ..TiCo::default() }, caching);
    two_halves_equal_the_whole(
        &Mmcr { compression: 0.01, views: 3, hidden: HIDDEN, output: OUTPUT, ..Mmcr::default() },
        caching,
    );
    two_halves_of(&swav(), caching, doubled_with_crops);
    two_halves_of(&SwAv { queue: 10, small_crops: SwAv::default().small_crops, ..swav() }, caching, doubled);
    two_halves_of(&dino(), caching, doubled_with_crops);
    two_halves_of(&Dino { small_crops: Dino::default().small_crops, ..dino() }, caching, doubled);
}

fn keeps_prototypes_in_chunks<M: Method>(method: &M) {
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let batch = doubled_with_crops(method.needs().views, &device);
        let step = Passes::Chunks(IMAGES).step(method, &model, &mut memory, &batch, at(0)).unwrap();
        let trained = inspect(&model).iter().filter(|e| e.trained).count();
        assert_eq!(step.gradients.len(), trained - 1, "{}: all but the prototypes learn", method.name());
    }
}

#[test]
fn frozen_prototypes_have_no_gradient_in_chunks_either() {
    keeps_prototypes_in_chunks(&swav());
    keeps_prototypes_in_chunks(&dino());
}

#[test]
fn accumulation_equals_the_whole_batch_where_images_are_not_compared() {
    let parts = Passes::Parts(2);
    two_halves_equal_the_whole(&SIM_SIAM, parts);
    two_halves_equal_the_whole(&FastSiam { views: 3, networks: SIM_SIAM }, parts);
    two_halves_equal_the_whole(&Byol { hidden: HIDDEN, output: OUTPUT, ..Byol::default() }, parts);
}

/// NT-Xent behind a perceptron on the pixels, without any batch norm.
#[derive(Debug)]
struct Plain {
    /// Whether it offers its stages.
    staged: bool,
}

const PLAIN: Plain = Plain { staged: true };

#[derive(Module, Debug)]
struct PlainModel {
    /// The trait asks for one; nothing passes through it.
    encoder: Encoder,
    head: Head,
}

impl Method for Plain {
    type Model = PlainModel;
    type Memory = NoMemory;

    fn name(&self) -> &'static str {
        "plain"
    }

    fn needs(&self) -> Needs {
        Needs { views: 2, labels: false, sampling: Sampling::Shuffled }
    }

    fn build(&self, encoder: Encoder, _: usize, seed: u64, device: &Device) -> (PlainModel, NoMemory) {
        let head = init::seeded(HeadConfig::new([64, HIDDEN, OUTPUT]).without_hidden_norm().init(device), seed);
        (PlainModel { encoder, head }, NoMemory::new())
    }

    fn objective(
        &self,
        model: &PlainModel,
        memory: &mut NoMemory,
        batch: &Batch,
        at: Progress,
    ) -> Result<Objective, BatchError> {
        self.whole(model, memory, batch, at)
    }

    fn encoder<'a>(&self, model: &'a PlainModel) -> &'a Encoder {
        &model.encoder
    }

    fn staged(&self) -> Option<&dyn Staged<PlainModel, NoMemory>> {
        self.staged.then_some(self as _)
    }
}

impl Staged<PlainModel, NoMemory> for Plain {
    fn embed(&self, model: &PlainModel, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
        views.iter().map(|view| model.head.forward(view.clone().flatten(1, 3))).collect()
    }

    fn loss(
        &self,
        _: &PlainModel,
        _: &mut NoMemory,
        batch: &Embedded<'_>,
        _: Progress,
    ) -> Result<Tensor<1>, BatchError> {
        Ok(nt_xent(batch.outputs[0].clone(), batch.outputs[1].clone(), 0.2))
    }
}

#[test]
fn without_batch_norm_chunks_of_any_size_equal_the_whole_batch() {
    for device in devices() {
        let batch = batch(7, 1, &device);
        let (model, _, whole) = step(&PLAIN, Passes::Whole, &batch, &device);
        let wanted = gradients(&model.head, &whole.gradients);
        let (loss, embedding) = (values(whole.loss), values(whole.embedding));
        for chunk in [2, 3, 7, 100] {
            let (model, _, cached) = step(&PLAIN, Passes::Chunks(chunk), &batch, &device);
            assert_close("loss", &values(cached.loss), &loss, 1e-5);
            assert_close("embedding", &values(cached.embedding), &embedding, 1e-5);
            let got = gradients(&model.head, &cached.gradients);
            assert_close(&format!("chunks of {chunk}"), &got, &wanted, 1e-4);
        }
    }
}

#[test]
fn running_statistics_move_in_the_second_pass_alone() {
    for device in devices() {
        let method = SimClr { hidden: HIDDEN, output: OUTPUT, ..SimClr::default() };
        let batch = batch(IMAGES, 1, &device);
        let (model, _, _) = step(&method, Passes::Chunks(IMAGES / 2), &batch, &device);
        let (other, _) = method.build(encoder(&device), WIDTH, SEED, &device);
        for half in [0..IMAGES / 2, IMAGES / 2..IMAGES] {
            let _ = method.embed(&other, &batch.part(&half).views);
        }
        assert_close("statistics", &statistics(&model), &statistics(&other), 1e-6);
    }
}

#[test]
fn accumulated_gradients_are_the_mean_of_the_parts() {
    for device in devices() {
        let batch = batch(IMAGES, 1, &device);
        let of = |passes: Passes, batch: &Batch| {
            let (model, _, step) = step(&SIM_SIAM, passes, batch, &device);
            (values(step.loss)[0], gradients(&model, &step.gradients))
        };
        let (one, first) = of(Passes::Whole, &batch.part(&(0..IMAGES / 2)));
        let (two, second) = of(Passes::Whole, &batch.part(&(IMAGES / 2..IMAGES)));
        let (loss, both) = of(Passes::Parts(2), &batch);
        assert!((loss - (one + two) / 2.0).abs() < 1e-5);
        let wanted: Vec<f32> = first.iter().zip(&second).map(|(a, b)| (a + b) / 2.0).collect();
        assert_close("gradient", &both, &wanted, 1e-3);
    }
}

#[test]
fn what_would_change_the_meaning_is_refused() {
    let simclr = SimClr::default();
    let error = Passes::Parts(2).check(&simclr, 64).unwrap_err();
    assert_eq!(error, PassesError::ComparesBatch { method: "simclr", parts: 2 });
    assert!(error.to_string().contains("gradient caching (`chunk`)"), "{error}");
    let error = Passes::Chunks(8).check(&SIM_SIAM, 64).unwrap_err();
    assert!(error.to_string().contains("use `accumulate`"), "{error}");
    let error = Passes::Chunks(8).check(&Plain { staged: false }, 64).unwrap_err();
    assert_eq!(error, PassesError::NotStaged { method: "plain", instead: "a smaller batch" });
    for (passes, name) in
        [(Passes::Parts(0), "accumulate"), (Passes::Parts(4), "accumulate"), (Passes::Chunks(1), "chunk")]
    {
        let error = passes.check(&SIM_SIAM, 7).unwrap_err();
        assert!(matches!(error, PassesError::Setting { name: n, .. } if n == name), "{error}");
    }
    for fine in [Passes::Whole, Passes::Parts(1), Passes::Parts(3)] {
        assert_eq!(fine.check(&SIM_SIAM, 7), Ok(()));
    }
    assert_eq!(Passes::Chunks(2).check(&simclr, 7), Ok(()));
    let alone = PassesError::Setting { name: "batch", range: "at least 2 images, as the loss compares them", value: 1 };
    assert_eq!(Passes::Whole.check(&simclr, 1), Err(alone));
    assert_eq!(Passes::Whole.check(&SIM_SIAM, 1), Ok(()));
}
