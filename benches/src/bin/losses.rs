//! Times losses of both families, forward and backward, and prints a line of JSON for each.
//!
//! `benches/peers/losses.py` does the same work in pytorch-metric-learning and lightly, on the same embeddings:
//! distances, mining and loss, then the gradient with respect to the embeddings. They are not of unit length; the
//! losses normalise them. The number of CPU threads is set with `RAYON_NUM_THREADS`.

#![recursion_limit = "256"]

use anyhow::{anyhow, ensure};
use benches::{
    balanced_labels, shared_embeddings,
    timer::{accept, median, positive, run_program, time_rounds},
    to_tensor,
};
use burn::tensor::{Device, Tensor};
use clap::{Parser, builder::PossibleValuesParser};
use contrastive::losses::nt_xent;
use metric::{
    MetricError, Pairwise,
    losses::{Contrastive, MultiSimilarity, PairLoss, SupCon, TripletMargin},
    miner::{BatchHardMiner, Miner, MultiSimilarityMiner, TripletKind, TripletMarginMiner},
};
use nearfar_core::backend::Backend;
use serde_json::json;
use std::process::ExitCode;

/// FaceNet's margin.
const MARGIN: f32 = 0.2;
const SEMI_HARD: TripletMarginMiner = TripletMarginMiner { margin: MARGIN, kind: TripletKind::SemiHard };
/// SimCLR's temperature in this workspace.
const TEMPERATURE: f64 = 0.2;

type Loss = fn(&Case) -> Result<Tensor<1>, MetricError>;

/// One line a loss.
const LOSSES: &[(&str, Loss)] = &[
    ("loss.triplet_semihard", |case| case.triplet(&SEMI_HARD)),
    ("loss.triplet_batch_hard", |case| case.triplet(&BatchHardMiner)),
    ("loss.contrastive", |case| Contrastive::default().of(case.embeddings.clone(), &case.labels)),
    ("loss.multi_similarity", |case| case.mined(&MultiSimilarity::default(), &MultiSimilarityMiner::default())),
    ("loss.supcon", |case| SupCon::default().of(case.embeddings.clone(), &case.labels)),
    ("loss.nt_xent", |case| Ok(nt_xent(case.embeddings.clone(), case.other_view.clone(), TEMPERATURE))),
];

/// Times losses of both families, forward and backward, and prints a line of JSON for each.
#[derive(Parser)]
#[command(name = "losses")]
struct Args {
    /// auto, flex, ndarray or wgpu
    #[arg(long, default_value_t = Backend::Flex)]
    backend: Backend,
    /// Embeddings, or pairs of them for NT-Xent
    #[arg(long, default_value_t = 512, value_parser = positive())]
    batch: usize,
    /// Numbers of an embedding
    #[arg(long, default_value_t = 128, value_parser = positive())]
    dimension: usize,
    /// Classes of a batch
    #[arg(long, default_value_t = 64, value_parser = positive())]
    classes: usize,
    /// Timed rounds of each loss, behind one that is not
    #[arg(long, default_value_t = 7, value_parser = positive())]
    rounds: usize,
    /// Only these losses, by commas
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(LOSSES.iter().map(|(name, _)| *name)))]
    only: Vec<String>,
}

impl Args {
    fn check(&self) -> Result<(), &'static str> {
        if self.classes < 2 || self.batch < 2 * self.classes {
            return Err("there must be two classes or more and two embeddings of each: check --batch and --classes");
        }
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// What the losses take; both views carry gradients.
struct Case {
    device: Device,
    embeddings: Tensor<2>, // [batch, dimension]
    other_view: Tensor<2>, // [batch, dimension]
    labels: Vec<usize>,
}

impl Case {
    fn new(args: &Args, device: Device) -> Self {
        let rows = |seed| to_tensor(shared_embeddings(args.batch, args.dimension, seed), &device).require_grad();
        let (embeddings, other_view) = (rows(1), rows(2));
        Self { embeddings, other_view, labels: balanced_labels(args.batch, args.classes), device }
    }

    /// The loss on the tuples that the miner finds, both on the loss's own distance.
    fn mined(&self, loss: &impl PairLoss, miner: &impl Miner) -> Result<Tensor<1>, MetricError> {
        let pairwise = Pairwise::new(loss.default_distance(), self.embeddings.clone(), &self.labels, None)?;
        loss.forward(&pairwise, Some(&miner.mine(&pairwise)?))
    }

    fn triplet(&self, miner: &impl Miner) -> Result<Tensor<1>, MetricError> {
        self.mined(&TripletMargin { margin: MARGIN, ..TripletMargin::default() }, miner)
    }

    /// Value and gradient, `[1]` and `[batch, dimension]`, with the device at rest.
    fn step(&self, loss: Loss) -> anyhow::Result<(Tensor<1>, Tensor<2>)> {
        let value = loss(self)?;
        let gradients = value.backward();
        let gradient = self.embeddings.grad(&gradients).ok_or_else(|| anyhow!("the loss has no gradient"))?;
        self.device.sync().map_err(|error| anyhow!("the device failed: {error}"))?;
        Ok((value.detach(), gradient))
    }
}

fn main() -> ExitCode {
    run_program(|| run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    accept::<Args, _>(args.check());
    let (backend, device) = accept::<Args, _>(args.backend.open());
    let case = Case::new(args, device.autodiff());
    for (name, loss) in LOSSES.iter().filter(|(name, _)| args.wants(name)) {
        case.step(*loss)?;
        let (seconds, (value, gradient)) = time_rounds(args.rounds, || case.step(*loss))?;
        let value = read(value)?[0];
        ensure!(value.is_finite(), "{name} is {value}, so its time means nothing");
        ensure!(read(gradient)?.iter().all(|g| g.is_finite()), "the gradient of {name} is not finite");
        let line = json!({
            "work": name,
            "backend": backend.to_string(),
            "seconds": median(&seconds),
            "rounds": args.rounds,
            "check": value,
            "batch": args.batch,
            "dimension": args.dimension,
            "classes": args.classes,
            "threads": rayon::current_num_threads(),
        });
        println!("{line}");
    }
    Ok(())
}

fn read<const D: usize>(tensor: Tensor<D>) -> anyhow::Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|error| anyhow!("the result could not be read from the device: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn all_losses_are_wanted_unless_some_are_named() {
        let wanted = |arguments: &[&str]| {
            let args = Args::parse_from([&["losses"][..], arguments].concat());
            LOSSES.iter().filter(|(name, _)| args.wants(name)).count()
        };
        assert_eq!(wanted(&[]), LOSSES.len());
        assert_eq!(wanted(&["--only", "loss.supcon,loss.nt_xent"]), 2);
    }

    #[test]
    fn a_batch_must_hold_pairs() {
        let check =
            |batch, classes| Args::parse_from(["losses", "--batch", batch, "--classes", classes]).check().is_ok();
        assert!(check("8", "4") && !check("7", "4") && !check("8", "1"));
    }
}
