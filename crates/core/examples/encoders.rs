//! Data, views, encoders and features, without any method: what the parts give to a loop of one's own.
//!
//! ```text
//! cargo run --example encoders
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::{
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use nearfar_core::{
    augment::{Augmenter, NamedViews, Normalization},
    data::{Shape, Shuffled, catalog},
    encoder::{Architecture, EncoderConfig},
    train::{embed::embed, forward_views},
};
use std::{error::Error, path::Path, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    // A name, or a path: a folder of class folders, IDX files, CIFAR batches, a CSV file.
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let shape @ Shape { channels, height, width } = digits.shape();
    println!("{}: {} images of {channels} x {height} x {width}", digits.name, digits.len());

    // One recipe a view, by name or written out; a view is a function of seed, pass, image and number of the view.
    let recipes = NamedViews::find("peers")?.recipes();
    let augmenter = Augmenter::new(&recipes, Normalization::of(&digits.inputs), 0)?;
    augmenter.check(&digits.inputs)?;
    let batch = Shuffled::new(digits.len(), 64, 0)?.epoch(0).next().ok_or("64 digits are there")?;
    let views = augmenter.views(&digits.inputs, &batch, 0);

    let device = Device::flex().autodiff();
    println!(
        "{:<10} {:>11} {:>9} {:>20} {:>17}",
        "encoder", "weights", "features", "ms a training step", "ms all features"
    );
    for architecture in Architecture::ALL {
        let config = EncoderConfig { architecture, width: 16 };
        let encoder = config.init(shape, 0, &device)?; // the same weights on every backend
        let upload = |pixels: &Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(pixels.clone(), [batch.len(), channels, height, width]), &device)
        };
        let views: Vec<Tensor<4>> = views.iter().map(upload).collect();
        let start = Instant::now();
        let rows = forward_views(&views, |x| encoder.forward(x)); // [2 x 64, features], batch norm sees both views
        let loss = rows.powi_scalar(2).mean(); // a method's loss stands here
        let gradients = GradientsParams::from_grads(loss.backward(), &encoder); // for a step of Burn's optimisers
        let step = start.elapsed().as_secs_f64() * 1e3;

        let start = Instant::now();
        let features = embed(&encoder, &digits, &augmenter, &device); // frozen, without augmentation, in host memory
        let all = start.elapsed().as_secs_f64() * 1e3;
        let (name, weights) = (architecture.name(), gradients.len()); // tensors that a step would move
        println!("{name:<10} {weights:>11} {:>9} {step:>20.1} {all:>17.0}", features.cols());
    }
    Ok(())
}
