//! Penalties on embeddings and on class weights against pytorch-metric-learning.

use super::{Fixture, Rows, check_gradient, check_value, devices, evaluate, fan};
use metric::{
    MetricError,
    regularizer::{CenterInvariant, Lp, RegularFace, Regularizer, SparseCenters, ZeroMean},
};

/// Value, first entry and sum of sizes of the gradient, as the originals give them on the fixture.
#[test]
fn values_and_gradients_are_the_originals() {
    let fixture = Fixture::read();
    let (x, w, centers) = (&fixture.embeddings, &fixture.class_weights, fixture.centers());
    let cases: [(&dyn Regularizer, &Rows, [f64; 3]); 7] = [
        (&Lp::default(), x, [2.6829725155, 0.0028125256, 2.3308044514]),
        (&Lp { p: 1.0, power: 1.0 }, x, [6.2582777355, 0.0416666667, 8.0]),
        (&Lp { p: 3.0, power: 2.0 }, x, [4.7522133488, 0.0008646959, 6.7181318284]),
        (&ZeroMean, x, [2.8292942030, 0.0416666667, 8.0]),
        (&CenterInvariant, w, [2.6762011476, -0.2672167772, 20.7335597334]),
        (&RegularFace, w, [0.3963655471, -0.0422602999, 1.1782718443]),
        (&SparseCenters { centers: 3 }, &centers, [0.7954054039, -0.0016631456, 0.2810960661]),
    ];
    for device in devices() {
        for (regularizer, rows, [wanted, first, sizes]) in cases {
            let name = format!("{regularizer:?} on {device:?}");
            let (value, gradient) = evaluate(rows, &device, |x| regularizer.forward(x).unwrap());
            check_value(&name, value, wanted);
            let off = (f64::from(gradient[0]) - first).abs();
            assert!(off <= 1e-4 * sizes / 10.0, "{name}: {} instead of {first}", gradient[0]);
            check_value(&format!("{name}: gradient"), gradient.iter().map(|g| g.abs()).sum(), sizes);
        }
    }
}

/// The fixture's triplet loss with 0.3 times the L2 penalty is its triplet loss and that.
#[test]
fn a_penalty_is_added_to_a_loss() {
    let fixture = Fixture::read();
    let (plain, both) = (&fixture.losses["triplet_margin_0.2"], &fixture.losses["triplet_lp_regularizer"]);
    let difference: Vec<f64> = both.grad.concat().iter().zip(plain.grad.concat()).map(|(b, p)| b - p).collect();
    for device in devices() {
        let penalty = |x| Lp::default().forward(x).unwrap().mul_scalar(0.3);
        let (value, gradient) = evaluate(&fixture.embeddings, &device, penalty);
        check_value("penalty", value, both.value - plain.value);
        check_gradient("penalty", &gradient, &difference);
    }
}

#[test]
fn gradients_are_finite_where_roots_vanish() {
    let zero: Rows = vec![vec![0.0, 0.0], vec![3.0, 4.0]];
    let merged = fan(&[10.0, 10.0, 200.0, 200.0]);
    let cases: [(&dyn Regularizer, &Rows); 6] = [
        (&Lp::default(), &zero),
        (&Lp { p: 1.5, power: 0.5 }, &zero),
        (&ZeroMean, &zero),
        (&CenterInvariant, &zero),
        (&RegularFace, &merged),
        (&SparseCenters { centers: 2 }, &merged),
    ];
    for device in devices() {
        for (regularizer, rows) in cases {
            let (value, gradient) = evaluate(rows, &device, |x| regularizer.forward(x).unwrap());
            assert!(value.is_finite() && gradient.iter().all(|g| g.is_finite()), "{regularizer:?}: {gradient:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let [device, _] = devices();
    let refused = |regularizer: &dyn Regularizer, rows: usize| {
        let x = super::tensor(&vec![vec![1.0, 2.0]; rows], &device);
        match regularizer.forward(x) {
            Err(MetricError::Setting { name, .. }) => name,
            other => panic!("{regularizer:?}: {other:?}"),
        }
    };
    assert_eq!(refused(&Lp { p: 0.5, power: 1.0 }, 2), "p");
    assert_eq!(refused(&Lp { p: 2.0, power: 0.0 }, 2), "power");
    assert_eq!(refused(&RegularFace, 1), "weights");
    assert_eq!(refused(&SparseCenters { centers: 1 }, 2), "centers");
    assert_eq!(refused(&SparseCenters { centers: 3 }, 4), "weights");
}
