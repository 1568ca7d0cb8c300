//! What losses must do whatever the numbers: symmetries, double-loop oracles, gradients against finite differences.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::tensor::{Device, Tensor};
use common::{Rows, assert_close, devices, tensor, values};
use contrastive::losses::{
    VicRegWeights, barlow_twins, dcl, dclw, dino, koleo, mmcr, moco_v3, nearest_neighbors, nnclr, nt_xent,
    nt_xent_views, nuclear_norm, ressl, sinkhorn, sup_con_out, swav, uniformity, vicreg, w_mse,
};
use proptest::prelude::*;

const IMAGES: usize = 6;

/// One view: rows that have a direction.
fn view() -> impl Strategy<Value = Rows> {
    let row = prop::collection::vec(-1.0..1.0f32, 4)
        .prop_filter("a row near zero", |row| row.iter().map(|v| v * v).sum::<f32>() > 0.01);
    prop::collection::vec(row, IMAGES)
}

fn lengths() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(0.1..10.0f32, IMAGES)
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..IMAGES).collect::<Vec<_>>()).prop_shuffle()
}

fn reordered(x: &[Vec<f32>], order: &[usize]) -> Rows {
    order.iter().map(|i| x[*i].clone()).collect()
}

fn scaled(x: &[Vec<f32>], lengths: &[f32]) -> Rows {
    x.iter().zip(lengths).map(|(row, l)| row.iter().map(|v| v * l).collect()).collect()
}

/// A loss of two views.
type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

/// Name, loss, whether the views may be swapped, whether rows may be scaled.
const TWO_VIEWS: [(&str, Loss, bool, bool); 9] = [
    ("NT-Xent", |a, b| nt_xent(a, b, 0.2), true, true),
    ("DCL", |a, b| dcl(a, b, 0.2), true, true),
    ("DCLW", |a, b| dclw(a, b, 0.2, 0.5), true, true),
    ("MoCo v3", |a, b| moco_v3(a, b, 0.2), false, true),
    ("NNCLR", |a, b| nnclr(a, b, 0.2), false, true),
    ("SupCon", |a, b| sup_con_out(&[a, b], &[0; IMAGES], 0.2), true, true),
    ("Barlow Twins", |a, b| barlow_twins(a, b, 5e-3), true, false),
    ("VICReg", |a, b| vicreg(a, b, VicRegWeights::default()), true, false),
    ("W-MSE", |a, b| w_mse(a, b, 0.05), true, false),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn losses_know_no_order_and_some_no_first_view_and_no_length(
        a in view(), b in view(), order in order(), lengths in lengths(),
    ) {
        for device in devices() {
            for (name, loss, symmetric, cosine) in TWO_VIEWS {
                let value = |a: &Rows, b: &Rows| {
                    loss(tensor(a, &device), tensor(b, &device)).into_scalar::<f32>()
                };
                let plain = value(&a, &b);
                let shuffled = value(&reordered(&a, &order), &reordered(&b, &order));
                let mut changes = vec![("images in another order", shuffled)];
                if symmetric {
                    changes.push(("views swapped", value(&b, &a)));
                }
                if cosine {
                    changes.push(("rows scaled", value(&scaled(&a, &lengths), &b)));
                }
                for (change, changed) in changes {
                    prop_assert!(
                        (plain - changed).abs() <= 1e-3 * (1.0 + plain.abs()),
                        "{}, {}: {} {}", name, change, plain, changed
                    );
                }
            }
        }
    }

    /// Enough iterations share the prototypes out equally, and every row is a distribution.
    #[test]
    fn sinkhorn_balances(scores in view()) {
        for device in devices() {
            let codes = sinkhorn(tensor(&scores, &device), 200, 0.5);
            let rows = values(codes.clone().sum_dim(1));
            let columns = values(codes.sum_dim(0));
            prop_assert!(rows.iter().all(|r| (r - 1.0).abs() < 1e-4), "{:?}", rows);
            let share = IMAGES as f32 / columns.len() as f32;
            prop_assert!(columns.iter().all(|c| (c - share).abs() < 1e-2 * share), "{:?}", columns);
        }
    }

    #[test]
    fn losses_equal_their_double_loops(a in view(), b in view(), c in view(), bank in view()) {
        let unit = [&a, &b, &c, &bank].map(|x| normalized(x));
        let [ua, ub, uc, ubank] = &unit;
        let cosine = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let t = 0.3;
        // NT-Xent of three views against a bank.
        let all: Vec<&Vec<f64>> = ua.iter().chain(ub).chain(uc).collect();
        let mut nt = 0.0;
        for (i, anchor) in all.iter().enumerate() {
            let others = (0..all.len()).filter(|j| *j != i);
            let beside: f64 = ubank.iter().map(|k| (cosine(anchor, k) / t).exp()).sum();
            let sum: f64 = others.clone().map(|j| (cosine(anchor, all[j]) / t).exp()).sum::<f64>() + beside;
            let positives: Vec<f64> =
                others.filter(|j| j % IMAGES == i % IMAGES).map(|j| sum.ln() - cosine(anchor, all[j]) / t).collect();
            nt += positives.iter().sum::<f64>() / positives.len() as f64 / all.len() as f64;
        }
        // ReSSL of student `a` and teacher `b`, DINO of students `a`, `b`, `c` and teachers `a`, `b`.
        let relations = |x: &[Vec<f64>], t: f64| -> Vec<Vec<f64>> {
            x.iter().map(|x| softmax(&ubank.iter().map(|k| cosine(x, k) / t).collect::<Vec<_>>())).collect()
        };
        let re = cross_entropy(&relations(ub, 0.04), &relations(ua, 0.1));
        let at = |x: &Rows, t: f64| -> Vec<Vec<f64>> {
            x.iter().map(|row| softmax(&row.iter().map(|v| f64::from(*v) / t).collect::<Vec<_>>())).collect()
        };
        let pairs = [(&a, &b), (&a, &c), (&b, &a), (&b, &c)]; // teacher, student
        let terms = pairs.map(|(teacher, student)| cross_entropy(&at(teacher, 0.2), &at(student, 0.5)));
        let di = terms.iter().sum::<f64>() / terms.len() as f64;
        for device in devices() {
            let [ta, tb, tc, tbank] = [&a, &b, &c, &bank].map(|x| tensor(x, &device));
            let keys: Rows = ubank.iter().map(|row| row.iter().map(|v| *v as f32).collect()).collect();
            let queue = tensor(&keys, &device);
            let center = Tensor::zeros([1, 4], &device);
            let views = [ta.clone(), tb.clone(), tc];
            let nearest = values(nearest_neighbors(tbank, queue.clone()));
            prop_assert_eq!(nearest, values(queue.clone()), "each key is its own neighbour");
            for (name, got, wanted) in [
                ("NT-Xent", nt_xent_views(&views, Some(queue.clone()), t), nt),
                ("ReSSL", ressl(ta.clone(), tb.clone(), queue, 0.1, 0.04), re),
                ("DINO", dino(&views, &[ta, tb], center, 0.5, 0.2), di),
            ] {
                let got = f64::from(got.into_scalar::<f32>());
                prop_assert!((got - wanted).abs() < 1e-4 * (1.0 + wanted.abs()), "{}: {} {}", name, got, wanted);
            }
        }
    }
}

fn normalized(x: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let unit = |row: &Vec<f32>| -> Vec<f64> {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        row.iter().map(|v| f64::from(*v) / norm).collect()
    };
    x.iter().map(unit).collect()
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = x.iter().map(|v| (v - top).exp()).sum();
    x.iter().map(|v| (v - top).exp() / sum).collect()
}

/// Mean over the rows of `- sum of wanted log got`.
fn cross_entropy(wanted: &[Vec<f64>], got: &[Vec<f64>]) -> f64 {
    let row = |(w, g): (&Vec<f64>, &Vec<f64>)| -w.iter().zip(g).map(|(w, g)| w * g.ln()).sum::<f64>();
    wanted.iter().zip(got).map(row).sum::<f64>() / wanted.len() as f64
}

/// Fixed rows without structure.
fn wavy(shift: f32) -> Rows {
    (0..IMAGES).map(|i| (0..4).map(|j| (((4 * i + j) * (4 * i + j)) as f32 * 1.7 + shift).sin()).collect()).collect()
}

/// Fails unless autodiff's gradient of `loss` at `x` is that of central differences to 2 % of its largest entry.
fn check_gradient(name: &str, x: &[Vec<f32>], device: &Device, loss: impl Fn(Tensor<2>) -> Tensor<1>) {
    const STEP: f32 = 1e-2;
    let leaf = tensor(x, device).require_grad();
    let gradient = values(leaf.grad(&loss(leaf.clone()).backward()).expect("the loss depends on its rows"));
    let mut wanted = Vec::new();
    for (i, row) in x.iter().enumerate() {
        for j in 0..row.len() {
            let at = |step: f32| {
                let mut x = x.to_vec();
                x[i][j] += step;
                loss(tensor(&x, device)).into_scalar::<f32>()
            };
            wanted.push((at(STEP) - at(-STEP)) / (2.0 * STEP));
        }
    }
    assert_close(name, &gradient, &wanted, 2e-2);
}

#[test]
fn gradients_are_finite_differences() {
    for device in devices() {
        let (a, b) = (wavy(0.0), wavy(0.9));
        let fixed = || tensor(&b, &device);
        let codes = [sinkhorn(fixed(), 3, 0.5), sinkhorn(tensor(&a, &device), 3, 0.5)];
        let labels = [0, 1, 0, 1, 2, 2];
        check_gradient("W-MSE, first view", &a, &device, |x| w_mse(x, fixed(), 0.05));
        check_gradient("W-MSE, second view", &a, &device, |x| w_mse(fixed(), x, 0.05));
        check_gradient("nuclear norm", &a, &device, |x| nuclear_norm(x.unsqueeze_dim(0)));
        check_gradient("MMCR", &a, &device, |x| mmcr(&[x, fixed()], 0.1));
        check_gradient("SwAV", &a, &device, |x| swav(&[x, fixed()], &codes, 0.5));
        check_gradient("DINO", &a, &device, |x| {
            dino(&[fixed(), x], &[fixed()], Tensor::zeros([1, 4], &device), 0.5, 0.2)
        });
        check_gradient("ReSSL", &a, &device, |x| ressl(x, fixed(), fixed(), 0.3, 0.1));
        check_gradient("NNCLR", &a, &device, |x| nnclr(fixed(), x, 0.3));
        check_gradient("MoCo v3", &a, &device, |x| moco_v3(x, fixed(), 0.3));
        check_gradient("SupCon", &a, &device, |x| sup_con_out(&[x, fixed()], &labels, 0.3));
        check_gradient("three views", &a, &device, |x| nt_xent_views(&[fixed(), x.clone(), x], Some(fixed()), 0.5));
        check_gradient("uniformity", &a, &device, |x| uniformity(x, 2.0));
        check_gradient("KoLeo", &a, &device, koleo);
    }
}

#[test]
fn numbers_that_are_no_numbers_reach_the_loss() {
    for device in devices() {
        let mut broken = wavy(0.0);
        broken[1][2] = f32::NAN;
        let (x, y) = (tensor(&broken, &device), tensor(&wavy(1.0), &device));
        assert!(mmcr(&[x.clone(), y.clone()], 0.1).into_scalar::<f32>().is_nan());
        assert!(w_mse(x, y, 0.05).into_scalar::<f32>().is_nan());
    }
}
