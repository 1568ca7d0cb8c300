//! Losses and miners in a loop of one's own: an encoder of digits, scored on images that were held out.
//!
//! ```text
//! cargo run --example losses
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use metric::{
    Pairwise,
    losses::{Contrastive, MultiSimilarity, PairLoss, TripletMargin},
    miner::{BatchHardMiner, Miner, MultiSimilarityMiner, TripletKind, TripletMarginMiner},
};
use nearfar_core::{
    augment::{Augmenter, Normalization},
    data::{Dataset, MPerClass, Shape, catalog, split},
    encoder::{Architecture, Encoder, EncoderConfig},
    train::embed::embed,
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (known, test) = split::fraction(&digits, 0.8, 0).map(|(a, b)| (digits.select(&a), digits.select(&b)))?;
    let augmenter = Augmenter::new(&[], Normalization::of(&known.inputs), 0)?;
    let device = Device::flex().autodiff();
    let untrained = || EncoderConfig { architecture: Architecture::Conv4, width: 32 }.init(known.shape(), 0, &device);
    let report = |name: &str, encoder: &Encoder| -> Result<(), Box<dyn Error>> {
        let features = embed(encoder, &test, &augmenter, &device);
        let found = retrieval(&features, test.labels()?, None, Distance::Cosine, &[1])?;
        println!("{name:<28} {:>8.3} {:>8.3}", found.recall_at[0].1, found.map_at_r);
        Ok(())
    };
    let triplet = TripletMargin { margin: 0.2, ..TripletMargin::default() };
    let semi_hard = TripletMarginMiner { margin: 0.2, kind: TripletKind::SemiHard };
    let informative = MultiSimilarityMiner::default();
    let runs: [(&str, &dyn PairLoss, Option<&dyn Miner>); 4] = [
        ("contrastive, every pair", &Contrastive::default(), None),
        ("triplet, batch-hard", &triplet, Some(&BatchHardMiner)),
        ("triplet, semi-hard", &triplet, Some(&semi_hard)),
        ("multi-similarity, its miner", &MultiSimilarity::default(), Some(&informative)),
    ];
    println!("{:<28} {:>8} {:>8}", "on images held out", "recall@1", "MAP@R");
    report("untrained", &untrained()?)?;
    for (name, loss, miner) in runs {
        report(name, &train(untrained()?, &known, &augmenter, (loss, miner), &device)?)?;
    }
    Ok(())
}

/// 100 steps on batches of 8 classes x 8 images.
fn train(
    mut encoder: Encoder,
    data: &Dataset,
    augmenter: &Augmenter,
    (loss, miner): (&dyn PairLoss, Option<&dyn Miner>),
    device: &Device,
) -> Result<Encoder, Box<dyn Error>> {
    let (labels, Shape { channels, height, width }) = (data.labels()?, data.shape());
    let sampler = MPerClass::new(labels, 8, 8, 0)?;
    let mut optimizer = AdamWConfig::new().init();
    for batch in (0..).flat_map(|pass| sampler.epoch(pass)).take(100) {
        let classes: Vec<usize> = batch.iter().map(|i| labels[*i]).collect();
        let pixels = TensorData::new(augmenter.plain(&data.inputs, &batch), [batch.len(), channels, height, width]);
        let embeddings = encoder.forward(Tensor::from_data(pixels, device)); // [n, 32]
        let pairwise = Pairwise::new(loss.default_distance(), embeddings, &classes, None)?;
        let tuples = miner.map(|miner| miner.mine(&pairwise)).transpose()?;
        let value = loss.forward(&pairwise, tuples.as_ref())?;
        let gradients = GradientsParams::from_grads(value.backward(), &encoder);
        encoder = optimizer.step(1e-3, encoder, gradients);
    }
    Ok(encoder)
}
