//! What every method must do, whatever its paper.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use common::{
    assert_close, devices,
    networks::{OUTPUT, SEED, WIDTH, at, batch_of, encoder, inspect},
    values,
};
use contrastive::{
    BarlowTwins, Byol, Course, Dcl, Dclw, Dino, FastSiam, Mmcr, Moco, MocoV3, Nnclr, ReSsl, SimClr, SimSiam, SwAv,
    TemperatureSchedule, TiCo, VicReg, WMse,
};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe, SmallCrops},
    data::{Dataset, Inputs},
    optim::OptimizerConfig,
    train::{Batch, Method, Objective, Passes, Progress, TrainConfig, TrainData, TrainError, train},
};

const IMAGES: usize = 12;
const HIDDEN: usize = 8;

const FAST_SIAM: FastSiam = FastSiam { views: 3, networks: SIM_SIAM };
const SIM_SIAM: SimSiam = SimSiam { output: OUTPUT, projector_layers: 2, bottleneck: 3 };

fn swav() -> SwAv {
    let method = SwAv { prototypes: 6, queue: 10, hidden: HIDDEN, output: OUTPUT, ..SwAv::default() };
    SwAv { small_crops: SmallCrops { count: 1, ..method.small_crops }, ..method }
}

fn dino() -> Dino {
    let method = Dino { prototypes: 6, hidden: HIDDEN, output: OUTPUT, ..Dino::default() };
    Dino { small_crops: SmallCrops { count: 1, ..method.small_crops }, ..method }
}

/// Calls a generic function with every method, sized for tests.
macro_rules! for_every_method {
    ($check:ident) => {
        $check(&SimClr { hidden: HIDDEN, output: OUTPUT, ..SimClr::default() });
        $check(&Dcl { hidden: HIDDEN, output: OUTPUT, ..Dcl::default() });
        $check(&Dclw { dcl: Dcl { hidden: HIDDEN, output: OUTPUT, ..Dcl::default() }, ..Dclw::default() });
        $check(&Moco { queue: 10, norm_parts: 2, hidden: HIDDEN, output: OUTPUT, ..Moco::default() });
        $check(&Moco { queue: 10, norm_parts: 1, hidden: HIDDEN, output: OUTPUT, ..Moco::v1() });
        $check(&MocoV3 { hidden: HIDDEN, output: OUTPUT, ..MocoV3::default() });
        $check(&Nnclr { queue: 10, hidden: HIDDEN, output: OUTPUT, ..Nnclr::default() });
        $check(&ReSsl { queue: 10, hidden: HIDDEN, output: OUTPUT, ..ReSsl::default() });
        $check(&Byol { hidden: HIDDEN, output: OUTPUT, ..Byol::default() });
        $check(&SIM_SIAM);
        $check(&FAST_SIAM);
        $check(&BarlowTwins { hidden: HIDDEN, output: OUTPUT, ..BarlowTwins::default() });
        $check(&VicReg { hidden: HIDDEN, output: OUTPUT, ..VicReg::default() });
        $check(&WMse { hidden: HIDDEN, output: OUTPUT, ..WMse::default() });
        $check(&TiCo { hidden: HIDDEN, output: OUTPUT, ..TiCo::default() });
        $check(&Mmcr { compression: 0.01, views: 3, hidden: HIDDEN, output: OUTPUT, ..Mmcr::default() });
        $check(&swav());
        $check(&dino());
    };
}

fn batch<M: Method>(method: &M, device: &Device) -> Batch {
    batch_of(method.needs().views, IMAGES, 1, device)
}

/// A step in the middle, where nothing is frozen any more and every queue is used.
fn midway() -> Progress {
    at(5)
}

fn sends_gradients_into_its_model_alone<M: Method>(method: &M) {
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let objective = method.objective(&model, &mut memory, &batch(method, &device), midway()).unwrap();
        let name = method.name();
        assert!(inspect(&memory).iter().all(|e| !e.trained && !e.tracked), "{name}: the memory is in the graph");
        let mut grads = objective.loss.backward();
        assert!(GradientsParams::from_module(&mut grads, &memory).is_empty(), "{name}: the memory has gradients");
        let trained = inspect(&model).iter().filter(|e| e.trained).count();
        assert_eq!(GradientsParams::from_module(&mut grads, &model).len(), trained, "{name}: the model learns");
    }
}

#[test]
fn gradients_reach_the_model_alone() {
    for_every_method!(sends_gradients_into_its_model_alone);
}

/// The same batch against the same memory again and again: the loss must fall.
fn lowers_its_loss<M: Method>(method: &M) {
    for device in devices() {
        let (mut model, memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let batch = batch(method, &device);
        let mut optimizer = OptimizerConfig::default().init();
        let mut losses = Vec::new();
        for _ in 0..25 {
            let objective = method.objective(&model, &mut memory.clone(), &batch, midway()).unwrap();
            losses.push(objective.loss.clone().into_scalar::<f32>());
            let grads = GradientsParams::from_grads(objective.loss.backward(), &model);
            model = optimizer.step(3e-3, model, grads);
        }
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(losses.iter().all(|l| l.is_finite()) && last < first, "{}: {losses:?}", method.name());
    }
}

#[test]
fn a_few_steps_lower_every_loss() {
    for_every_method!(lowers_its_loss);
}

/// The health monitor divides the embeddings by the batch's images into views.
fn hands_over_whole_views<M: Method>(method: &M) {
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let batch = batch(method, &device);
        let objective = method.objective(&model, &mut memory, &batch, midway()).unwrap();
        let [rows, output] = objective.embedding.dims();
        assert!(rows % batch.len() == 0 && rows / batch.len() <= batch.views.len(), "{}: {rows}", method.name());
        assert_eq!(output, OUTPUT, "{}", method.name());
        let loss = objective.loss.into_scalar::<f32>();
        let collapsed = method.collapsed_loss(batch.len()).expect("every method here has a fingerprint");
        assert!(loss.is_finite() && (f64::from(loss) - collapsed).abs() > 1e-3, "{}: {loss}", method.name());
        assert!(!method.remedy().is_empty());
    }
}

#[test]
fn embeddings_are_whole_views_and_fresh_networks_have_not_collapsed() {
    for_every_method!(hands_over_whole_views);
}

#[test]
fn simclrs_schedule_takes_the_temperatures_place() {
    for device in devices() {
        let loss = |method: SimClr| {
            let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
            values(method.objective(&model, &mut memory, &batch(&method, &device), midway()).unwrap().loss)
        };
        let plain = SimClr { temperature: 0.3, hidden: HIDDEN, output: OUTPUT, ..SimClr::default() };
        let schedule = TemperatureSchedule { start: 0.1, end: 0.5, course: Course::Linear, share: 1.0 };
        let moving = SimClr { temperature: 7.0, schedule: Some(schedule), ..plain };
        assert_close("half of the way", &loss(moving), &loss(plain), 1e-6);
    }
}

#[test]
fn fast_siam_of_two_views_is_simsiam() {
    for device in devices() {
        let fast = FastSiam { views: 2, ..FAST_SIAM };
        let loss = |objective: Objective| values(objective.loss);
        let (model, mut memory) = fast.build(encoder(&device), WIDTH, SEED, &device);
        let got = loss(fast.objective(&model, &mut memory, &batch(&fast, &device), midway()).unwrap());
        let (model, mut memory) = SIM_SIAM.build(encoder(&device), WIDTH, SEED, &device);
        let wanted = loss(SIM_SIAM.objective(&model, &mut memory, &batch(&SIM_SIAM, &device), midway()).unwrap());
        assert_close("loss", &got, &wanted, 1e-5);
    }
}

/// A batch with two views of the image's own size and one of a smaller size.
fn multi_crop(device: &Device) -> Batch {
    let small = batch_of(1, IMAGES, 2, device).views[0].clone(); // [n, 1, 8, 8]
    let large = batch_of(2, IMAGES, 1, device).views.into_iter();
    // Four copies of the image side by side: twice as many rows and columns.
    let views = large.map(|view| view.repeat_dim(2, 2).repeat_dim(3, 2)).chain([small]).collect();
    Batch { views, labels: Vec::new(), indices: (0..IMAGES).collect() }
}

fn learns_from_small_crops<M: Method>(method: &M) {
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let batch = multi_crop(&device);
        assert_ne!(batch.views[0].dims(), batch.views[2].dims());
        let objective = method.objective(&model, &mut memory, &batch, midway()).unwrap();
        assert_eq!(objective.embedding.dims(), [3 * IMAGES, OUTPUT], "{}: every view is embedded", method.name());
        let trained = inspect(&model).iter().filter(|e| e.trained).count();
        let grads = GradientsParams::from_grads(objective.loss.clone().backward(), &model);
        assert_eq!(grads.len(), trained, "{}", method.name());
        // The crop counts: with another one in its place the loss is another.
        let mut other = multi_crop(&device);
        other.views[2] = batch_of(1, IMAGES, 7, &device).views[0].clone();
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let changed = method.objective(&model, &mut memory, &other, midway()).unwrap();
        let (loss, changed) = (objective.loss.into_scalar::<f32>(), changed.loss.into_scalar::<f32>());
        assert!(loss.is_finite() && (loss - changed).abs() > 1e-5, "{}: {loss} {changed}", method.name());
    }
}

#[test]
fn swav_and_dino_take_crops_of_another_size() {
    learns_from_small_crops(&swav());
    learns_from_small_crops(&dino());
}

/// Patterned grey images of 20 x 20 pixels.
fn images(count: usize) -> Dataset {
    let pixels = (0..count * 400).map(|i| (i * i * 31 + i * 7) as u8).collect();
    let inputs = Inputs::Images { pixels, channels: 1, height: 20, width: 20 };
    Dataset { name: "pattern".into(), inputs, labels: None, class_names: Vec::new(), groups: None }
}

/// Two steps of the loop with views and small crops as `method` asks for them.
fn trained<M: Method>(method: &M, device: &Device) -> Result<(), TrainError> {
    let dataset = images(8);
    let shared = Augmenter::new(&[Recipe::peers(), Recipe::peers()], Normalization::of(&dataset.inputs), 0)?;
    let augmenter = method.augmenter(&shared)?;
    assert_eq!(augmenter.view_count(), method.needs().views);
    let data = TrainData { dataset: &dataset, augmenter: &augmenter };
    let config = TrainConfig {
        batch: 4,
        passes: Passes::Whole,
        steps: 2,
        steps_per_epoch: 1,
        seed: 1,
        optimizer: OptimizerConfig::default(),
        checkpoints: None,
    };
    train(method, encoder(device), WIDTH, data, &config, device, &mut ()).map(|_| ())
}

#[test]
fn the_loop_makes_small_crops_and_refuses_those_too_small_for_the_encoder() {
    for device in devices() {
        let crops = |size| SmallCrops { count: 2, scale: (0.05, 0.4), size, blur: None };
        assert!(trained(&SwAv { small_crops: crops(0.5), ..swav() }, &device).is_ok());
        assert!(trained(&Dino { small_crops: crops(0.5), ..dino() }, &device).is_ok());
        let refused = trained(&Dino { small_crops: crops(0.3), ..dino() }, &device).expect_err("6 x 6 is too small");
        assert!(matches!(refused, TrainError::View { view: 2, .. }), "{refused}");
        assert!(refused.to_string().contains("at least 8 x 8, the input is 6 x 6"), "{refused}");
    }
}

fn keeps_prototypes_at_first<M: Method>(method: &M) {
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let trained = inspect(&model).iter().filter(|e| e.trained).count();
        let objective = method.objective(&model, &mut memory, &batch(method, &device), at(0)).unwrap();
        let grads = GradientsParams::from_grads(objective.loss.backward(), &model);
        assert_eq!(grads.len(), trained - 1, "{}: all but the prototypes learn", method.name());
    }
}

#[test]
fn prototypes_are_frozen_at_first() {
    keeps_prototypes_at_first(&swav());
    keeps_prototypes_at_first(&dino());
}

/// The numbers of a parameter.
fn entry<M: Module>(module: &M, path: &str) -> Vec<f32> {
    inspect(module).into_iter().find(|e| e.path == path).expect("the module has this parameter").values
}

#[test]
fn dinos_center_and_teacher_follow() {
    for device in devices() {
        let method = dino();
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        assert!(entry(&memory, "center.matrix").iter().all(|c| *c == 0.0));
        method.objective(&model, &mut memory, &batch(&method, &device), midway()).unwrap();
        let moved = entry(&memory, "center.matrix");
        // Cosines lie in [-1, 1], and a tenth of their mean enters.
        assert!(moved.iter().any(|c| *c != 0.0) && moved.iter().all(|c| c.abs() <= 0.1 + 1e-6), "{moved:?}");
        let before: Vec<Vec<f32>> = inspect(&memory).into_iter().map(|e| e.values).collect();
        let online = model.clone().map(&mut Halve);
        let memory = method.after_step(&online, memory, midway());
        let after: Vec<Vec<f32>> = inspect(&memory).into_iter().map(|e| e.values).collect();
        assert_ne!(before, after, "the teacher has not moved");
    }
}

/// Halves every weight.
struct Halve;

impl ModuleMapper for Halve {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        param.map(|t| Tensor::from_inner(t.inner().mul_scalar(0.5)).require_grad())
    }
}

#[test]
fn ticos_covariance_remembers_and_its_trace_stays_below_one() {
    for device in devices() {
        let method = TiCo { hidden: HIDDEN, output: OUTPUT, ..TiCo::default() };
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        for step in 1..4 {
            method.objective(&model, &mut memory, &batch(&method, &device), midway()).unwrap();
            let matrix = entry(&memory, "covariance.matrix");
            let trace: f32 = (0..OUTPUT).map(|i| matrix[i * OUTPUT + i]).sum();
            // Every batch of unit rows adds a tenth of what is missing to one.
            assert!((trace - (1.0 - 0.9f32.powi(step))).abs() < 1e-4, "step {step}: {trace}");
        }
    }
}

/// Settings and batches that nobody validated: an error with the reason in place of a panic or of a number.
#[test]
fn a_batch_without_a_loss_is_an_error() {
    for device in devices() {
        let method = Moco { queue: 0, norm_parts: 2, hidden: HIDDEN, output: OUTPUT, ..Moco::default() };
        for passes in [Passes::Whole, Passes::Chunks(IMAGES / 2)] {
            let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
            let step = passes.step(&method, &model, &mut memory, &batch(&method, &device), midway());
            let message = step.err().expect("a queue without keys").to_string();
            assert_eq!(message, "moco has no loss at step 6: `queue` must be at least 1, got 0");
        }
        let (model, mut memory) = FAST_SIAM.build(encoder(&device), WIDTH, SEED, &device);
        let one_view = batch_of(1, IMAGES, 1, &device);
        let error = FAST_SIAM.objective(&model, &mut memory, &one_view, midway()).err().expect("one view");
        assert_eq!(error.to_string(), "`views` must be at least 2, got 1");
    }
}

#[test]
fn bad_settings_are_named() {
    let crops = SwAv::default().small_crops;
    let swav_crops = |small_crops| SwAv { small_crops, ..SwAv::default() }.validate();
    let cases = [
        (SimClr { temperature: 0.0, ..SimClr::default() }.validate(), "temperature"),
        (Dclw { sigma: -1.0, ..Dclw::default() }.validate(), "sigma"),
        (Moco { symmetric: false, queue_per_view: true, ..Moco::default() }.validate(), "queue_per_view"),
        (MocoV3 { momentum: 1.5, ..MocoV3::default() }.validate(), "momentum"),
        (Nnclr { queue: 0, ..Nnclr::default() }.validate(), "queue"),
        (ReSsl { teacher_temperature: 0.1, ..ReSsl::default() }.validate(), "teacher_temperature"),
        (FastSiam { views: 1, ..FastSiam::default() }.validate(), "views"),
        (BarlowTwins { scale: 0.0, ..BarlowTwins::default() }.validate(), "scale"),
        (WMse { epsilon: 0.0, ..WMse::default() }.validate(), "epsilon"),
        (TiCo { beta: 2.0, ..TiCo::default() }.validate(), "beta"),
        (Mmcr { compression: f64::NAN, ..Mmcr::default() }.validate(), "compression"),
        (SwAv { iterations: 0, ..SwAv::default() }.validate(), "iterations"),
        (swav_crops(SmallCrops { scale: (0.5, 0.1), ..crops }), "small_crops.scale[0]"),
        (swav_crops(SmallCrops { scale: (0.5, 1.1), ..crops }), "small_crops.scale[1]"),
        (swav_crops(SmallCrops { size: f32::NAN, ..crops }), "small_crops.size"),
        (swav_crops(SmallCrops { blur: Some(2.0), ..crops }), "small_crops.blur"),
        (Dino { frozen: 1.5, ..Dino::default() }.validate(), "frozen"),
    ];
    for (result, name) in cases {
        assert_eq!(result.expect_err(name).name, name);
    }
}
