//! Pairs that a person judged, from a CSV file, in place of classes: they train a linear Mahalanobis distance and an
//! encoder alike.
//!
//! ```text
//! cargo run --example weak_supervision
//! ```

#![recursion_limit = "256"] // Burn's module types nest deeply

use burn::tensor::Device;
use metric::{
    mahalanobis::Itml,
    methods::WeakTraining,
    weak::{Pairs, Weak},
};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{Dataset, catalog, split},
    encoder::{Architecture, EncoderConfig},
    matrix::Matrix,
    optim::OptimizerConfig,
    train::{Method, Passes, TrainConfig, TrainData, embed::embed, train},
};
use nearfar_eval::{Distance, verification};
use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let wine = catalog::open("wine", &root, &catalog::Options::default())?.train;
    let (half, rest) = split::fraction(&wine, 0.5, 0)?;
    let (half, rest) = (wine.select(&half), wine.select(&rest));

    // What the file of a person would hold: two rows, and whether they belong together.
    let known: Vec<Option<usize>> = half.labels()?.iter().copied().map(Some).collect();
    let judged = Pairs::from_labels(&known, 200, 0)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pairs.csv");
    let lines = judged.pairs.iter().zip(&judged.same).map(|([a, b], same)| format!("{a},{b},{}\n", u8::from(*same)));
    fs::write(&file, format!("a,b,same\n{}", lines.collect::<String>()))?;

    let pairs = Pairs::from_csv(&file)?;
    pairs.validate(half.len())?; // rows that do not exist, a pair with itself, answers that contradict each other
    println!("{} pairs; ROC area of same against different kinds in the other half:", pairs.same.len());

    let scaled = Augmenter::new(&[Recipe::none()], Normalization::of(&half.inputs), 0)?;
    let rows = |data: &Dataset| {
        let all: Vec<usize> = (0..data.len()).collect();
        Matrix::new(scaled.plain(&data.inputs, &all), data.len(), 13)
    };
    let score = |rows: &Matrix| -> Result<f64, Box<dyn Error>> {
        Ok(verification(rows, rest.labels()?, Distance::Euclidean)?.roc_auc)
    };
    println!("{:<22} {:.3}", "rows as they are", score(&rows(&rest)?)?);
    let learned = Itml::default().fit_pairs(&rows(&half)?, &pairs, None)?;
    println!("{:<22} {:.3}", "itml", score(&learned.model.transform(&rows(&rest)?)?)?);

    let method = WeakTraining::default().method(Weak::Pairs(pairs), half.len())?; // contrastive, on unit rows
    let device = Device::flex().autodiff();
    let config = EncoderConfig { architecture: Architecture::Mlp, width: 16 };
    let optimizer = OptimizerConfig::default();
    let run = TrainConfig {
        batch: 64,
        passes: Passes::Whole,
        steps: 100,
        steps_per_epoch: 25,
        seed: 0,
        optimizer,
        checkpoints: None,
    };
    let data = TrainData { dataset: &half, augmenter: &scaled };
    let encoder = config.init(half.shape(), 0, &device)?;
    let trained = train(&method, encoder, config.features(), data, &run, &device, &mut ())?;
    let features = embed(method.encoder(&trained.model), &rest, &scaled, &device).normalized_rows();
    println!("{:<22} {:.3}", "encoder, contrastive", score(&features)?);
    Ok(())
}
