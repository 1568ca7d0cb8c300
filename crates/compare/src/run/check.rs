//! What can be known once the data are there and nothing is trained yet.

use super::{
    config::Config,
    encoder,
    hybrid::Combination,
    method::{Base, DeepVisitor, MethodName},
    passes::passes,
    prepare::Prepared,
    supervision,
};
use anyhow::{Context, ensure};
use nearfar_core::{
    augment::Augmenter,
    data::{DataError, Dataset},
    optim::OptimizerConfig,
    train::{Method, Needs, Order, Passes, PassesError, Sampling, TrainData, view_shapes},
};

/// Checks rows, each given by its settings and its method: the encoder, and every method's views, loss, reducer and
/// batches must suit the data, and batches must be able to pass as asked. The first row that does not suit is the error;
/// of those that cannot pass their batches so, all are named.
///
/// `data` go over to each row's settings, and keep those of the last.
pub fn rows<'a>(rows: impl IntoIterator<Item = (&'a Config, MethodName)>, data: &mut Prepared) -> anyhow::Result<()> {
    let mut refused: Vec<String> = Vec::new();
    for (config, method) in rows {
        data.adopt(config)?;
        if method.base.trained().next().is_some() {
            data.check_batch(config.batch())?;
        }
        encoder::check(data.encoder, data.shape)?;
        for reason in row(config, method, data)? {
            // One method often stands in several rows.
            if !refused.contains(&reason) {
                refused.push(reason);
            }
        }
    }
    ensure!(refused.is_empty(), "{}", refused.join("; "));
    Ok(())
}

/// Checks one row, and gives back why its batches cannot pass as asked.
fn row(config: &Config, method: MethodName, data: &Prepared) -> anyhow::Result<Vec<String>> {
    let passes = passes(config)?;
    let mut refused = Vec::new();
    if let Base::Hybrid(hybrid) = method.base
        && hybrid.combination == Combination::With
        && config.chunk.is_some()
    {
        refused.push(format!("{method} trains two methods at once, for which there is no gradient caching (`chunk`)"));
    }
    let views = data.augmenter(config.seed)?;
    let suits = || format!("`{method}` does not suit the data");
    for deep in method.base.trained() {
        let taught = supervision::taught(data);
        let dataset = if deep.needs_labels() { taught } else { &data.seen.train };
        config.method.check_classes(deep, taught.class_names.len()).with_context(suits)?;
        let fit = Fit { config, name: method, data, dataset, views: &views, passes };
        if let Err(reason) = supervision::visit(config, data, deep, fit).with_context(suits)?? {
            refused.push(reason.to_string());
        }
    }
    Ok(refused)
}

/// Asks one method for what it would train on.
struct Fit<'a> {
    config: &'a Config,
    /// Of the row.
    name: MethodName,
    data: &'a Prepared,
    /// The images that the method sees.
    dataset: &'a Dataset,
    /// The run's.
    views: &'a Augmenter,
    passes: Passes,
}

impl DeepVisitor for Fit<'_> {
    /// Whether it can pass its batches as asked; other obstacles are errors.
    type Output = anyhow::Result<Result<(), PassesError>>;

    fn visit<M: Method>(self, method: &M, _: &OptimizerConfig) -> Self::Output {
        let Self { config, name, data, dataset, views, passes } = self;
        let needs = method.needs();
        let of = || format!("views of {name}");
        let augmenter = method.augmenter(views).with_context(of)?;
        let seen = TrainData { dataset: &data.seen.train, augmenter: &augmenter };
        let takes = |view| data.encoder.architecture.takes(data.shape.size(), view);
        view_shapes(&needs, seen, takes).with_context(of)?;
        let order = order(&needs, dataset, config.batch(), config.seed);
        let (_, images) = order.with_context(|| format!("`{name}` does not suit the data"))?;
        Ok(passes.check(method, images))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::supervision::Supervision;

    /// Checks `methods` on iris, each with the same settings.
    fn check(config: Config, methods: &str) -> Result<(), String> {
        let config = Config { dataset: "iris".into(), batch: config.batch.or(Some(32)), ..config };
        let methods = MethodName::parse_list(methods).unwrap();
        let mut data = Prepared::new(&config, &methods).unwrap();
        rows(methods.iter().map(|method| (&config, *method)), &mut data).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn every_method_that_cannot_pass_its_batches_so_is_named_once() {
        let chunks = || Config { chunk: Some(8), ..Config::default() };
        let methods = "pixels,byol,supcon,simsiam,byol+lmnn,simclr-with-supervised";
        let message = check(chunks(), methods).unwrap_err();
        for method in ["byol", "simsiam", "supervised"] {
            assert_eq!(message.matches(&format!("{method} offers no gradient caching")).count(), 1, "{message}");
        }
        assert!(message.contains("simclr-with-supervised trains two methods at once"), "{message}");
        assert!(!message.contains("supcon"), "{message}");
        assert_eq!(check(chunks(), "pixels,lmnn,supcon,simclr"), Ok(()));
    }

    #[test]
    fn what_does_not_suit_the_data_is_said_before() {
        let mut config = Config::default();
        config.encoder.width = 0;
        assert_eq!(check(config, "pixels"), Err("the encoder's width must be at least 1".into()));
        let mut config = Config::default();
        config.encoder.width = 100_000_000;
        let message = check(config, "pixels").unwrap_err();
        assert!(message.contains("lower --width"), "{message}");
        let wide = || Config { batch: Some(500), ..Config::default() };
        assert_eq!(check(wide(), "pixels,lmnn"), Ok(()), "nothing is trained in batches");
        let message = check(wide(), "pixels,siamese").unwrap_err();
        assert!(message.contains("rows to train on: lower --batch"), "{message}");
        let mut config = Config::default();
        config.method.siamese.settings.images_per_class = 33;
        let message = check(config.clone(), "pixels,siamese").unwrap_err();
        assert!(message.starts_with("`siamese` does not suit the data: "), "{message}");
        // Methods are asked as they will be trained: given pairs make batches of their own.
        config.supervision = Supervision::Pairs;
        assert_eq!(check(config, "pixels,siamese"), Ok(()));
    }
}
