//! Against pytorch-metric-learning and against closed forms.

use super::{Fixture, Rows, check_gradient, check_value, devices, evaluate, fan, tensor, wgpu};
use burn::tensor::Device;
use metric::losses::class::{
    ArcFace, ClassHead, ClassLoss, CosFace, LargeMarginSoftmax, NormalizedSoftmax, P2sGrad, ProxyAnchor, ProxyNca,
    SoftTriple, SphereFace, SubCenterArcFace,
};
use std::sync::Arc;

/// The losses of the fixture on a device, by name.
fn check(device: &Device, wanted: impl Fn(&str) -> bool) {
    let fixture = Fixture::read();
    let (weights, centers) = (fixture.class_weights.clone(), fixture.centers());
    let losses: [(&str, Arc<dyn ClassLoss>, &Rows); 9] = [
        ("arcface", Arc::new(ArcFace::default()), &weights),
        ("sub_center_arcface", Arc::new(SubCenterArcFace::default()), &centers),
        ("cosface", Arc::new(CosFace::default()), &weights),
        ("sphereface", Arc::new(SphereFace::default()), &weights),
        ("large_margin_softmax", Arc::new(LargeMarginSoftmax::default()), &weights),
        ("normalized_softmax", Arc::new(NormalizedSoftmax::default()), &weights),
        ("proxy_nca", Arc::new(ProxyNca::default()), &weights),
        ("proxy_anchor", Arc::new(ProxyAnchor::default()), &weights),
        ("soft_triple", Arc::new(SoftTriple { centers: 3, ..SoftTriple::default() }), &centers),
    ];
    for (name, loss, weights) in losses.iter().filter(|(name, ..)| wanted(name)) {
        let head = ClassHead::with_weights(loss.clone(), tensor(weights, device)).unwrap();
        let forward = |x| head.forward(x, &fixture.labels).unwrap();
        let (value, gradient) = evaluate(&fixture.embeddings, device, forward);
        let golden = &fixture.losses[*name];
        let name = format!("{name} on {device:?}");
        check_value(&name, value, golden.value);
        check_gradient(&name, &gradient, &golden.grad.concat());
    }
}

#[test]
fn values_and_gradients_are_the_originals() {
    for device in devices() {
        check(&device, |_| true);
    }
}

/// One loss of each kind: an angle added, an angle multiplied, several centres a class with the largest and with a soft
/// maximum, proxies one by one, and proxies against the whole batch.
#[test]
fn a_sample_is_the_originals_on_wgpu() {
    let Some(device) = wgpu() else { return };
    let sample = ["arcface", "sub_center_arcface", "large_margin_softmax", "proxy_nca", "proxy_anchor", "soft_triple"];
    check(&device, |name| sample.contains(&name));
}

/// The fixture has no such loss: the value, the first entry of the gradient and the sum of the sizes of its entries, as
/// pytorch-metric-learning 2.9.0 gives them on the fixture's embeddings and class weights.
#[test]
fn p2s_grad_is_the_original() {
    let fixture = Fixture::read();
    for device in devices() {
        let weights = tensor(&fixture.class_weights, &device);
        let head = ClassHead::with_weights(Arc::new(P2sGrad::default()), weights).unwrap();
        let (value, gradient) = evaluate(&fixture.embeddings, &device, |x| head.forward(x, &fixture.labels).unwrap());
        check_value("P2SGrad", value, 0.26282773347830873);
        assert!((f64::from(gradient[0]) - 0.00011523329595536055).abs() < 1e-6, "{}", gradient[0]);
        check_value("P2SGrad's gradient", gradient.iter().map(|g| g.abs()).sum(), 0.3551221411768719);
    }
}

#[test]
fn five_directions_have_their_worked_values() {
    let (rows, weights) = (fan(&[0.0, 25.0, 40.0, 70.0, 80.0]), fan(&[0.0, 30.0, 90.0]));
    let losses: [(Arc<dyn ClassLoss>, f64); 5] = [
        (Arc::new(ArcFace::default()), 12.6527867742),
        (Arc::new(CosFace::default()), 16.9744756236),
        (Arc::new(NormalizedSoftmax::default()), 1.1071095807),
        (Arc::new(ProxyNca::default()), 0.7862088881),
        (Arc::new(ProxyAnchor::default()), 32.0257695226),
    ];
    for device in devices() {
        for (loss, wanted) in &losses {
            let head = ClassHead::with_weights(loss.clone(), tensor(&weights, &device)).unwrap();
            let (value, _) = evaluate(&rows, &device, |x| head.forward(x, &[0, 0, 1, 1, 2]).unwrap());
            check_value(&format!("{loss:?}"), value, *wanted);
        }
    }
}

/// Beyond `pi - m` the own logit is `s (cos - m sin m)`; before it is `s cos(angle + m)`.
#[test]
fn arcface_goes_on_falling_behind_its_turning_point() {
    let loss = ArcFace { margin: 60.0, scale: 2.0, ..ArcFace::default() };
    let m = 60f64.to_radians();
    for device in devices() {
        let head = ClassHead::with_weights(Arc::new(loss.clone()), tensor(&fan(&[0.0, 90.0]), &device)).unwrap();
        for angle in [0.0f64, 30.0, 119.0, 121.0, 150.0, 180.0] {
            let a = angle.to_radians();
            let own = if angle <= 120.0 { (a + m).cos() } else { a.cos() - m * m.sin() };
            let wanted = (2.0 * (a.sin() - own)).exp().ln_1p(); // the other class is at 90 degrees: cos = sin a
            let (value, _) = evaluate(&fan(&[angle]), &device, |x| head.forward(x, &[0]).unwrap());
            check_value(&format!("ArcFace at {angle} degrees"), value, wanted);
        }
    }
}

/// `psi` by its definition over angles.
#[test]
fn multiplied_angles_are_those_of_the_definition() {
    for device in devices() {
        for margin in 1usize..=6 {
            let loss = SphereFace { margin, ..SphereFace::default() };
            let head = ClassHead::with_weights(Arc::new(loss), tensor(&fan(&[0.0, 90.0]), &device)).unwrap();
            for angle in [0.0f64, 17.0, 33.0, 58.0, 76.0, 101.0, 133.0, 161.0, 180.0] {
                let (a, m) = (angle.to_radians(), margin as f64);
                let k = (angle * m / 180.0).floor();
                let psi = (if k % 2.0 == 0.0 { 1.0 } else { -1.0 }) * (m * a).cos() - 2.0 * k;
                let wanted = (a.sin() - psi).exp().ln_1p();
                let (value, _) = evaluate(&fan(&[angle]), &device, |x| head.forward(x, &[0]).unwrap());
                check_value(&format!("margin {margin} at {angle} degrees"), value, wanted);
            }
        }
    }
}
