//! A loss for labels without labels: two views of one digit are positives, everything else is negative.
//!
//! ```text
//! cargo run --example self_supervised
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use metric::losses::{MultiSimilarity, NtXent, PairLoss, SelfSupervised};
use nearfar_core::{
    augment::{Augmenter, ColorJitter, Normalization, Recipe},
    data::{Shape, Shuffled, catalog},
    encoder::{Architecture, Encoder, EncoderConfig},
    train::{embed::embed, forward_views},
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let jitter = Some(ColorJitter { brightness: 0.4, contrast: 0.4, ..ColorJitter::default() });
    let recipe = Recipe { pad_crop: Some(1), jitter, ..Recipe::none() }; // moved by a pixel; no mirrored digits
    let augmenter = Augmenter::new(&[recipe.clone(), recipe], Normalization::of(&digits.inputs), 0)?;
    augmenter.check(&digits.inputs)?;
    let device = Device::flex().autodiff();
    let untrained = || EncoderConfig { architecture: Architecture::Conv4, width: 32 }.init(digits.shape(), 0, &device);
    let report = |name: &str, encoder: &Encoder| -> Result<(), Box<dyn Error>> {
        let features = embed(encoder, &digits, &augmenter, &device);
        let found = retrieval(&features, digits.labels()?, None, Distance::Cosine, &[1])?;
        println!("{name:<20} {:>8.3} {:>8.3}", found.recall_at[0].1, found.map_at_r);
        Ok(())
    };
    println!("{:<20} {:>8} {:>8}", "no label used", "recall@1", "MAP@R");
    report("untrained", &untrained()?)?;

    let Shape { channels, height, width } = digits.shape();
    let sampler = Shuffled::new(digits.len(), 128, 0)?;
    let losses: [(&str, &dyn PairLoss); 2] = [
        ("NT-Xent", &NtXent { temperature: 0.2, ..NtXent::default() }),
        ("multi-similarity", &MultiSimilarity::default()),
    ];
    for (name, loss) in losses {
        let mut encoder = untrained()?;
        let mut optimizer = AdamWConfig::new().init();
        let batches = (0..).flat_map(|pass| sampler.epoch(pass).map(move |batch| (pass, batch)));
        for (pass, batch) in batches.take(100) {
            let upload = |pixels: Vec<f32>| TensorData::new(pixels, [batch.len(), channels, height, width]);
            let views = augmenter.views(&digits.inputs, &batch, pass).into_iter();
            let views: Vec<Tensor<4>> = views.map(|view| Tensor::from_data(upload(view), &device)).collect();
            let embeddings = forward_views(&views, |x| encoder.forward(x)).chunk(2, 0); // [128, 32] each
            let value = SelfSupervised::default().forward(loss, embeddings)?;
            let gradients = GradientsParams::from_grads(value.backward(), &encoder);
            encoder = optimizer.step(1e-3, encoder, gradients);
        }
        report(name, &encoder)?;
    }
    Ok(())
}
