//! Batches in chunks: gradient caching equals the whole batch, accumulation is refused where it would not.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};
use common::{
    assert_close, devices,
    networks::{IMAGES, OUTPUT, SEED, WIDTH, at, batch, encoder},
    values,
};
use contrastive::{AccumulationError, SimClr, SimSiam, accumulated_gradients, cached_gradients, losses::nt_xent};
use nearfar_core::{
    head::{Head, HeadConfig},
    init,
    train::{Batch, Method},
};

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

fn forward(head: &Head, x: Tensor<4>) -> Tensor<2> {
    head.forward(x.flatten(1, 3))
}

#[test]
fn cached_gradients_are_those_of_the_whole_batch() {
    for device in devices() {
        // Without batch norm, which would see each chunk alone.
        let head = init::seeded(HeadConfig::new([64, 8, OUTPUT]).without_hidden_norm().init(&device), SEED);
        let views = batch(IMAGES, 1, &device).views;
        let whole = nt_xent(forward(&head, views[0].clone()), forward(&head, views[1].clone()), 0.2);
        let wanted = gradients(&head, &GradientsParams::from_grads(whole.backward(), &head));
        for chunk in [1, 4, IMAGES, 100] {
            let loss = |z: &[Tensor<2>]| nt_xent(z[0].clone(), z[1].clone(), 0.2);
            let step = cached_gradients(&head, &views, chunk, forward, loss).unwrap();
            assert_close("loss", &values(step.loss), &values(whole.clone()), 1e-5);
            assert_close(&format!("chunks of {chunk}"), &gradients(&head, &step.gradients), &wanted, 1e-4);
            assert_eq!(step.embeddings.iter().map(Tensor::dims).collect::<Vec<_>>(), [[IMAGES, OUTPUT]; 2]);
        }
        let none = cached_gradients(&head, &views, 0, forward, |z| z[0].clone().sum());
        assert_eq!(none.err().expect("no chunk").name, "chunk");
    }
}

#[test]
fn accumulation_is_refused_where_images_are_compared() {
    for device in devices() {
        let method = SimClr { hidden: 8, output: OUTPUT, ..SimClr::default() };
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let parts = |n: usize| (0..n).map(|i| batch(IMAGES, i as u64, &device)).collect::<Vec<Batch>>();
        let error = accumulated_gradients(&method, &model, &mut memory, &parts(2), at(0)).err().expect("negatives");
        assert_eq!(error, AccumulationError::ComparesBatch { method: "simclr", parts: 2 });
        assert!(accumulated_gradients(&method, &model, &mut memory, &parts(1), at(0)).is_ok());
        let error = accumulated_gradients(&method, &model, &mut memory, &[], at(0)).err().expect("nothing");
        assert_eq!(error, AccumulationError::Empty);
    }
}

#[test]
fn accumulated_gradients_are_the_mean_of_the_parts() {
    for device in devices() {
        let method = SimSiam { output: OUTPUT, projector_layers: 2, bottleneck: 3 };
        let (model, mut memory) = method.build(encoder(&device), WIDTH, SEED, &device);
        let part = |seed| batch(IMAGES, seed, &device);
        let mut of = |parts: &[Batch]| {
            let step = accumulated_gradients(&method, &model, &mut memory, parts, at(0)).unwrap();
            (values(step.loss)[0], gradients(&model, &step.gradients))
        };
        let ((one, first), (two, second)) = (of(&[part(1)]), of(&[part(2)]));
        let (loss, both) = of(&[part(1), part(2)]);
        assert!((loss - (one + two) / 2.0).abs() < 1e-5);
        let wanted: Vec<f32> = first.iter().zip(&second).map(|(a, b)| (a + b) / 2.0).collect();
        assert_close("gradient", &both, &wanted, 1e-3);
    }
}
