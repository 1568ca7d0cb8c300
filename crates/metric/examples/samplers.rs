//! How batches are drawn, and what they really hold: shuffled, classes in equal parts, super classes, groups, given
//! triplets.
//!
//! ```text
//! cargo run --example samplers
//! ```

use metric::weak::Triplets;
use nearfar_core::data::{CrossGroups, FixedTuples, Hierarchical, MPerClass, SamplerReport, Shuffled, catalog};
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let digits = catalog::open("digits", &root, &catalog::Options::default())?.train;
    let (labels, items) = (digits.labels()?, digits.len());
    // The digits have no cameras and no families of classes: six writing sessions, even and odd digits stand in.
    let sessions: Vec<usize> = (0..items).map(|i| i * 6 / items).collect();
    let parity: Vec<usize> = labels.iter().map(|label| label % 2).collect();
    let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
    let triplets = Triplets::from_labels(&known, 2_000, 0)?.0;

    let shuffled = Shuffled::new(items, 32, 0)?;
    let per_class = MPerClass::new(labels, 8, 4, 0)?;
    let across = MPerClass::new(labels, 8, 4, 0)?.across_groups(&sessions)?;
    let families = Hierarchical::new(labels, &parity, [1, 4, 8], 0)?;
    let groups = CrossGroups::new(labels, &sessions, 8, 4, 0)?;
    let given = FixedTuples::new(triplets, items, 10, 0)?;

    println!("three passes: what batches of about 32 digits hold\n");
    println!("{:<34} {:>7} {:>12} {:>15} {:>9}", "sampler", "batches", "visits", "of a class", "classes");
    print("shuffled", SamplerReport::new(labels, (0..3).flat_map(|pass| shuffled.epoch(pass))));
    print("8 classes x 4", SamplerReport::new(labels, (0..3).flat_map(|pass| per_class.epoch(pass))));
    print("8 classes x 4, sessions in turn", SamplerReport::new(labels, (0..3).flat_map(|pass| across.epoch(pass))));
    print("even or odd, 4 classes x 8", SamplerReport::new(labels, (0..3).flat_map(|pass| families.epoch(pass))));
    print("8 classes x 4 sessions", SamplerReport::new(labels, (0..3).flat_map(|pass| groups.epoch(pass))));
    print("10 given triplets", SamplerReport::new(labels, (0..3).flat_map(|pass| given.epoch(pass))));

    // The promise of the sampler across sessions: no positive was written in the anchor's session.
    let broken = groups.epoch(0).flat_map(|batch| batch.chunks(4).map(<[usize]>::to_vec).collect::<Vec<_>>());
    let broken = broken.filter(|four| four.iter().any(|i| four.iter().any(|j| i != j && sessions[*i] == sessions[*j])));
    println!("\nclasses of a batch with two digits of one session: {}", broken.count());
    Ok(())
}

fn print(name: &str, report: SamplerReport) {
    let SamplerReport { batches, visits: [least, most], class_visits: [fewest, largest], classes_per_batch, .. } =
        report;
    let (visits, of_class) = (format!("{least} to {most}"), format!("{fewest} to {largest}"));
    println!("{name:<34} {batches:>7} {visits:>12} {of_class:>15} {classes_per_batch:>9.1}");
}
