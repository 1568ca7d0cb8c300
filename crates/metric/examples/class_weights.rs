//! Losses against trained class weights: encoder and weights are one module, trained together. Known digits are told by
//! the nearest weight, digits never seen by their neighbours.
//!
//! ```text
//! cargo run --example class_weights
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use metric::losses::class::{ArcFace, ClassHead, ClassLoss, CosFace, NormalizedSoftmax, ProxyAnchor, SoftTriple};
use nearfar_core::{
    augment::{Augmenter, Normalization},
    data::{Dataset, Shape, Shuffled, catalog, split},
    encoder::{Architecture, Encoder, EncoderConfig},
    train::embed::embed,
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path, sync::Arc};

#[derive(Module, Debug)]
struct Classifier {
    encoder: Encoder,
    head: ClassHead,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (seen, unseen) = split::class_split(&digits, &[7, 8, 9])?;
    let (train, test) = split::fraction(&seen, 0.8, 0)?;
    let (train, test) = (seen.select(&train), seen.select(&test));
    let scaled = Augmenter::new(&[], Normalization::of(&train.inputs), 0)?;
    let device = Device::flex().autodiff();
    let images = |data: &Dataset, items: &[usize], device: &Device| {
        let Shape { channels, height, width } = data.shape();
        let pixels = TensorData::new(scaled.plain(&data.inputs, items), [items.len(), channels, height, width]);
        Tensor::<4>::from_data(pixels, device)
    };
    let losses: [(&str, Arc<dyn ClassLoss>); 5] = [
        ("normalised softmax", Arc::new(NormalizedSoftmax::default())),
        ("cosface", Arc::new(CosFace { scale: 16.0, ..CosFace::default() })),
        ("arcface", Arc::new(ArcFace { scale: 16.0, ..ArcFace::default() })),
        ("proxy anchor", Arc::new(ProxyAnchor::default())),
        ("soft triple, 3 centres", Arc::new(SoftTriple { centers: 3, ..SoftTriple::default() })),
    ];
    println!("{:<24} {:>16} {:>18}", "", "accuracy, known", "recall@1, unseen");
    for (name, loss) in losses {
        let encoder = EncoderConfig { architecture: Architecture::Conv4, width: 32 }.init(seen.shape(), 0, &device)?;
        let mut model = Classifier { encoder, head: ClassHead::new(loss, 7, 32, 0, &device)? };
        let (labels, sampler) = (train.labels()?, Shuffled::new(train.len(), 64, 0)?);
        let mut optimizer = AdamWConfig::new().init();
        for batch in (0..).flat_map(|pass| sampler.epoch(pass)).take(100) {
            let classes: Vec<usize> = batch.iter().map(|i| labels[*i]).collect();
            let embeddings = model.encoder.forward(images(&train, &batch, &device)); // [64, 32]
            let loss = model.head.forward(embeddings, &classes)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(3e-3, model, gradients);
        }
        let (frozen, plain) = (model.valid(), device.clone().without_autodiff());
        let all: Vec<usize> = (0..test.len()).collect();
        let logits = frozen.head.logits(frozen.encoder.forward(images(&test, &all, &plain))); // [n, 7]
        let named: Vec<i64> = logits.argmax(1).try_into_vec_as()?;
        let right = named.iter().zip(test.labels()?).filter(|(class, label)| **class == **label as i64).count();
        let features = embed(&model.encoder, &unseen, &scaled, &device);
        let found = retrieval(&features, unseen.labels()?, None, Distance::Cosine, &[1])?.recall_at[0].1;
        println!("{name:<24} {:>16.3} {found:>18.3}", right as f64 / test.len() as f64);
    }
    Ok(())
}
