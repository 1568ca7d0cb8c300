//! Cross-batch memory: batches of 16 digits that are compared with the last 512 as well.
//!
//! ```text
//! cargo run --example cross_batch_memory
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use metric::{
    Distance, Pairwise, Tuples,
    losses::{Contrastive, CrossBatchMemory, PairLoss},
};
use nearfar_core::{
    augment::{Augmenter, Normalization},
    data::{MPerClass, Shape, catalog, split},
    encoder::{Architecture, EncoderConfig},
    train::embed::embed,
};
use nearfar_eval::retrieval;
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (known, test) = split::fraction(&digits, 0.8, 0).map(|(a, b)| (digits.select(&a), digits.select(&b)))?;
    let scaled = Augmenter::new(&[], Normalization::of(&known.inputs), 0)?;
    let device = Device::flex().autodiff();
    let (labels, Shape { channels, height, width }) = (known.labels()?, known.shape());
    let sampler = MPerClass::new(labels, 8, 2, 0)?;
    let loss = Contrastive::default();

    println!("{:<16} {:>12} {:>9} {:>9}", "", "pairs a step", "recall@1", "MAP@R");
    for capacity in [16, 512] {
        let mut encoder =
            EncoderConfig { architecture: Architecture::Conv4, width: 32 }.init(known.shape(), 0, &device)?;
        let mut optimizer = AdamWConfig::new().init();
        let mut memory = CrossBatchMemory::new(capacity)?;
        let (mut pairs, steps) = (0, 150);
        for (step, batch) in (0..).flat_map(|pass| sampler.epoch(pass)).take(steps).enumerate() {
            let classes: Vec<usize> = batch.iter().map(|i| labels[*i]).collect();
            let pixels = TensorData::new(scaled.plain(&known.inputs, &batch), [batch.len(), channels, height, width]);
            let embeddings = encoder.forward(Tensor::from_data(pixels, &device)); // [16, 32]
            // Old embeddings are worth comparing with once the encoder changes slowly: not in the first steps.
            let pairwise = if step < 30 {
                Pairwise::new(Distance::default(), embeddings, &classes, None)?
            } else {
                memory.pairwise(Distance::default(), embeddings, &classes)?
            };
            pairs += Tuples::all_pairs(&pairwise).len();
            let value = loss.forward(&pairwise, None)?;
            let gradients = GradientsParams::from_grads(value.backward(), &encoder);
            encoder = optimizer.step(1e-3, encoder, gradients);
        }
        let features = embed(&encoder, &test, &scaled, &device);
        let found = retrieval(&features, test.labels()?, None, nearfar_eval::Distance::Cosine, &[1])?;
        let name = if capacity == 16 { "the batch alone" } else { "memory of 512" };
        println!("{name:<16} {:>12} {:>9.3} {:>9.3}", pairs / steps, found.recall_at[0].1, found.map_at_r);
    }
    Ok(())
}
