//! Scores of any rows with classes, here of the digits' own pixels: what does this representation do?
//!
//! ```text
//! cargo run --example scores
//! ```

use nearfar_core::data::{Dataset, Source, catalog, split};
use nearfar_eval::{
    Distance, FewShotConfig, KMeansConfig, KnnConfig, ProbeConfig, clustering, effective_rank, few_shot, knn,
    linear_probe, retrieval, uniformity, verification,
};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?;
    // A fifth to score on, a tenth of the rest to choose settings on.
    let Source { train, validation, test, .. } = split::complete(digits, 0)?;
    let (validation, test) = (validation.ok_or("`complete` makes it")?, test.ok_or("`complete` makes it")?);
    let rows = [&train, &validation, &test].map(Dataset::features); // [n, 64] each
    let train = (&rows[0], train.labels()?);
    let validation = (&rows[1], validation.labels()?);
    let test = (&rows[2], test.labels()?);

    // Which rows are near?
    let found = retrieval(test.0, test.1, Some(train), Distance::Cosine, &[1, 10])?;
    println!(
        "recall@1 {:.3}, recall@10 {:.3}, MAP@R {:.3}",
        found.recall_at[0].1, found.recall_at[1].1, found.map_at_r
    );
    println!(
        "20 neighbours vote right: {:.3}",
        knn(train, test, &KnnConfig { k: 20, ..KnnConfig::default() })?.accuracy
    );
    // Do two rows show the same class?
    let pairs = verification(test.0, test.1, Distance::Cosine)?;
    println!("pairs: ROC area {:.3}, equal error rate {:.3}", pairs.roc_auc, pairs.eer);
    // What can be read from them?
    let probe = linear_probe(train, validation, test, &ProbeConfig::default())?;
    println!("linear probe {:.3}, penalty {:.0e} chosen on the validation part", probe.accuracy, probe.lambda);
    let few = few_shot(test.0, test.1, &FewShotConfig { shots: 1, ..FewShotConfig::default() })?;
    println!("five digits from one example each: {:.3} ± {:.3}", few.accuracy, few.ci95);
    // How do they lie?
    let clusters = clustering(test.0, test.1, Distance::Cosine, &KMeansConfig::default())?;
    println!("k-means against the classes: NMI {:.3}, AMI {:.3}", clusters.nmi, clusters.ami);
    let (rank, columns) = (effective_rank(test.0)?, test.0.cols());
    println!("{rank:.1} dimensions in use of {columns}, uniformity {:.2}", uniformity(test.0)?);
    Ok(())
}
