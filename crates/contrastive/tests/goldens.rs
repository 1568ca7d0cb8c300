//! Losses and their gradients against lightly, on both CPU backends.
//!
//! The fixture holds what lightly computed in f64. Other reference values are taken from a folder `GOLDEN_DIR`.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::tensor::{Device, Tensor};
use common::{Rows, assert_close, check, devices, tensor, values};
use contrastive::losses::{
    VicRegWeights, alignment, barlow_twins, dcl, dclw, info_nce, koleo, mmcr, negative_cosine, nt_xent, sinkhorn, swav,
    tico, tico_covariance, uniformity, vicreg,
};
use nearfar_core::backend::Backend;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Fixture {
    view_a: Rows,
    view_b: Rows,
    losses: Losses,
    diagnostics: Diagnostics,
}

#[derive(Deserialize)]
struct Losses {
    #[serde(rename = "ntxent_t0.5")]
    nt_xent_half: TwoViews,
    #[serde(rename = "ntxent_t0.1")]
    nt_xent_tenth: TwoViews,
    dcl: TwoViews,
    dclw: TwoViews,
    negative_cosine_similarity: TwoViews,
    barlow_twins: TwoViews,
    vicreg: TwoViews,
    tico: TwoViews,
    mmcr: Manifolds,
    koleo: OneView,
    swav: Assigned,
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

/// A loss of view `a` and its gradient.
#[derive(Deserialize)]
struct OneView {
    value: f32,
    grad: Rows,
}

/// A loss against a queue of unit keys.
#[derive(Deserialize)]
struct Queued {
    queue: Rows,
    value: f32,
}

/// A loss of scores against prototypes.
#[derive(Deserialize)]
struct Assigned {
    logits_a: Rows,
    logits_b: Rows,
    value: f32,
}

/// A loss of images, each with the rows of its views in two networks.
#[derive(Deserialize)]
struct Manifolds {
    momentum: Vec<Rows>,
    online: Vec<Rows>,
    value: f32,
}

#[derive(Deserialize)]
struct Diagnostics {
    uniformity_t2: f32,
    alignment_alpha2: f32,
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

/// A loss of two views.
type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

/// TiCo's first step: nothing is known of earlier batches.
fn first_tico(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let [_, d] = a.dims();
    let covariance = tico_covariance(Tensor::zeros([d, d], &a.device()), a.clone(), 0.9);
    tico(a, b, covariance, 8.0)
}

/// Every loss of two views under its name; `sample` picks some.
fn check_two_views(device: &Device, sample: impl Fn(&str) -> bool) {
    let Fixture { view_a, view_b, losses, .. } = Fixture::read();
    let cases: [(&str, &TwoViews, Loss); 8] = [
        ("NT-Xent at 0.5", &losses.nt_xent_half, |a, b| nt_xent(a, b, 0.5)),
        ("NT-Xent at 0.1", &losses.nt_xent_tenth, |a, b| nt_xent(a, b, 0.1)),
        ("DCL", &losses.dcl, |a, b| dcl(a, b, 0.1)),
        ("DCLW", &losses.dclw, |a, b| dclw(a, b, 0.1, 0.5)),
        ("negative cosine", &losses.negative_cosine_similarity, negative_cosine),
        ("Barlow Twins", &losses.barlow_twins, |a, b| barlow_twins(a, b, 5e-3)),
        ("VICReg", &losses.vicreg, |a, b| vicreg(a, b, VicRegWeights::default())),
        ("TiCo", &losses.tico, first_tico),
    ];
    for (name, golden, loss) in cases.into_iter().filter(|(name, ..)| sample(name)) {
        let (a, b) = (tensor(&view_a, device).require_grad(), tensor(&view_b, device).require_grad());
        let loss = loss(a.clone(), b.clone());
        let grads = loss.backward();
        check(name, loss, golden.value.into());
        for (view, x, wanted) in [("a", a, &golden.grad_a), ("b", b, &golden.grad_b)] {
            let gradient = values(x.grad(&grads).expect("both views have a gradient"));
            assert_close(&format!("{name}, view {view}"), &gradient, &wanted.concat(), 1e-4);
        }
    }
}

#[test]
fn values_and_gradients_are_lightlys() {
    for device in devices() {
        check_two_views(&device, |_| true);
    }
}

/// On whatever adapter there is: a software one will do. There NT-Xent is a composition of Burn's operations. Without
/// any adapter the test says so; with `NEARFAR_REQUIRE_WGPU` set it fails instead.
#[test]
fn a_sample_is_lightlys_on_wgpu() {
    match Backend::Wgpu.open() {
        Ok((_, device)) => {
            check_two_views(&device.autodiff(), |name| ["NT-Xent at 0.1", "DCL", "VICReg"].contains(&name))
        }
        Err(error) if std::env::var_os("NEARFAR_REQUIRE_WGPU").is_none() => {
            eprintln!("no wgpu adapter here, nothing compared: {error}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn koleo_is_lightlys() {
    let Fixture { view_a, losses, .. } = Fixture::read();
    for device in devices() {
        let a = tensor(&view_a, &device).require_grad();
        let loss = koleo(a.clone());
        let grads = loss.backward();
        check("KoLeo", loss, losses.koleo.value.into());
        let gradient = values(a.grad(&grads).expect("the rows have a gradient"));
        assert_close("KoLeo, gradient", &gradient, &losses.koleo.grad.concat(), 1e-4);
    }
}

#[test]
fn info_nce_is_the_cross_entropy_of_the_fixture() {
    let Fixture { view_a, view_b, losses, .. } = Fixture::read();
    for device in devices() {
        for (temperature, golden) in [(0.07, &losses.moco_v1), (0.2, &losses.moco_v2)] {
            let (q, k) = (tensor(&view_a, &device), tensor(&view_b, &device));
            let loss = info_nce(q, k, tensor(&golden.queue, &device), temperature);
            check(&format!("InfoNCE at {temperature}"), loss, golden.value.into());
        }
    }
}

#[test]
fn swav_is_lightlys() {
    let Fixture { losses: Losses { swav: golden, .. }, .. } = Fixture::read();
    for device in devices() {
        let scores = [tensor(&golden.logits_a, &device), tensor(&golden.logits_b, &device)];
        let codes = scores.clone().map(|s| sinkhorn(s, 3, 0.05));
        check("SwAV", swav(&scores, &codes, 0.1), golden.value.into());
    }
}

#[test]
fn mmcr_is_lightlys() {
    let Fixture { losses: Losses { mmcr: golden, .. }, .. } = Fixture::read();
    for device in devices() {
        let view = |images: &[Rows], view: usize| {
            let rows: Rows = images.iter().map(|rows| rows[view].clone()).collect();
            tensor(&rows, &device)
        };
        let views = [&golden.online, &golden.momentum].map(|images| [0, 1].map(|v| view(images, v)));
        check("MMCR", mmcr(&views.concat(), 5e-3), golden.value.into());
    }
}

#[test]
fn alignment_and_uniformity_are_the_diagnostics() {
    let Fixture { view_a, view_b, diagnostics, .. } = Fixture::read();
    for device in devices() {
        let (a, b) = (tensor(&view_a, &device), tensor(&view_b, &device));
        check("uniformity", uniformity(a.clone(), 2.0), diagnostics.uniformity_t2.into());
        check("alignment", alignment(a, b), diagnostics.alignment_alpha2.into());
    }
}
