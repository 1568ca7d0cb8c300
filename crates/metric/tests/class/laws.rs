//! Invariances, derivatives, extremes and refusals.

use super::{Rows, devices, evaluate, fan, tensor};
use burn::tensor::Device;
use metric::{
    MetricError, Reducer, Triplet, Tuples,
    losses::class::{
        ArcFace, ClassHead, ClassLoss, CosFace, LargeMarginSoftmax, NormalizedSoftmax, Outliers, ProxyAnchor, ProxyNca,
        SoftTriple, SphereFace, SubCenterArcFace,
    },
};
use proptest::prelude::*;
use std::sync::Arc;

const CLASSES: usize = 3;

/// Every loss with mild settings, so that no softmax is saturated.
fn mild() -> [Arc<dyn ClassLoss>; 9] {
    [
        Arc::new(ArcFace { scale: 4.0, ..ArcFace::default() }),
        Arc::new(SubCenterArcFace { scale: 4.0, centers: 2, ..SubCenterArcFace::default() }),
        Arc::new(CosFace { scale: 4.0, ..CosFace::default() }),
        Arc::new(SphereFace { margin: 2, ..SphereFace::default() }),
        Arc::new(LargeMarginSoftmax { margin: 2, ..LargeMarginSoftmax::default() }),
        Arc::new(NormalizedSoftmax { temperature: 0.5, ..NormalizedSoftmax::default() }),
        Arc::new(ProxyNca::default()),
        Arc::new(ProxyAnchor { alpha: 4.0, ..ProxyAnchor::default() }),
        Arc::new(SoftTriple { centers: 2, lambda: 4.0, gamma: 0.5, ..SoftTriple::default() }),
    ]
}

/// Every loss at the far end of its settings.
fn extreme() -> [Arc<dyn ClassLoss>; 9] {
    [
        Arc::new(ArcFace { margin: 90.0, scale: 1000.0, ..ArcFace::default() }),
        Arc::new(SubCenterArcFace { margin: 90.0, scale: 1000.0, centers: 2, ..SubCenterArcFace::default() }),
        Arc::new(CosFace { margin: 2.0, scale: 1000.0, ..CosFace::default() }),
        Arc::new(SphereFace { margin: 16, scale: 100.0, ..SphereFace::default() }),
        Arc::new(LargeMarginSoftmax { margin: 16, scale: 100.0, ..LargeMarginSoftmax::default() }),
        Arc::new(NormalizedSoftmax { temperature: 1e-3, ..NormalizedSoftmax::default() }),
        Arc::new(ProxyNca { scale: 1000.0, ..ProxyNca::default() }),
        Arc::new(ProxyAnchor { margin: 2.0, alpha: 1000.0, ..ProxyAnchor::default() }),
        Arc::new(SoftTriple { centers: 2, lambda: 1000.0, gamma: 1e-3, margin: 2.0, ..SoftTriple::default() }),
    ]
}

/// Rows of numbers around zero that a seed fixes.
fn rows(n: usize, d: usize, seed: u64) -> Rows {
    let mix = |i: usize| {
        let mut z = (seed << 20).wrapping_add(i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((z ^ (z >> 27)) >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0
    };
    (0..n).map(|i| (0..d).map(|j| mix(i * d + j)).collect()).collect()
}

fn head(loss: &Arc<dyn ClassLoss>, weights: &[Vec<f64>], device: &Device) -> ClassHead {
    ClassHead::with_weights(loss.clone(), tensor(weights, device)).unwrap()
}

fn value(loss: &Arc<dyn ClassLoss>, x: &[Vec<f64>], w: &[Vec<f64>], labels: &[usize]) -> f64 {
    let [device, _] = devices();
    let loss = head(loss, w, &device).forward(tensor(x, &device), labels).unwrap();
    f64::from(loss.into_scalar::<f32>())
}

/// `a + h b`.
fn moved(a: &[Vec<f64>], b: &[Vec<f64>], h: f64) -> Rows {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + h * b).collect()).collect()
}

fn along(gradient: &[f32], direction: &[Vec<f64>]) -> f64 {
    gradient.iter().zip(direction.iter().flatten()).map(|(g, d)| f64::from(*g) * d).sum()
}

#[test]
fn gradients_are_finite_differences_for_embeddings_and_weights() {
    let labels = [0, 1, 2, 0, 1, 0];
    for (seed, loss) in (0..).zip(mild()) {
        let (x, w) = (rows(6, 4, 2 * seed), rows(CLASSES * loss.centers(), 4, 2 * seed + 1));
        let (dx, dw) = (rows(6, 4, 100 + seed), rows(w.len(), 4, 200 + seed));
        for device in devices() {
            let h = 2e-3;
            let (_, of_x) = evaluate(&x, &device, |x| head(&loss, &w, &device).forward(x, &labels).unwrap());
            let wanted = (value(&loss, &moved(&x, &dx, h), &w, &labels)
                - value(&loss, &moved(&x, &dx, -h), &w, &labels))
                / (2.0 * h);
            let got = along(&of_x, &dx);
            assert!((got - wanted).abs() <= 1e-2 * (0.1 + wanted.abs()), "{loss:?}, embeddings: {got}, not {wanted}");

            let (_, of_w) = evaluate(&w, &device, |w| {
                let head = ClassHead::with_weights(loss.clone(), w).unwrap();
                head.forward(tensor(&x, &device), &labels).unwrap()
            });
            let wanted = (value(&loss, &x, &moved(&w, &dw, h), &labels)
                - value(&loss, &x, &moved(&w, &dw, -h), &labels))
                / (2.0 * h);
            let got = along(&of_w, &dw);
            assert!((got - wanted).abs() <= 1e-2 * (0.1 + wanted.abs()), "{loss:?}, weights: {got}, not {wanted}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_order_of_the_batch_does_not_matter(seed in 0u64..1000, turn in 1usize..7) {
        let labels: Vec<usize> = (0..7).map(|i| (i + seed as usize) % CLASSES).collect();
        let x = rows(7, 4, seed);
        let (mut turned, mut turned_labels) = (x.clone(), labels.clone());
        turned.rotate_left(turn);
        turned_labels.rotate_left(turn);
        for loss in mild() {
            let w = rows(CLASSES * loss.centers(), 4, seed + 1);
            let (a, b) = (value(&loss, &x, &w, &labels), value(&loss, &turned, &w, &turned_labels));
            prop_assert!((a - b).abs() <= 1e-5 * a.abs(), "{:?}: {} and {}", loss, a, b);
        }
    }

    #[test]
    fn lengths_do_not_matter_to_cosine_losses(seed in 0u64..1000, factor in 0.5f64..20.0) {
        let labels: Vec<usize> = (0..7).map(|i| i % CLASSES).collect();
        let x = rows(7, 4, seed);
        let longer: Rows = x.iter().map(|row| row.iter().map(|v| v * factor).collect()).collect();
        let lengths = ["SphereFace", "LargeMargin"];
        for loss in mild().into_iter().filter(|l| !lengths.iter().any(|name| format!("{l:?}").starts_with(name))) {
            let w = rows(CLASSES * loss.centers(), 4, seed + 1);
            let (a, b) = (value(&loss, &x, &w, &labels), value(&loss, &longer, &w, &labels));
            prop_assert!((a - b).abs() <= 1e-4 * a.abs(), "{:?}: {} and {}", loss, a, b);
        }
    }
}

/// A zero row, a row on its class weight, one opposite to it, and one a class, at the largest scales.
#[test]
fn values_and_gradients_stay_finite_at_the_extremes() {
    let mut x = fan(&[0.0, 180.0, 90.0, 120.0]);
    x.push(vec![0.0, 0.0]);
    let labels = [0, 0, 1, 2, 1];
    for loss in extreme().into_iter().chain(mild()) {
        let mut w = fan(&[0.0, 90.0, 240.0, 0.0, 90.0, 240.0]);
        w.truncate(CLASSES * loss.centers());
        for device in devices() {
            let (value, gradient) = evaluate(&x, &device, |x| head(&loss, &w, &device).forward(x, &labels).unwrap());
            assert!(value.is_finite(), "{loss:?} is {value}");
            assert!(gradient.iter().all(|g| g.is_finite()), "{loss:?}: {gradient:?}");
            let (_, gradient) = evaluate(&w, &device, |w| {
                let head = ClassHead::with_weights(loss.clone(), w).unwrap();
                head.forward(tensor(&x, &device), &labels).unwrap()
            });
            assert!(gradient.iter().all(|g| g.is_finite()), "{loss:?}, weights: {gradient:?}");
        }
    }
}

#[test]
fn mined_tuples_weigh_the_embeddings() {
    let (x, labels) = (rows(4, 3, 5), [0, 0, 1, 2]);
    let [device, _] = devices();
    let triplet = |anchor, positive, negative| Triplet { anchor, positive, negative };
    // Rows 0 and 1 occur twice, rows 2 and 3 once.
    let tuples = Tuples::Triplets(vec![triplet(0, 1, 2), triplet(1, 0, 3)]);
    let counts = [1.0, 1.0, 0.5, 0.5];
    for loss in mild().into_iter().filter(|l| l.reducer() == &Reducer::Mean) {
        let head = head(&loss, &rows(CLASSES * loss.centers(), 3, 6), &device);
        let x = tensor(&x, &device);
        let single = |i: usize| {
            let row = x.clone().slice([i..i + 1, 0..3]);
            f64::from(head.forward(row, &labels[i..=i]).unwrap().into_scalar::<f32>())
        };
        let wanted = (0..4).map(|i| single(i) * counts[i]).sum::<f64>() / 4.0;
        let got = f64::from(head.forward_mined(x.clone(), &labels, &tuples).unwrap().into_scalar::<f32>());
        assert!((got - wanted).abs() <= 1e-5 * wanted, "{loss:?}: {got}, not {wanted}");
        let none = head.forward_mined(x.clone(), &labels, &Tuples::Triplets(Vec::new())).unwrap();
        let all = head.forward(x, &labels).unwrap();
        assert_eq!(none.into_scalar::<f32>(), all.into_scalar::<f32>(), "{loss:?} without tuples");
    }
}

/// A weight below one lowers an embedding's exponent in both sums of its batch.
#[test]
fn proxy_anchor_takes_weights_into_its_exponents() {
    let [device, _] = devices();
    let loss = ProxyAnchor { margin: 0.0, alpha: 1.0, ..ProxyAnchor::default() };
    let head = ClassHead::with_weights(Arc::new(loss), tensor(&fan(&[0.0, 90.0]), &device)).unwrap();
    let parts = head.parts(tensor(&fan(&[0.0]), &device), &[0], Some(&[0.25])).unwrap();
    let values: Vec<Vec<f32>> = parts.into_iter().map(|p| p.values.try_into_vec_as::<f32>().unwrap()).collect();
    let wanted = [[(-1.0f64 - 0.75).exp().ln_1p(), 0.0], [0.0, (-0.75f64).exp().ln_1p()]];
    for (got, wanted) in values.concat().iter().zip(wanted.concat()) {
        assert!((f64::from(*got) - wanted).abs() < 1e-6, "{values:?}, not {wanted:?}");
    }
}

#[test]
fn reducers_reduce_the_elements() {
    let (x, labels) = (rows(5, 3, 7), [0, 1, 2, 0, 1]);
    let [device, _] = devices();
    let with = |reducer| {
        let loss: Arc<dyn ClassLoss> = Arc::new(CosFace { scale: 4.0, reducer, ..CosFace::default() });
        value(&loss, &x, &rows(CLASSES, 3, 8), &labels)
    };
    let loss: Arc<dyn ClassLoss> = Arc::new(CosFace { scale: 4.0, ..CosFace::default() });
    let parts = head(&loss, &rows(CLASSES, 3, 8), &device).parts(tensor(&x, &device), &labels, None).unwrap();
    let values: Vec<f64> =
        parts[0].values.clone().try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect();
    let total: f64 = values.iter().sum();
    let near = |got: f64, wanted: f64| assert!((got - wanted).abs() <= 1e-5 * wanted, "{got}, not {wanted}");
    near(with(Reducer::Mean), total / 5.0);
    near(with(Reducer::Sum), total);
    near(with(Reducer::AverageNonZero), total / 5.0);
    near(with(Reducer::ClassWeighted { weights: vec![0.0, 1.0, 0.0] }), (values[1] + values[4]) / 5.0);
    let largest = values.iter().copied().fold(0.0, f64::max);
    near(with(Reducer::Threshold { low: Some(largest as f32 - 1e-3), high: None }), largest);
}

#[test]
fn seeds_fix_the_weights() {
    let [device, other] = devices();
    let weights = |seed, device: &Device| {
        let head = CosFace::default().init(50, 40, seed, device).unwrap();
        head.weights().try_into_vec_as::<f32>().unwrap()
    };
    assert_eq!(weights(1, &device), weights(1, &other));
    assert_ne!(weights(1, &device), weights(2, &device));
    let drawn = weights(1, &device);
    let variance = drawn.iter().map(|w| w * w).sum::<f32>() / drawn.len() as f32;
    assert!((variance - 1.0).abs() < 0.1, "{variance}");
    let soft = SoftTriple::default().init(5, 8, 0, &device).unwrap().weights();
    assert_eq!(soft.dims(), [50, 8]);
    assert!(soft.abs().max().into_scalar::<f32>() <= 50f32.sqrt().recip());
}

#[test]
fn logits_name_the_nearest_class() {
    let [device, _] = devices();
    let w = fan(&[0.0, 10.0, 90.0, 100.0, 180.0, 190.0]);
    for loss in mild() {
        let every = 2 / loss.centers();
        let w: Rows = w.iter().step_by(every).cloned().collect();
        let logits = head(&loss, &w, &device).logits(tensor(&fan(&[185.0, 7.0, 95.0]), &device));
        assert_eq!(logits.dims(), [3, CLASSES], "{loss:?}");
        let nearest = logits.argmax(1).try_into_vec_as::<i32>().unwrap();
        assert_eq!(nearest, [2, 0, 1], "{loss:?}");
    }
}

/// Two centres a class: class 0 at 0 and 90 degrees, class 1 at 180 and 270, class 2 at 45 and 135.
#[test]
fn outliers_are_far_from_the_dominant_centre_of_their_class() {
    let [device, _] = devices();
    let loss = SubCenterArcFace { centers: 2, ..SubCenterArcFace::default() };
    let weights = tensor(&fan(&[0.0, 90.0, 180.0, 270.0, 45.0, 135.0]), &device);
    let head = ClassHead::with_weights(Arc::new(loss), weights).unwrap();
    let x = || tensor(&fan(&[85.0, 5.0, 10.0, 190.0, 240.0, 262.0, 251.0]), &device);
    let found = head.outliers(x(), &[0, 0, 0, 1, 1, 1, 1], 75.0).unwrap();
    assert_eq!(found, Outliers { rows: vec![0, 3], dominant: vec![Some(0), Some(1), None] });
    assert_eq!(head.outliers(x(), &[0, 0, 0, 1, 1, 1, 1], 90.0).unwrap().rows, [0usize; 0]);
    let label = head.outliers(x(), &[0, 0, 0, 1, 1, 1, 3], 75.0).unwrap_err();
    assert_eq!(label, MetricError::ClassLabel { label: 3, classes: 3 });
}

#[test]
fn what_does_not_fit_is_refused() {
    let [device, _] = devices();
    let head = ArcFace::default().init(3, 2, 0, &device).unwrap();
    let x = || tensor(&fan(&[0.0, 50.0]), &device);
    assert_eq!(head.forward(x(), &[0, 3]).unwrap_err(), MetricError::ClassLabel { label: 3, classes: 3 });
    let labels = MetricError::Labels { what: "embeddings", rows: 2, labels: 1 };
    assert_eq!(head.forward(x(), &[0]).unwrap_err(), labels);
    let wide = tensor(&rows(2, 3, 0), &device);
    let dimensions = MetricError::ClassDimensions { embeddings: 3, weights: 2 };
    assert_eq!(head.forward(wide, &[0, 1]).unwrap_err(), dimensions);
    let weights = MetricError::Weights { rows: 2, weights: 3 };
    assert_eq!(head.parts(x(), &[0, 1], Some(&[1.0; 3])).unwrap_err(), weights);

    let divisor = ArcFace { reducer: Reducer::Divisor, ..ArcFace::default() };
    assert_eq!(divisor.init(3, 2, 0, &device).unwrap_err(), MetricError::NoDivisor);
    let few = ArcFace { reducer: Reducer::ClassWeighted { weights: vec![1.0] }, ..ArcFace::default() };
    assert_eq!(few.init(3, 2, 0, &device).unwrap_err(), MetricError::ClassWeight { class: 1, classes: 1 });

    let setting = |result: Result<ClassHead, MetricError>, wanted: &str| match result {
        Err(MetricError::Setting { name, .. }) => assert_eq!(name, wanted),
        other => panic!("{wanted}: {other:?}"),
    };
    setting(ArcFace::default().init(1, 2, 0, &device), "classes");
    setting(ArcFace::default().init(2, 0, 0, &device), "dimension");
    setting(ArcFace { margin: 91.0, ..ArcFace::default() }.init(2, 2, 0, &device), "margin");
    setting(ArcFace { scale: f64::INFINITY, ..ArcFace::default() }.init(2, 2, 0, &device), "scale");
    setting(SubCenterArcFace { centers: 0, ..SubCenterArcFace::default() }.init(2, 2, 0, &device), "centers");
    setting(CosFace { margin: -0.1, ..CosFace::default() }.init(2, 2, 0, &device), "margin");
    setting(SphereFace { margin: 0, ..SphereFace::default() }.init(2, 2, 0, &device), "margin");
    setting(LargeMarginSoftmax { scale: 0.0, ..LargeMarginSoftmax::default() }.init(2, 2, 0, &device), "scale");
    setting(
        NormalizedSoftmax { temperature: 0.0, ..NormalizedSoftmax::default() }.init(2, 2, 0, &device),
        "temperature",
    );
    setting(ProxyNca { scale: f64::NAN, ..ProxyNca::default() }.init(2, 2, 0, &device), "scale");
    setting(ProxyAnchor { alpha: -1.0, ..ProxyAnchor::default() }.init(2, 2, 0, &device), "alpha");
    setting(SoftTriple { gamma: 0.0, ..SoftTriple::default() }.init(2, 2, 0, &device), "gamma");
    let uneven = ClassHead::with_weights(Arc::new(SubCenterArcFace::default()), tensor(&rows(7, 2, 0), &device));
    setting(uneven, "weights");
}
