//! Losses against lightly, worked values and laws, on both CPU backends.
//!
//! The fixture holds what lightly computed in f64. Other reference values are taken from a folder `GOLDEN_DIR`.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, devices, values};
use contrastive::losses::{byol_regression, info_nce, negative_cosine, nt_xent};
use proptest::prelude::*;
use serde::Deserialize;
use std::path::PathBuf;

type Rows = Vec<Vec<f32>>;

#[derive(Deserialize)]
struct Fixture {
    view_a: Rows,
    view_b: Rows,
    losses: Losses,
}

#[derive(Deserialize)]
struct Losses {
    #[serde(rename = "ntxent_t0.5")]
    nt_xent_half: TwoViews,
    #[serde(rename = "ntxent_t0.1")]
    nt_xent_tenth: TwoViews,
    negative_cosine_similarity: TwoViews,
    #[serde(rename = "moco_queue_t0.07")]
    moco_v1: Queued,
    #[serde(rename = "moco_queue_t0.2")]
    moco_v2: Queued,
}

/// A loss and its gradient with respect to either view.
#[derive(Deserialize)]
struct TwoViews {
    value: f32,
    grad_a: Rows,
    grad_b: Rows,
}

/// A loss against a queue of unit keys.
#[derive(Deserialize)]
struct Queued {
    queue: Rows,
    value: f32,
}

impl Fixture {
    fn read() -> Self {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
        let path = std::env::var_os("GOLDEN_DIR").map_or_else(|| PathBuf::from(shipped), PathBuf::from);
        let path = path.join("contrastive.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), rows[0].len()]), device)
}

/// Fails unless the loss has this value to 1e-5 of it.
fn check(what: &str, loss: Tensor<1>, wanted: f64) {
    assert_close(what, &values(loss), &[wanted as f32], 1e-5);
}

/// A loss of two views.
type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

#[test]
fn values_and_gradients_are_lightlys() {
    let Fixture { view_a, view_b, losses } = Fixture::read();
    let cases: [(&str, &TwoViews, Loss); 3] = [
        ("NT-Xent at 0.5", &losses.nt_xent_half, |a, b| nt_xent(a, b, 0.5)),
        ("NT-Xent at 0.1", &losses.nt_xent_tenth, |a, b| nt_xent(a, b, 0.1)),
        ("negative cosine", &losses.negative_cosine_similarity, negative_cosine),
    ];
    for device in devices() {
        for (name, golden, loss) in cases {
            let (a, b) = (tensor(&view_a, &device).require_grad(), tensor(&view_b, &device).require_grad());
            let loss = loss(a.clone(), b.clone());
            let grads = loss.backward();
            check(name, loss, golden.value.into());
            for (view, x, wanted) in [("a", a, &golden.grad_a), ("b", b, &golden.grad_b)] {
                let gradient = values(x.grad(&grads).expect("both views have a gradient"));
                assert_close(&format!("{name}, view {view}"), &gradient, &wanted.concat(), 1e-4);
            }
        }
    }
}

#[test]
fn info_nce_is_the_cross_entropy_of_the_fixture() {
    let Fixture { view_a, view_b, losses } = Fixture::read();
    for device in devices() {
        for (temperature, golden) in [(0.07, &losses.moco_v1), (0.2, &losses.moco_v2)] {
            let (q, k) = (tensor(&view_a, &device), tensor(&view_b, &device));
            let loss = info_nce(q, k, tensor(&golden.queue, &device), temperature);
            check(&format!("InfoNCE at {temperature}"), loss, golden.value.into());
        }
    }
}

/// Two views of four images; the first three are the worked examples' usual batch.
fn views(images: usize, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let a = Tensor::<2>::from_data([[1.0, 2.0], [3.0, -1.0], [-1.0, 1.0], [-2.0, 1.0]], device);
    let b = Tensor::<2>::from_data([[2.0, 1.0], [1.0, -1.0], [0.0, 1.0], [-1.0, 0.0]], device);
    (a.narrow(0, 0, images), b.narrow(0, 0, images))
}

fn unit_axes(device: &Device) -> Tensor<2> {
    Tensor::from_data([[1.0, 0.0], [0.0, 1.0]], device)
}

#[test]
fn nt_xent_has_its_worked_values() {
    for device in devices() {
        for (images, temperature, wanted) in [
            (3, 1.0, 1.0847022229),
            (3, 0.5, 0.8151372974),
            (3, 0.2, 0.5883941129),
            (3, 0.1, 0.6378415540),
            (4, 0.5, 0.9984353265),
            (4, 0.1, 0.9433464774),
        ] {
            let (a, b) = views(images, &device);
            check(&format!("{images} images at {temperature}"), nt_xent(a, b, temperature), wanted);
        }
        check("axes", nt_xent(unit_axes(&device), unit_axes(&device), 0.5), 0.2395447662);
        for temperature in [0.05, 0.5, 5.0] {
            // 2 x 8 rows that cannot be told apart: chance among the 15 others.
            let same = Tensor::<2>::from_data([[0.3, -2.0, 1.1]; 8], &device);
            check("identical rows", nt_xent(same.clone(), same, temperature), 15f64.ln());
        }
    }
}

#[test]
fn info_nce_has_its_worked_values() {
    for device in devices() {
        let keys = Tensor::<2>::from_data([[0.6, 0.8], [0.6, 0.8]], &device);
        let queue = Tensor::<2>::from_data([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]], &device);
        for (temperature, wanted) in
            [(0.07, 4.3152839947), (0.1, 3.0726235393), (0.2, 1.7309325884), (0.5, 1.2127534040)]
        {
            let loss = info_nce(unit_axes(&device), keys.clone(), queue.clone(), temperature);
            check(&format!("queue at {temperature}"), loss, wanted);
        }
        for (length, wanted) in [(4096, 8.3180102775), (65536, 11.0903701476)] {
            let one = Tensor::<2>::from_data([[0.6, 0.8]], &device);
            let loss = info_nce(one.clone(), one.clone(), one.repeat_dim(0, length), 0.2);
            check(&format!("chance among {length} keys"), loss, wanted);
        }
    }
}

#[test]
fn cosine_losses_have_their_worked_values() {
    for device in devices() {
        let (a, b) = views(3, &device);
        check("SimSiam", negative_cosine(a.clone(), b.clone()), -0.8005113241);
        check("BYOL", byol_regression(a.clone(), b.clone()), 0.3989773519);
        for (row, cosine) in [0.8, 0.8944271910, std::f64::consts::FRAC_1_SQRT_2].into_iter().enumerate() {
            let (a, b) = (a.clone().narrow(0, row, 1), b.clone().narrow(0, row, 1));
            check("one row", negative_cosine(a, b), -cosine);
        }
        check("collapse", negative_cosine(a.clone(), a), -1.0);
    }
}

/// The ten steps of lightly's own test of its gathered losses: a linear layer, plain SGD.
#[test]
fn ten_steps_of_sgd_end_at_lightlys_weights() {
    for device in devices() {
        let counting = |n: usize, d: usize| {
            let numbers: Vec<f32> = (0..n * d).map(|i| i as f32).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, [n, d]), &device)
        };
        let (xs, ys) = (counting(16, 5), counting(8, 4)); // two inputs of five numbers an image; their targets
        let mut weights = Tensor::<2>::from_data([[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 1.0]], &device);
        let loss = |weights: Tensor<2>| {
            let outputs = xs.clone().matmul(weights.transpose()); // [16, 2]
            nt_xent(outputs.reshape([8, 4]), ys.clone(), 0.5)
        };
        check("first loss", loss(weights.clone()), 2.7251383949);
        for _ in 0..10 {
            let leaf = weights.require_grad();
            let gradient = leaf.grad(&loss(leaf.clone()).backward()).expect("the loss depends on the weights");
            weights = Tensor::from_inner(leaf.inner() - gradient.mul_scalar(0.1));
        }
        check("last loss", loss(weights.clone()), 2.6984227389);
        let wanted = [0.1675, 0.2676, 0.3678, 0.4679, 0.5680, 0.5763, 0.6742, 0.7721, 0.8700, 0.9679];
        assert_close("weights", &values(weights), &wanted, 1e-4);
    }
}

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn nt_xent_knows_no_first_view_no_order_and_no_length(
        a in view(), b in view(), order in order(), lengths in lengths(),
    ) {
        let shuffled = |x: &Rows| order.iter().map(|i| x[*i].clone()).collect::<Rows>();
        let scaled: Rows = a.iter().zip(&lengths).map(|(row, l)| row.iter().map(|v| v * l).collect()).collect();
        for device in devices() {
            let loss = |a: &Rows, b: &Rows| nt_xent(tensor(a, &device), tensor(b, &device), 0.2).into_scalar::<f32>();
            let plain = loss(&a, &b);
            for (change, changed) in [
                ("views swapped", loss(&b, &a)),
                ("images in another order", loss(&shuffled(&a), &shuffled(&b))),
                ("rows scaled", loss(&scaled, &b)),
            ] {
                prop_assert!((plain - changed).abs() <= 1e-4 * (1.0 + plain.abs()), "{change}: {plain} {changed}");
            }
        }
    }
}
