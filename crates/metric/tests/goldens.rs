//! Losses and miners against pytorch-metric-learning and against closed forms, on both CPU backends.
//!
//! The fixture holds what the original computed in f64 from fixed embeddings; no hinge of it lies within 2e-5 of its
//! kink, so that f32 finds the same active tuples. Other reference values are taken from a folder `GOLDEN_DIR`.

mod common;

use common::{Loss, Rows, devices, evaluate, tensor};
use metric::{
    Distance, Pairwise, Reducer,
    losses::{Contrastive, SupCon, TripletMargin},
    miner::{BatchHardMiner, Miner, Triplet, TripletKind, TripletMarginMiner},
};
use serde::Deserialize;
use std::{
    collections::{BTreeSet, HashMap},
    f64::consts::SQRT_2,
    path::PathBuf,
};

const EUCLIDEAN: Distance = Distance::Euclidean { normalized: true, squared: false };
const SQUARED: Distance = Distance::Euclidean { normalized: true, squared: true };
const UNNORMALIZED: Distance = Distance::Euclidean { normalized: false, squared: false };

type Triples = BTreeSet<(u32, u32, u32)>;

#[derive(Deserialize)]
struct Fixture {
    embeddings: Rows,
    labels: Vec<usize>,
    losses: HashMap<String, Golden>,
    miners: HashMap<String, Mined>,
    reference: Reference,
}

/// A separate set that the embeddings are compared with.
#[derive(Deserialize)]
struct Reference {
    embeddings: Rows,
    labels: Vec<usize>,
    losses: HashMap<String, Golden>,
}

/// A loss and its gradient with respect to the embeddings.
#[derive(Deserialize)]
struct Golden {
    value: f64,
    grad: Rows,
}

/// What a miner of triplets found; miners of pairs have other fields.
#[derive(Deserialize)]
struct Mined {
    #[serde(default)]
    triplets: Triples,
}

impl Fixture {
    fn read() -> Self {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
        let path = std::env::var_os("GOLDEN_DIR").map_or_else(|| PathBuf::from(shipped), PathBuf::from);
        let path = path.join("metric.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

impl Golden {
    /// The value to 1e-5 of itself, the gradient to 1e-4 of its largest entry.
    fn check(&self, name: &str, (value, gradient): (f32, Vec<f32>)) {
        check_value(name, value, self.value);
        let wanted = self.grad.concat();
        assert_eq!(gradient.len(), wanted.len(), "{name}: entries of the gradient");
        let largest = wanted.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        for (i, (got, wanted)) in gradient.iter().zip(&wanted).enumerate() {
            let off = (f64::from(*got) - wanted).abs();
            assert!(off <= 1e-4 * largest, "{name}: entry {i} of the gradient is {got} instead of {wanted}");
        }
    }
}

fn check_value(name: &str, got: f32, wanted: f64) {
    assert!((f64::from(got) - wanted).abs() <= 1e-5 * wanted.abs(), "{name} is {got} instead of {wanted}");
}

fn contrastive(distance: Distance, [positive_margin, negative_margin]: [f32; 2], reducer: Reducer) -> Loss {
    Loss::Contrastive(distance, Contrastive { positive_margin, negative_margin, reducer })
}

fn triplet(distance: Distance, margin: f32, smooth: bool, reducer: Reducer) -> Loss {
    Loss::Triplet(distance, TripletMargin { margin, smooth, reducer })
}

/// The settings of the fixture's generator under its names; where it takes the original's defaults, ours are taken.
fn fixture_losses() -> Vec<(&'static str, Loss)> {
    use Reducer::{AverageNonZero, Mean};
    vec![
        ("contrastive", Loss::Contrastive(Distance::default(), Contrastive::default())),
        ("contrastive_cosine", contrastive(Distance::Cosine, [1.0, 0.0], AverageNonZero)),
        ("contrastive_squared", contrastive(SQUARED, [0.25, 1.5], AverageNonZero)),
        ("contrastive_mean_reducer", contrastive(EUCLIDEAN, [0.0, 1.0], Mean)),
        ("triplet", Loss::Triplet(Distance::default(), TripletMargin::default())),
        ("triplet_margin_0.2", triplet(EUCLIDEAN, 0.2, false, AverageNonZero)),
        ("triplet_smooth", triplet(EUCLIDEAN, 0.2, true, AverageNonZero)),
        ("triplet_cosine", triplet(Distance::Cosine, 0.2, false, AverageNonZero)),
        ("triplet_unnormalized", triplet(UNNORMALIZED, 0.2, false, AverageNonZero)),
        ("triplet_mean_reducer", triplet(EUCLIDEAN, 0.2, false, Mean)),
        ("supcon", Loss::SupCon(SupCon::default())),
    ]
}

#[test]
fn values_and_gradients_are_the_originals() {
    let fixture = Fixture::read();
    for device in devices() {
        for (name, loss) in fixture_losses() {
            let got = evaluate(&fixture.embeddings, &device, |x| loss.of(x, &fixture.labels));
            fixture.losses[name].check(&format!("{name} on {device:?}"), got);
        }
    }
}

#[test]
fn references_take_the_place_of_the_batch() {
    let Fixture { embeddings, labels, reference, .. } = Fixture::read();
    for device in devices() {
        let pairwise = |x| {
            let references = (tensor(&reference.embeddings, &device), reference.labels.as_slice());
            Pairwise::new(Distance::default(), x, &labels, Some(references)).unwrap()
        };
        let got = evaluate(&embeddings, &device, |x| Contrastive::default().forward(&pairwise(x)));
        reference.losses["contrastive"].check("contrastive", got);
        let loss = TripletMargin { margin: 0.2, ..TripletMargin::default() };
        let got = evaluate(&embeddings, &device, |x| loss.forward(&pairwise(x), None));
        reference.losses["triplet_margin_0.2"].check("triplet_margin_0.2", got);
    }
}

#[test]
fn miners_choose_the_originals_triplets() {
    let fixture = Fixture::read();
    for device in devices() {
        let embeddings = tensor(&fixture.embeddings, &device);
        let pairwise = Pairwise::new(Distance::default(), embeddings, &fixture.labels, None).unwrap();
        let check = |name: &str, mined: Vec<Triplet>| {
            let triples: Triples = mined.iter().map(|t| (t.anchor, t.positive, t.negative)).collect();
            assert_eq!(triples, fixture.miners[name].triplets, "{name}");
            assert_eq!(triples.len(), mined.len(), "{name} gave a triplet twice");
        };
        check("batch_hard", BatchHardMiner.mine(&pairwise));
        for (name, kind) in [
            ("triplet_margin_all", TripletKind::All),
            ("triplet_margin_hard", TripletKind::Hard),
            ("triplet_margin_semihard", TripletKind::SemiHard),
            ("triplet_margin_easy", TripletKind::Easy),
        ] {
            check(name, TripletMarginMiner { margin: 0.2, kind }.mine(&pairwise));
        }
    }
}

/// Vectors at these angles in degrees. Their lengths differ: every loss below must normalise them itself.
fn fan(degrees: &[f64]) -> Rows {
    let angles = degrees.iter().map(|d| d.to_radians());
    angles.zip(1u8..).map(|(a, length)| vec![f64::from(length) * a.cos(), f64::from(length) * a.sin()]).collect()
}

#[test]
fn five_directions_have_their_worked_values() {
    use Reducer::{AverageNonZero, Mean};
    let rows = fan(&[0.0, 25.0, 40.0, 70.0, 80.0]);
    let worked = [
        (contrastive(EUCLIDEAN, [0.0, 1.0], AverageNonZero), 0.8932072366),
        (contrastive(EUCLIDEAN, [0.0, 1.0], Mean), 0.7887200922),
        (contrastive(SQUARED, [0.25, 1.5], AverageNonZero), 0.9766708571),
        (contrastive(SQUARED, [0.25, 1.5], Mean), 0.8478560528),
        (contrastive(Distance::Cosine, [1.0, 0.0], AverageNonZero), 0.7737301551),
        (contrastive(Distance::Cosine, [1.5, 0.6], AverageNonZero), 0.8518192539),
        (triplet(EUCLIDEAN, 0.05, false, AverageNonZero), 0.3072463846),
        (triplet(EUCLIDEAN, 0.05, false, Mean), 0.0768115962),
        (triplet(EUCLIDEAN, 0.05, false, Reducer::Sum), 3.0 * 0.3072463846),
        (triplet(EUCLIDEAN, 0.05, true, Mean), 0.6113687108),
        (triplet(EUCLIDEAN, 0.2, false, AverageNonZero), 0.2877869522),
        (triplet(EUCLIDEAN, 0.2, false, Mean), 0.1199112301),
        (triplet(Distance::Cosine, 0.2, false, AverageNonZero), 0.1474944897),
        (triplet(Distance::Cosine, 0.2, false, Mean), 0.0983296598),
        (Loss::SupCon(SupCon { temperature: 0.1 }), 1.0781579934),
    ];
    for device in devices() {
        for (loss, wanted) in worked {
            let (got, _) = evaluate(&rows, &device, |x| loss.of(x, &[0, 0, 1, 1, 2]));
            check_value(&format!("{loss:?}"), got, wanted);
        }
    }
}

#[test]
fn supcon_has_its_worked_values() {
    let six = fan(&[0.0, 10.0, 20.0, 50.0, 60.0, 80.0]);
    // Two views of four images, the second view below the first.
    let views: Rows = [[1, 2], [3, -1], [-1, 1], [-2, 1], [2, 1], [1, -1], [0, 1], [-1, 0]]
        .map(|row: [i32; 2]| row.map(f64::from).to_vec())
        .to_vec();
    let worked: [(&Rows, &[usize], f64, f64); 5] = [
        (&six, &[0, 0, 0, 1, 1, 2], 0.1, 0.7200604451),
        (&views, &[0, 1, 0, 1, 0, 1, 0, 1], 0.1, 8.3139334864),
        (&views, &[0, 1, 0, 1, 0, 1, 0, 1], 0.5, 2.4725527283),
        // Every image a class of its own: NT-Xent.
        (&views, &[0, 1, 2, 3, 0, 1, 2, 3], 0.1, 0.9433464774),
        (&views, &[0, 1, 2, 3, 0, 1, 2, 3], 0.5, 0.9984353265),
    ];
    for device in devices() {
        for (rows, labels, temperature, wanted) in worked {
            let (got, _) = evaluate(rows, &device, |x| SupCon { temperature }.forward(x, labels).unwrap());
            check_value(&format!("{labels:?} at {temperature}"), got, wanted);
        }
    }
}

#[test]
fn ideal_embeddings_cost_the_soft_triplet_loss_of_root_two() {
    let rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]].map(Vec::from);
    for device in devices() {
        let loss = triplet(EUCLIDEAN, 0.0, true, Reducer::Mean);
        let (got, _) = evaluate(&rows, &device, |x| loss.of(x, &[0, 0, 1, 1]));
        check_value("soft triplet", got, (-SQRT_2).exp().ln_1p());
    }
}
