//! What each miner picks from one batch of digits, by name: how many tuples, and how far apart their pairs are. Few
//! tuples, or positives as far as negatives, tell early that a loss will not learn.
//!
//! ```text
//! cargo run --example miners
//! ```

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance, Pairwise, Tuples,
    methods::MinerSettings,
    miner::{HdcMiner, MiningReport},
};
use nearfar_core::data::{MPerClass, catalog};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let labels = digits.labels()?;
    let sampler = MPerClass::new(labels, 8, 4, 0)?;
    let batch = sampler.epoch(0).next().ok_or("the digits fill a batch")?;
    let classes: Vec<usize> = batch.iter().map(|i| labels[*i]).collect();
    // Pixels stand in for the embeddings of an encoder.
    let rows = TensorData::new(digits.features().select(&batch).into_vec(), [batch.len(), 64]);
    let embeddings = Tensor::<2>::from_data(rows, &Device::flex());
    let pairwise = Pairwise::new(Distance::default(), embeddings, &classes, None)?;

    println!("{:<20} {:>8} {:>8} {:>18} {:>18}", "miner", "tuples", "share", "positives", "negatives");
    let show = |name: &str, tuples: &Tuples| -> Result<(), Box<dyn Error>> {
        let MiningReport { tuples, active, positive, negative, .. } = MiningReport::new(&pairwise, tuples)?;
        let (p, n) = ([positive.mean, positive.std], [negative.mean, negative.std]);
        println!("{name:<20} {tuples:>8} {active:>8.3} {:>10.3} ± {:.3} {:>10.3} ± {:.3}", p[0], p[1], n[0], n[1]);
        Ok(())
    };
    show("every pair", &Tuples::all_pairs(&pairwise))?;
    show("every triplet", &Tuples::all_triplets(&pairwise))?;
    for &(name, _) in MinerSettings::LISTING {
        let settings = MinerSettings::parse(name)?;
        show(name, &settings.miner().mine(&pairwise)?)?;
    }
    // A cascade: the harder half of the hardest half.
    let half = HdcMiner { share: 0.5 };
    show("hdc of hdc", &half.harder(&pairwise, &half.harder(&pairwise, &Tuples::all_pairs(&pairwise))?)?)?;
    Ok(())
}
