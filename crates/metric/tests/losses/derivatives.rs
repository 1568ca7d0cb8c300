//! Derivatives against finite differences, where the fixture has no gradient: separate references, mined tuples, learnt
//! boundaries, variants, later batches of a running histogram.

use super::*;
use metric::{
    Reducer,
    losses::{
        Angular, Instance, IntraPairVariance, LiftedStructure, Margin, MultiSimilarity, NcaLoss, NtXent, Penalty, Pnp,
        SupCon, TripletMargin, TupletMargin,
    },
    miner::{BatchEasyHardMiner, Miner, Strategy},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LABELS: [usize; 9] = [0, 0, 1, 1, 2, 2, 0, 1, 2];
const REFERENCE_LABELS: [usize; 6] = [0, 1, 2, 2, 1, 0];

fn random(n: usize, d: usize, seed: u64) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (0..d).map(|_| rng.random_range(-1.0..1.0)).collect()).collect()
}

/// The slope along random directions is the finite difference along them.
fn check(name: &str, rows: &[Vec<f64>], device: &Device, loss: impl Fn(Tensor<2>) -> Tensor<1>) {
    const STEP: f64 = 4e-3;
    let (_, gradient) = evaluate(rows, device, &loss);
    let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
    assert!(largest > 0.0, "{name} has no gradient");
    for seed in 0..4 {
        let direction = random(rows.len(), rows[0].len(), 100 + seed);
        let moved = |by: f64| -> f64 {
            let add = |(row, way): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
                row.iter().zip(way).map(|(x, w)| x + by * w).collect()
            };
            let rows: Rows = rows.iter().zip(&direction).map(add).collect();
            loss(tensor(&rows, device)).into_scalar::<f32>().into()
        };
        let wanted = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        let got: f64 = gradient.iter().zip(direction.concat()).map(|(g, w)| f64::from(*g) * w).sum();
        let scale = wanted.abs().max(f64::from(largest));
        assert!((got - wanted).abs() <= 0.02 * scale, "{name}: slope {got} instead of {wanted}");
    }
}

/// Losses that are smooth enough for a finite difference.
fn smooth_losses() -> Vec<Case> {
    let reducer = Reducer::Mean;
    let penalty = |penalty| Case::own(Pnp { penalty, anneal: 0.3 });
    let triplet = |swap| TripletMargin { margin: 0.2, smooth: true, swap, reducer: reducer.clone() };
    vec![
        Case::new(EUCLIDEAN, triplet(false)),
        Case::new(EUCLIDEAN, triplet(true)),
        Case::new(Distance::Cosine, triplet(true)),
        Case::new(Distance::Lp { p: 3.0, power: 2.0, normalized: true }, triplet(false)),
        Case::new(Distance::Lp { p: 1.5, power: 1.0, normalized: false }, triplet(false)),
        Case::new(Distance::Snr, triplet(false)),
        Case::own(MultiSimilarity { beta: 4.0, ..MultiSimilarity::default() }),
        Case::own(NtXent { temperature: 0.5, ..NtXent::default() }),
        Case::new(EUCLIDEAN, NtXent { temperature: 0.5, ..NtXent::default() }),
        Case::own(SupCon { temperature: 0.5, ..SupCon::default() }),
        Case::own(NcaLoss::default()),
        Case::own(LiftedStructure::default()),
        Case::own(IntraPairVariance::default()),
        Case::new(EUCLIDEAN, IntraPairVariance::default()),
        Case::own(TupletMargin { scale: 4.0, ..TupletMargin::default() }),
        Case::own(Angular { alpha: 20.0, ..Angular::default() }),
        Case::own(Instance { gamma: 2.0, ..Instance::default() }),
        penalty(Penalty::Linear),
        penalty(Penalty::Increasing),
        penalty(Penalty::BoundedIncreasing { b: 2.0 }),
        penalty(Penalty::Decreasing),
        penalty(Penalty::Quickly { alpha: 1.5 }),
    ]
}

#[test]
fn slopes_are_those_of_the_values() {
    let rows = random(9, 5, 1);
    for device in devices() {
        for case in smooth_losses() {
            check(&format!("{case:?}"), &rows, &device, |x| case.of(x, &LABELS));
        }
    }
}

/// References that carry a gradient: their part is checked by making them of the embeddings.
#[test]
fn slopes_flow_through_references() {
    let (rows, others) = (random(9, 5, 2), random(6, 5, 3));
    for device in devices() {
        let others = tensor(&others, &device);
        for case in smooth_losses().iter().filter(|case| !format!("{:?}", case.loss).starts_with("Instance")) {
            check(&format!("{case:?}"), &rows, &device, |x| {
                let references = others.clone() + x.clone().narrow(0, 2, 6).mul_scalar(0.5);
                case.over(x, &LABELS, Some((references, REFERENCE_LABELS.as_slice())), None)
            });
        }
    }
}

#[test]
fn slopes_are_those_of_mined_tuples() {
    let rows = random(9, 5, 4);
    let miner = BatchEasyHardMiner { positive: Strategy::Hard, negative: Strategy::Hard, ..Default::default() };
    for device in devices() {
        // Chosen once: a miner's choice is a constant for the gradient.
        let on = Pairwise::new(EUCLIDEAN, tensor(&rows, &device), &LABELS, None).unwrap();
        let tuples = miner.mine(&on).unwrap();
        for case in smooth_losses() {
            let takes_none = ["Instance", "Pnp"];
            if !takes_none.iter().any(|name| format!("{:?}", case.loss).starts_with(name)) {
                check(&format!("{case:?}"), &rows, &device, |x| case.over(x, &LABELS, None, Some(&tuples)));
            }
        }
    }
}

#[test]
fn a_boundary_can_be_learnt() {
    let rows = random(9, 5, 5);
    let margin = Margin { nu: 0.3, reducer: Reducer::Sum, ..Margin::default() };
    let device = &devices()[0];
    let loss = |beta: &[f32]| {
        let beta = Tensor::<1>::from_data(TensorData::new(beta.to_vec(), [beta.len()]), device).require_grad();
        let on = Pairwise::new(EUCLIDEAN, tensor(&rows, device).require_grad(), &LABELS, None).unwrap();
        let loss = margin.with_boundary(&on, None, beta.clone()).unwrap();
        let gradient = beta.grad(&loss.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        (loss.into_scalar::<f32>(), gradient)
    };
    let fixed = margin.of(tensor(&rows, device), &LABELS).unwrap().into_scalar::<f32>();
    check_value("one boundary", loss(&[1.2]).0, f64::from(fixed + 0.3 * 1.2));
    let on = Pairwise::new(EUCLIDEAN, tensor(&rows, device), &LABELS, None).unwrap();
    for beta in [vec![1.1], vec![1.0, 1.2, 0.9]] {
        let (value, gradient) = loss(&beta);
        // By the formula, triplet by triplet.
        let mut wanted = vec![0.0f32; beta.len()];
        let mut sum = 0.0f32;
        for t in Tuples::all_triplets(&on).triplets().iter() {
            let class = if beta.len() == 1 { 0 } else { LABELS[t.anchor as usize] };
            let row = on.values().row(t.anchor as usize);
            let near = row[t.positive as usize] - beta[class] + 0.2;
            let far = beta[class] - row[t.negative as usize] + 0.2;
            sum += near.max(0.0) + far.max(0.0);
            wanted[class] += f32::from(far > 0.0) - f32::from(near > 0.0);
            if beta.len() > 1 {
                sum += 0.3 * beta[class];
                wanted[class] += 0.3;
            }
        }
        if beta.len() == 1 {
            sum += 0.3 * beta[0];
            wanted[0] += 0.3;
        }
        check_value("the loss", value, sum.into());
        for (got, wanted) in gradient.iter().zip(&wanted) {
            assert!((got - wanted).abs() < 1e-2, "{beta:?}: {gradient:?} instead of {wanted:?}");
        }
    }
    let few = Tensor::<1>::from_data([1.0, 1.0], device);
    assert!(margin.with_boundary(&on, None, few).is_err(), "two boundaries for three classes");
}

#[test]
fn a_running_histogram_weighs_the_next_batch() {
    // Three directions whose gaps, -0.25 and 0.17, lie far from the nodes, where the loss jumps.
    let first = random(9, 5, 6);
    let second: Rows = [0f64, 25.0, 40.0].iter().map(|a| vec![a.to_radians().cos(), a.to_radians().sin()]).collect();
    let dynamic = DynamicSoftMargin { momentum: 0.25, ..DynamicSoftMargin::default() };
    let device = &devices()[0];
    let mut histogram = GapHistogram::default();
    let on = Pairwise::new(EUCLIDEAN, tensor(&first, device), &LABELS, None).unwrap();
    dynamic.forward(&on, None, &mut histogram).unwrap();
    assert!((histogram.shares().iter().sum::<f64>() - 1.0).abs() < 1e-9);
    check("second batch", &second, device, |x| {
        let on = Pairwise::new(EUCLIDEAN, x, &[0, 0, 1], None).unwrap();
        dynamic.forward(&on, None, &mut histogram.clone()).unwrap()
    });
    let other = DynamicSoftMargin { bins: 4, ..dynamic };
    assert!(other.forward(&on, None, &mut histogram).is_err(), "another number of bins");
}
