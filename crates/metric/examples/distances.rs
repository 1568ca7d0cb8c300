//! Which distance: a linear map of the wine data into three dimensions, trained and scored under each of them.
//!
//! ```text
//! cargo run --example distances
//! ```

use burn::{
    nn::LinearConfig,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use metric::{
    Distance, Pairwise,
    losses::{PairLoss, TripletMargin},
    miner::{BatchHardMiner, Miner},
};
use nearfar_core::{
    augment::{Augmenter, Normalization},
    data::{Dataset, catalog, split},
    init,
};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let wine = catalog::open("wine", &root, &catalog::Options::default())?.train;
    let (half, rest) = split::fraction(&wine, 0.5, 0)?;
    let (half, rest) = (wine.select(&half), wine.select(&rest));
    let scaled = Augmenter::new(&[], Normalization::of(&half.inputs), 0)?;
    let device = Device::flex().autodiff();
    let rows = |data: &Dataset| {
        let values = scaled.plain(&data.inputs, &(0..data.len()).collect::<Vec<_>>());
        Tensor::<2>::from_data(TensorData::new(values, [data.len(), 13]), &device)
    };
    let loss = TripletMargin { margin: 0.2, ..TripletMargin::default() };
    println!("{:<24} {:>16} {:>16}", "recall@1 of the rest", "random map", "trained map");
    for (name, distance) in [
        ("Euclidean", Distance::Euclidean { normalized: false, squared: false }),
        ("Euclidean, unit rows", Distance::default()),
        ("squared, unit rows", Distance::Euclidean { normalized: true, squared: true }),
        ("sum of sizes (p = 1)", Distance::Lp { p: 1.0, power: 1.0, normalized: false }),
        ("cosine", Distance::Cosine),
        ("signal to noise", Distance::Snr),
    ] {
        let mut map = init::seeded(LinearConfig::new(13, 3).init(&device), 0);
        let before = recall(&Pairwise::new(distance, map.forward(rows(&rest)), rest.labels()?, None)?);
        let mut optimizer = AdamWConfig::new().init();
        for _ in 0..100 {
            let pairwise = Pairwise::new(distance, map.forward(rows(&half)), half.labels()?, None)?;
            let value = loss.forward(&pairwise, Some(&BatchHardMiner.mine(&pairwise)?))?;
            let gradients = GradientsParams::from_grads(value.backward(), &map);
            map = optimizer.step(1e-2, map, gradients);
        }
        let after = recall(&Pairwise::new(distance, map.forward(rows(&rest)), rest.labels()?, None)?);
        println!("{name:<24} {before:>16.3} {after:>16.3}");
    }
    Ok(())
}

/// Share of rows whose nearest other row has their class; large similarities and small distances are near.
fn recall(pairwise: &Pairwise) -> f64 {
    let sign = if pairwise.distance().is_inverted() { -1.0 } else { 1.0 };
    let right = |&anchor: &usize| {
        let distances = pairwise.values().row(anchor);
        let others = (0..distances.len()).filter(|&other| other != anchor);
        let nearest = others.min_by(|&a, &b| (sign * distances[a]).total_cmp(&(sign * distances[b])));
        nearest.is_some_and(|nearest| pairwise.labels()[nearest] == pairwise.labels()[anchor])
    };
    (0..pairwise.anchors()).filter(right).count() as f64 / pairwise.anchors() as f64
}
