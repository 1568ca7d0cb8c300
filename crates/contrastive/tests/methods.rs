//! What each method must do beside its loss: where gradients stop, what the momentum networks hold, which keys are in
//! the queue.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{GradientsParams, SgdConfig},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use common::{
    assert_close, devices,
    networks::{IMAGES, OUTPUT, SEED, STEPS, WIDTH, at, batch, encoder, inspect, parameters, statistics},
    values,
};
use contrastive::{
    Byol, Moco, SimClr, SimSiam,
    losses::{byol_regression, info_nce, negative_cosine, nt_xent},
};
use nearfar_core::{
    head::{HeadConfig, OutputNorm},
    init,
    train::{Method, NoMemory},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct CollectGradients<'a> {
    from: &'a Gradients,
    all: Vec<f32>,
}

impl ModuleVisitor for CollectGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.all.extend(values(param.val().grad(self.from).expect("a trained parameter without a gradient")));
        }
    }
}

/// The gradients of every trained parameter, one after the other.
fn gradients<M: Module>(module: &M, from: &Gradients) -> Vec<f32> {
    let mut collect = CollectGradients { from, all: Vec::new() };
    module.visit(&mut collect);
    collect.all
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()))
}

const BYOL: Byol = Byol { momentum: 0.9, hidden: 8, output: OUTPUT };

#[test]
fn byol_sends_no_gradient_into_its_target() {
    for device in devices() {
        let (model, mut target) = BYOL.build(encoder(&device), WIDTH, SEED, &device);
        let objective = BYOL.objective(&model, &mut target, &batch(IMAGES, 1, &device), at(0)).unwrap();
        assert!(inspect(&target).iter().all(|e| !e.trained && !e.tracked));
        let mut grads = objective.loss.backward();
        assert!(GradientsParams::from_module(&mut grads, &target).is_empty());
        let trained = inspect(&model).iter().filter(|e| e.trained).count();
        assert_eq!(GradientsParams::from_module(&mut grads, &model).len(), trained, "the online network learns");
    }
}

#[test]
fn byol_predicts_the_targets_projection_of_the_other_view() {
    for device in devices() {
        let (model, mut target) = BYOL.build(encoder(&device), WIDTH, SEED, &device);
        let objective = BYOL.objective(&model, &mut target, &batch(IMAGES, 1, &device), at(0)).unwrap();
        // Before the first step the target projects as the online network does.
        let z = |view: usize| objective.embedding.clone().detach().narrow(0, view * IMAGES, IMAGES);
        let predictor = init::seeded(HeadConfig::new([OUTPUT, BYOL.hidden, OUTPUT]).init(&device), SEED + 1);
        let wanted = byol_regression(predictor.forward(z(0)), z(1)) + byol_regression(predictor.forward(z(1)), z(0));
        assert_close("loss", &values(objective.loss.clone()), &values(wanted), 1e-4);
    }
}

#[test]
fn byols_target_is_the_average_of_the_online_networks() {
    for device in devices() {
        let (mut model, mut target) = BYOL.build(encoder(&device), WIDTH, SEED, &device);
        let start = parameters(&target);
        let mut wanted: Vec<Vec<f32>> = start.iter().map(|e| e.values.clone()).collect();
        let mut optimizer = SgdConfig::new().init();
        for step in 0..2 {
            let objective =
                BYOL.objective(&model, &mut target, &batch(IMAGES, step as u64, &device), at(step)).unwrap();
            let grads = GradientsParams::from_grads(objective.loss.backward(), &model);
            model = optimizer.step(0.5, model, grads);
            target = BYOL.after_step(&model, target, at(step));

            let share = step as f64 / STEPS as f64;
            let momentum = 1.0 - (1.0 - 0.9) * ((std::f64::consts::PI * share).cos() + 1.0) / 2.0;
            let online = parameters(&model);
            for (wanted, entry) in wanted.iter_mut().zip(&start) {
                let online =
                    online.iter().find(|o| o.id == entry.id).expect("the target's parameters are the online's");
                for (w, o) in wanted.iter_mut().zip(&online.values) {
                    *w = (momentum * f64::from(*w) + (1.0 - momentum) * f64::from(*o)) as f32;
                }
            }
        }
        for ((got, wanted), start) in parameters(&target).iter().zip(&wanted).zip(&start) {
            assert_close(&got.path, &got.values, wanted, 1e-5);
            // A bias before batch norm may stay where it is.
            if got.path.ends_with("weight") {
                assert_ne!(got.values, start.values, "{} has not moved", got.path);
            }
        }
    }
}

#[test]
fn simsiam_holds_the_projections_constant() {
    let method = SimSiam { output: 6, projector_layers: 2, bottleneck: 3 };
    for device in devices() {
        let (model, mut nothing) = method.build(encoder(&device), WIDTH, SEED, &device);
        let batch = batch(IMAGES, 1, &device);
        let objective = method.objective(&model, &mut nothing, &batch, at(0)).unwrap();
        let value = values(objective.loss.clone());
        let encoder = method.encoder(&model);
        let gradient = gradients(encoder, &objective.loss.backward());

        // The paper's formula on the same encoder and on heads of the same seeds.
        let projector = HeadConfig::new([WIDTH, 6, 6]).output_norm(OutputNorm::Plain).init(&device);
        let projector = init::seeded(projector, SEED);
        let predictor = init::seeded(HeadConfig::new([6, 3, 6]).init(&device), SEED + 1);
        let formula = |stop: bool| {
            let z: Vec<Tensor<2>> = batch.views.iter().map(|v| projector.forward(encoder.forward(v.clone()))).collect();
            let target = |view: usize| {
                let z = z[view].clone();
                if stop { Tensor::<2>::from_data(z.into_data(), &device) } else { z }
            };
            let loss = negative_cosine(predictor.forward(z[0].clone()), target(1))
                + negative_cosine(predictor.forward(z[1].clone()), target(0));
            let loss = loss.div_scalar(2.0);
            (values(loss.clone()), gradients(encoder, &loss.backward()))
        };
        let (wanted_value, wanted) = formula(true);
        assert_close("loss", &value, &wanted_value, 1e-4);
        assert_close("the encoder's gradient", &gradient, &wanted, 1e-3);
        let (_, without_stop) = formula(false);
        let largest = wanted.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        assert!(largest_difference(&gradient, &without_stop) > 0.05 * largest, "the stop-gradient makes no difference");
    }
}

fn moco(queue: usize, norm_parts: usize) -> Moco {
    Moco { queue, norm_parts, hidden: 8, output: OUTPUT, ..Moco::default() }
}

/// The keys in a queue of MoCo's, oldest first.
fn queue_of<M: Module>(memory: &M, number: usize) -> Vec<f32> {
    let path = format!("queue.queues.{number}.keys");
    inspect(memory).into_iter().find(|e| e.path == path).expect("the memory records its queues").values
}

/// The keys in MoCo's only queue, oldest first.
fn queue<M: Module>(memory: &M) -> Vec<f32> {
    queue_of(memory, 0)
}

fn rows(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / OUTPUT, OUTPUT]), device)
}

#[test]
fn moco_takes_both_losses_before_either_batch_of_keys_enters() {
    const KEYS: usize = IMAGES * OUTPUT; // numbers in a batch of keys
    let method = moco(16, 2);
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let before = queue(&memory);
        let objective = method.objective(&model, &mut memory, &batch(IMAGES, 1, &device), at(0)).unwrap();
        let after = queue(&memory);

        let (old, new) = after.split_at(after.len() - 2 * KEYS);
        assert_eq!(old, &before[2 * KEYS..], "the newest of the old keys stay");
        let (first, second) = new.split_at(KEYS);
        let loss = |queue_of_the_second: &[f32]| {
            let q = |view: usize| objective.embedding.clone().narrow(0, view * IMAGES, IMAGES);
            let one = info_nce(q(0), rows(first, &device), rows(&before, &device), method.temperature);
            let two = info_nce(q(1), rows(second, &device), rows(queue_of_the_second, &device), method.temperature);
            values((one + two).div_scalar(2.0))
        };
        let got = values(objective.loss.clone());
        assert_close("loss", &got, &loss(&before), 1e-4);
        let too_early = [&before[KEYS..], first].concat();
        assert!(largest_difference(&got, &loss(&too_early)) > 1e-2 * got[0], "the order makes no difference");
    }
}

/// Without an optimiser's step the momentum encoder stays the query encoder: keys are the other view's queries.
#[test]
fn mocos_queue_holds_the_newest_keys_whatever_its_length() {
    for device in devices() {
        for length in [5, 7, 12, 31] {
            let method = moco(length, 1);
            let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
            let mut wanted = queue(&memory);
            for step in 0..3 {
                let batch = batch(IMAGES, step as u64, &device);
                let objective = method.objective(&model, &mut memory, &batch, at(step)).unwrap();
                let queries = values(objective.embedding);
                let (first_view, second_view) = queries.split_at(IMAGES * OUTPUT);
                wanted.extend([second_view, first_view].concat());
                wanted.drain(..wanted.len() - length * OUTPUT);
                assert_close(&format!("queue of {length}, step {step}"), &queue(&memory), &wanted, 1e-3);
            }
        }
    }
}

/// As above, with a queue for the keys of each view.
#[test]
fn mocos_views_may_have_queues_of_their_own() {
    const KEYS: usize = IMAGES * OUTPUT;
    let method = Moco { queue_per_view: true, ..moco(16, 1) };
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let before = [0, 1].map(|number| queue_of(&memory, number));
        assert_ne!(before[0], before[1]);
        let objective = method.objective(&model, &mut memory, &batch(IMAGES, 1, &device), at(0)).unwrap();
        let queries = values(objective.embedding.clone());
        let (first, second) = queries.split_at(KEYS);
        for (number, newest) in [second, first].into_iter().enumerate() {
            let after = queue_of(&memory, number);
            let (old, new) = after.split_at(after.len() - KEYS);
            assert_eq!(old, &before[number][KEYS..]);
            assert_close("newest keys", new, newest, 1e-3);
        }
        let loss = |q: &[f32], k: &[f32], queue: &[f32]| {
            info_nce(rows(q, &device), rows(k, &device), rows(queue, &device), method.temperature)
        };
        let wanted = (loss(first, second, &before[0]) + loss(second, first, &before[1])).div_scalar(2.0);
        assert_close("loss", &values(objective.loss), &values(wanted), 1e-3);
    }
}

#[test]
fn mocos_first_version_projects_linearly_and_one_way() {
    let method = Moco { queue: 16, norm_parts: 1, output: OUTPUT, ..Moco::v1() };
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let projector: Vec<_> = parameters(&model).into_iter().filter(|e| e.path.starts_with("projector")).collect();
        let sizes: Vec<usize> = projector.iter().map(|e| e.values.len()).collect();
        assert_eq!(sizes, [WIDTH * OUTPUT, OUTPUT], "one weight and one bias");
        let before = queue(&memory);
        let objective = method.objective(&model, &mut memory, &batch(IMAGES, 1, &device), at(0)).unwrap();
        assert_eq!(objective.embedding.dims(), [IMAGES, OUTPUT]);
        let kept = before.len() - IMAGES * OUTPUT;
        assert_eq!(queue(&memory)[..kept], before[IMAGES * OUTPUT..], "one batch of keys enters");
    }
}

#[test]
fn mocos_momentum_encoder_keeps_its_own_statistics() {
    let method = moco(16, 1);
    for device in devices() {
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let batch = batch(IMAGES, 1, &device);
        method.objective(&model, &mut memory, &batch, at(0)).unwrap();
        let behind = |order: [usize; 2]| {
            let encoder = encoder(&device);
            for view in order {
                let _ = encoder.forward(batch.views[view].clone());
            }
            statistics(&encoder)
        };
        let (of_queries, of_keys) = (behind([0, 1]), behind([1, 0]));
        assert!(largest_difference(&of_queries, &of_keys) > 1e-3, "the order of the views makes no difference");
        assert_close("query encoder", &statistics(method.encoder(&model)), &of_queries, 1e-4);
        assert_close("momentum encoder", &statistics(&memory), &of_keys, 1e-4);
    }
}

#[test]
fn simclr_starts_near_chance() {
    const MANY: usize = 16;
    let chance = (2.0 * MANY as f64 - 1.0).ln();
    for device in devices() {
        // Random directions of 512 numbers are almost orthogonal.
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut random = || {
            let numbers: Vec<f32> = (0..MANY * 512).map(|_| rng.random_range(-1.0..1.0f32)).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, [MANY, 512]), &device)
        };
        let loss = f64::from(nt_xent(random(), random(), 1.0).into_scalar::<f32>());
        assert!((loss - chance).abs() < 0.1, "{loss} {chance}");

        // Cosines lie in [-1, 1]: at a temperature of 10 no embedding is farther than 2 / 10 from chance.
        let method = SimClr { temperature: 10.0, hidden: 8, output: OUTPUT, ..SimClr::default() };
        assert!((method.collapsed_loss(MANY).unwrap() - chance).abs() < 1e-9);
        let (model, mut nothing): (_, NoMemory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let objective = method.objective(&model, &mut nothing, &batch(MANY, 1, &device), at(0)).unwrap();
        let z = |view: usize| objective.embedding.clone().narrow(0, view * MANY, MANY);
        let got = values(objective.loss.clone());
        assert!((f64::from(got[0]) - chance).abs() <= 0.2, "{got:?} {chance}");
        assert_close("loss", &got, &values(nt_xent(z(0), z(1), 10.0)), 1e-5);
    }
}
