//! Which classes are trained on, and which never.

use super::config::{Config, UnseenClasses};
use anyhow::{anyhow, ensure};
use nearfar_core::data::{DataError, Dataset, split};

/// Share of the classes that is never trained on, unless the settings say otherwise: from five large ones on.
const UNSEEN_SHARE: f64 = 0.3;
/// Items to train on, and as many to test on, that a class needs to be drawn as unseen: with fewer, nothing can be found
/// again among them.
const FEWEST_ITEMS: usize = 2;

/// Why one class alone cannot be unseen.
const FEW_UNSEEN: &str = "retrieval among unseen classes needs at least 2 of them, or 0 to leave them out";

/// The classes of the data by their part in a run, rising.
pub struct Classes {
    /// Trained on.
    pub seen: Vec<usize>,
    /// Never trained on.
    pub unseen: Vec<usize>,
    /// Neither: not unseen, and with nothing to train on.
    pub left_out: Vec<usize>,
}

impl Classes {
    /// Of data to train on, before the unseen classes are taken out of them, and to test on.
    pub fn of(config: &Config, train: &Dataset, test: &Dataset) -> anyhow::Result<Self> {
        let [to_train, to_test] = [train.class_counts()?, test.class_counts()?];
        let all = 0..train.class_names.len();
        let large: Vec<usize> =
            all.clone().filter(|&c| to_train[c] >= FEWEST_ITEMS && to_test[c] >= FEWEST_ITEMS).collect();
        let unseen = choose(config, train, &large)?;
        let (seen, left_out) = all.filter(|class| !unseen.contains(class)).partition(|&class| to_train[class] > 0);
        Ok(Self { seen, unseen, left_out })
    }
}

/// Classes never trained on: those that were named, or a draw from the `large` ones.
fn choose(config: &Config, data: &Dataset, large: &[usize]) -> anyhow::Result<Vec<usize>> {
    let classes = data.class_names.len();
    let draw = |count: usize| -> Result<Vec<usize>, DataError> {
        let drawn = split::choose_unseen(large.len(), count, config.split_seed())?;
        Ok(drawn.into_iter().map(|place| large[place]).collect())
    };
    match &config.unseen_classes {
        Some(UnseenClasses::Names(names)) => {
            let mut chosen = names.iter().map(|n| data.class_index(n)).collect::<Result<Vec<_>, _>>()?;
            chosen.sort_unstable();
            chosen.dedup();
            ensure!(chosen.len() >= 2, "--unseen-classes {}: {FEW_UNSEEN}", names.join(","));
            split::check_left(classes, chosen.len())?;
            Ok(chosen)
        }
        Some(UnseenClasses::Count(1)) => Err(anyhow!("--unseen-classes 1: {FEW_UNSEEN}")),
        Some(UnseenClasses::Count(count)) if large.len() >= count + 2 => Ok(draw(*count)?),
        Some(UnseenClasses::Count(count)) => Ok(split::choose_unseen(classes, *count, config.split_seed())?),
        None if large.len() < 5 => Ok(Vec::new()),
        None => Ok(draw(((large.len() as f64 * UNSEEN_SHARE).round() as usize).max(2))?),
    }
}
