//! Losses against values worked out by hand from their formulas.

use super::*;
use metric::{
    Reducer,
    losses::{
        Circle, Contrastive, FastAp, GeneralizedLiftedStructure, LiftedStructure, Margin, MultiSimilarity, NPairs,
        NcaLoss, NtXent, SupCon, TripletMargin,
    },
};
use std::f64::consts::SQRT_2;

/// Vectors at these angles in degrees. Their lengths differ: every loss below must normalise them itself.
fn fan(degrees: &[f64]) -> Rows {
    let angles = degrees.iter().map(|d| d.to_radians());
    angles.zip(1u8..).map(|(a, length)| vec![f64::from(length) * a.cos(), f64::from(length) * a.sin()]).collect()
}

fn contrastive(distance: Distance, [positive_margin, negative_margin]: [f32; 2], reducer: Reducer) -> Case {
    Case::new(distance, Contrastive { positive_margin, negative_margin, reducer })
}

fn triplet(distance: Distance, margin: f32, reducer: Reducer) -> Case {
    Case::new(distance, TripletMargin { margin, reducer, ..TripletMargin::default() })
}

fn check(rows: &[Vec<f64>], labels: &[usize], worked: &[(Case, f64)]) {
    for device in devices() {
        for (case, wanted) in worked {
            let (got, _) = evaluate(rows, &device, |x| case.of(x, labels));
            check_value(&format!("{case:?}"), got, *wanted);
        }
    }
}

#[test]
fn five_directions_have_their_worked_values() {
    use Reducer::{AverageNonZero, Mean};
    let smooth = TripletMargin { smooth: true, reducer: Mean, ..TripletMargin::default() };
    let swap = TripletMargin { margin: 0.2, swap: true, ..TripletMargin::default() };
    let lifted = |negative_margin| Case::own(LiftedStructure { negative_margin, ..LiftedStructure::default() });
    let circle = |margin, gamma| Case::own(Circle { margin, gamma, ..Circle::default() });
    let ntxent = |temperature| Case::own(NtXent { temperature, ..NtXent::default() });
    let nca = |scale| Case::own(NcaLoss { scale, ..NcaLoss::default() });
    let worked = [
        (contrastive(EUCLIDEAN, [0.0, 1.0], AverageNonZero), 0.8932072366),
        (contrastive(EUCLIDEAN, [0.0, 1.0], Mean), 0.7887200922),
        (contrastive(SQUARED, [0.25, 1.5], AverageNonZero), 0.9766708571),
        (contrastive(SQUARED, [0.25, 1.5], Mean), 0.8478560528),
        (contrastive(Distance::Cosine, [1.0, 0.0], AverageNonZero), 0.7737301551),
        (contrastive(Distance::Cosine, [1.5, 0.6], AverageNonZero), 0.8518192539),
        (triplet(EUCLIDEAN, 0.05, AverageNonZero), 0.3072463846),
        (triplet(EUCLIDEAN, 0.05, Mean), 0.0768115962),
        (triplet(EUCLIDEAN, 0.05, Reducer::Sum), 3.0 * 0.3072463846),
        (Case::own(smooth), 0.6113687108),
        (triplet(EUCLIDEAN, 0.2, AverageNonZero), 0.2877869522),
        (triplet(EUCLIDEAN, 0.2, Mean), 0.1199112301),
        (Case::own(swap), 0.3513342394),
        (triplet(Distance::Cosine, 0.2, AverageNonZero), 0.1474944897),
        (triplet(Distance::Cosine, 0.2, Mean), 0.0983296598),
        (Case::own(Margin::default()), 0.6681125804),
        (Case::own(Margin { margin: 0.1, beta: 1.0, ..Margin::default() }), 0.5219146589),
        (Case::own(MultiSimilarity::default()), 0.5854770118),
        (nca(1.0), 1.1482533937),
        (nca(10.0), 1.5364622997),
        (ntxent(0.07), 1.2414220249),
        (ntxent(0.5), 1.1482533937), // as NCA with scale 1: -d^2 = 2 s - 2, and there are two of a class
        (Case::own(SupCon::default()), 1.0781579934),
        (lifted(1.0), 3.3651643922),
        (lifted(0.5), 2.1952553615),
        (Case::own(GeneralizedLiftedStructure::default()), 1.8495626404),
        (circle(0.4, 80.0), 43.9230129883),
        (circle(0.25, 256.0), 190.4736415624),
        (Case::own(FastAp::default()), 0.5480277563),
    ];
    check(&fan(&[0.0, 25.0, 40.0, 70.0, 80.0]), &[0, 0, 1, 1, 2], &worked);
}

#[test]
fn other_positives_are_in_the_denominator_of_one_loss_only() {
    let six = fan(&[0.0, 10.0, 20.0, 50.0, 60.0, 80.0]);
    let ntxent = NtXent { temperature: 0.1, ..NtXent::default() };
    check(
        &six,
        &[0, 0, 0, 1, 1, 2],
        &[(Case::own(ntxent), 0.2981430006), (Case::own(SupCon::default()), 0.7200604451)],
    );
}

#[test]
fn supcon_has_its_worked_values() {
    // Two views of four images, the second view below the first.
    let views: Rows = [[1, 2], [3, -1], [-1, 1], [-2, 1], [2, 1], [1, -1], [0, 1], [-1, 0]]
        .map(|row: [i32; 2]| row.map(f64::from).to_vec())
        .to_vec();
    let supcon = |temperature| Case::own(SupCon { temperature, ..SupCon::default() });
    check(&views, &[0, 1, 0, 1, 0, 1, 0, 1], &[(supcon(0.1), 8.3139334864), (supcon(0.5), 2.4725527283)]);
    // Every image a class of its own: NT-Xent.
    let ntxent = |temperature| Case::own(NtXent { temperature, ..NtXent::default() });
    let each = [(supcon(0.1), 0.9433464774), (supcon(0.5), 0.9984353265), (ntxent(0.1), 0.9433464774)];
    check(&views, &[0, 1, 2, 3, 0, 1, 2, 3], &each);
}

#[test]
fn n_pairs_takes_the_first_pair_of_a_class() {
    let seven = fan(&[0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);
    check(&seven, &[0, 0, 1, 1, 1, 2, 3], &[(Case::own(NPairs::default()), 0.5952110276)]);
}

#[test]
fn ideal_embeddings_cost_the_soft_triplet_loss_of_root_two() {
    let rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]].map(Vec::from);
    let soft = TripletMargin { margin: 0.0, smooth: true, reducer: Reducer::Mean, ..TripletMargin::default() };
    check(&rows, &[0, 0, 1, 1], &[(Case::own(soft), (-SQRT_2).exp().ln_1p())]);
}

/// Distances from their definitions, by loops.
#[test]
fn distances_are_what_they_say() {
    let rows: Rows = vec![vec![1.0, -2.0, 0.5], vec![0.3, 0.9, -1.2], vec![-0.7, 0.2, 2.0], vec![1.5, 1.4, 0.1]];
    let norm = |v: &[f64], p: f64| v.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p);
    let divided = |v: &[f64], by: f64| v.iter().map(|x| x / by).collect::<Vec<f64>>();
    let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let variance = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (v.len() - 1) as f64
    };
    for device in devices() {
        let x = tensor(&rows, &device);
        let check = |distance: Distance, of: &dyn Fn(&[f64], &[f64]) -> f64| {
            let whole = distance.matrix(x.clone(), x.clone()).try_into_vec_as::<f32>().unwrap();
            for (k, got) in whole.iter().enumerate() {
                let wanted = of(&rows[k / 4], &rows[k % 4]);
                assert!((f64::from(*got) - wanted).abs() < 1e-3, "{distance:?}: {got} instead of {wanted}");
            }
            let blocks = distance.matrix_in_blocks(x.clone(), x.clone(), 3).try_into_vec_as::<f32>().unwrap();
            for (a, b) in whole.iter().zip(&blocks) {
                assert!((a - b).abs() < 1e-6, "{distance:?} in blocks");
            }
        };
        for (p, power) in [(1.0f32, 1.0f32), (1.5, 1.0), (2.0, 3.0), (3.0, 2.0)] {
            let (q, r) = (f64::from(p), f64::from(power));
            let plain = Distance::Lp { p, power, normalized: false };
            check(plain, &|a: &[f64], b: &[f64]| norm(&minus(a, b), q).powf(r));
            let normalized = Distance::Lp { p, power, normalized: true };
            let unit = |v: &[f64]| divided(v, norm(v, q));
            check(normalized, &|a: &[f64], b: &[f64]| norm(&minus(&unit(a), &unit(b)), q).powf(r));
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        check(Distance::Dot { normalized: false }, &dot);
        check(Distance::Cosine, &|a: &[f64], b: &[f64]| dot(a, b) / norm(a, 2.0) / norm(b, 2.0));
        let unit = |v: &[f64]| divided(v, norm(v, 2.0));
        check(Distance::Snr, &|a: &[f64], b: &[f64]| variance(&minus(&unit(a), &unit(b))) / variance(&unit(a)));
    }
}
