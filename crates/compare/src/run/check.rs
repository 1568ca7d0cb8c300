//! What can be known once the data are there and nothing is trained yet.

use super::{
    config::Config,
    method::{DeepVisitor, MethodName},
    prepare::Prepared,
    supervision,
};
use anyhow::Context;
use nearfar_core::{
    data::{DataError, Dataset},
    optim::OptimizerConfig,
    train::{Method, Needs, Order, Sampling},
};

/// Checks that every method's loss, reducer and batches suit the data.
pub fn fits(config: &Config, data: &Prepared, methods: &[MethodName]) -> anyhow::Result<()> {
    for method in methods {
        for deep in method.base.trained() {
            let taught = supervision::taught(data);
            let dataset = if deep.needs_labels() { taught } else { &data.seen.train };
            let classes = taught.class_names.len();
            let fits = config.method.check_classes(deep, classes);
            let fits = fits.and_then(|()| supervision::visit(config, data, deep, Batches { config, dataset })?);
            fits.with_context(|| format!("`{method}` does not suit the data"))?;
        }
    }
    Ok(())
}

/// Draws a batch of a method and lets it go.
struct Batches<'a> {
    config: &'a Config,
    dataset: &'a Dataset,
}

impl DeepVisitor for Batches<'_> {
    type Output = anyhow::Result<()>;

    fn visit<M: Method>(self, method: &M, _: &OptimizerConfig) -> Self::Output {
        order(&method.needs(), self.dataset, self.config.batch, self.config.seed)?;
        Ok(())
    }
}

/// The order of a method's batches, and the images of one. Few given tuples, or few classes with enough groups, may not
/// fill a batch: the method then takes more steps, so that all methods see as many images.
pub fn order(needs: &Needs, dataset: &Dataset, batch: usize, seed: u64) -> Result<(Order, usize), DataError> {
    let batch = batch.min(dataset.len());
    let order = Order::new(&needs.sampling, dataset, batch, seed)?;
    let images = match needs.sampling {
        Sampling::Shuffled | Sampling::PerClass { .. } => batch,
        _ => order.pass(0).first().map_or(batch, Vec::len),
    };
    Ok((order, images))
}

/// What a sampling that was asked for visits in so many steps, in words; nothing about the usual ones.
pub fn visits(needs: &Needs, order: &Order, dataset: &Dataset, steps: usize) -> Option<String> {
    if matches!(needs.sampling, Sampling::Shuffled | Sampling::PerClass { .. }) {
        return None;
    }
    let passes = steps.div_ceil(order.pass(0).len().max(1));
    let report = order.report(dataset, passes as u64);
    Some(format!(
        "batches visited {} of {} classes and {} of {} images, each {} to {} times in {passes} passes; {:.1} classes a \
         batch",
        report.classes_visited,
        report.classes,
        report.items_visited,
        report.items,
        report.visits[0],
        report.visits[1],
        report.classes_per_batch
    ))
}
