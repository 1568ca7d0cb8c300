//! Queue and momentum encoder by hand: MoCo's loss in a loop of one's own, batches of 64 digits against 1,024 keys.
//!
//! ```text
//! cargo run --example moco_queue
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use contrastive::{Queue, losses::info_nce};
use nearfar_core::{
    augment::{Augmenter, ColorJitter, Normalization, Recipe},
    data::{Shape, Shuffled, catalog},
    encoder::{Architecture, Encoder, EncoderConfig},
    head::{Head, HeadConfig},
    init,
    momentum::{momentum_copy, update},
    similarity::normalize_rows,
    train::embed::embed,
};
use nearfar_eval::{Distance, retrieval};
use std::{error::Error, path::Path};

#[derive(Module, Debug)]
struct Network {
    encoder: Encoder,
    projector: Head,
}

impl Network {
    /// `[n, c, h, w]` to unit rows `[n, 32]`.
    fn unit_rows(&self, x: Tensor<4>) -> Tensor<2> {
        normalize_rows(self.projector.forward(self.encoder.forward(x)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let jitter = Some(ColorJitter { brightness: 0.4, contrast: 0.4, ..ColorJitter::default() });
    let recipe = Recipe { pad_crop: Some(1), jitter, ..Recipe::none() };
    let augmenter = Augmenter::new(&[recipe.clone(), recipe], Normalization::of(&digits.inputs), 0)?;
    let device = Device::flex().autodiff();
    let encoder = EncoderConfig { architecture: Architecture::Conv4, width: 32 }.init(digits.shape(), 0, &device)?;
    let mut query = Network { encoder, projector: init::seeded(HeadConfig::new([32, 64, 32]).init(&device), 1) };
    let mut key = momentum_copy(&query); // no gradient reaches it
    let mut queue = Queue::new(1024, 32, 0, &device);
    let mut optimizer = AdamWConfig::new().init();
    let sampler = Shuffled::new(digits.len(), 64, 0)?;
    let Shape { channels, height, width } = digits.shape();

    println!("{:<6} {:>8} {:>10}", "step", "loss", "recall@1"); // of all equal embeddings the loss is ln(1025) = 6.93
    let batches = (0..).flat_map(|pass| sampler.epoch(pass).map(move |batch| (pass, batch)));
    for (step, (pass, batch)) in batches.take(201).enumerate() {
        let views = augmenter.views(&digits.inputs, &batch, pass).into_iter().map(|pixels| {
            Tensor::<4>::from_data(TensorData::new(pixels, [batch.len(), channels, height, width]), &device)
        });
        let [a, b] = <[_; 2]>::try_from(views.collect::<Vec<_>>()).map_err(|_| "two recipes make two views")?;
        key = update(key, &query, 0.99);
        let keys = key.unit_rows(b).detach(); // [64, 32]
        let loss = info_nce(query.unit_rows(a), keys.clone(), queue.keys(), 0.2);
        let gradients = GradientsParams::from_grads(loss.backward(), &query);
        query = optimizer.step(1e-3, query, gradients);
        queue.enqueue(keys); // only now: a query must not meet its own key among the negatives
        if step % 50 == 0 {
            let features = embed(&query.encoder, &digits, &augmenter, &device);
            let found = retrieval(&features, digits.labels()?, None, Distance::Cosine, &[1])?.recall_at[0].1;
            println!("{step:<6} {:>8.3} {found:>10.3}", loss.try_into_scalar::<f32>()?);
        }
    }
    Ok(())
}
