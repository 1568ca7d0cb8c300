//! The settings of a run that has begun: settled by its data, written into its folder, and read when it goes on.

use super::{BATCH, Config};
use crate::{
    cli::RunArgs,
    failure::{Failure, failed, usage},
    report,
};
use anyhow::anyhow;
use std::{collections::BTreeSet, path::Path};

/// Name of the file in the folder of a run.
pub const FILE: &str = "config.toml";

impl Config {
    /// Settles what is left to the data, which have so many images to train on; says so where it is not the usual.
    pub fn settle(&mut self, images: usize) -> Option<String> {
        self.split_seed.get_or_insert(self.seed);
        if self.batch.is_some() {
            return None;
        }
        // Of few images at least two groups of the four of a class that metric methods compare.
        let quarter = (images / 4).max(images.min(8)).max(2);
        let batch = BATCH.min(1 << quarter.ilog2());
        self.batch = Some(batch);
        (batch < BATCH)
            .then(|| format!("{batch} items a step, since there are {images} to train on; --batch sets another number"))
    }

    /// The settings of the run in `dir` that goes on: as they were, but for more seeds.
    pub fn resumed(dir: &Path, args: &RunArgs) -> Result<Self, Failure> {
        let begun = Self::read(&dir.join(FILE))?;
        let asked = begun.clone().overridden(args).map_err(usage)?;
        let only_more = Self { seeds: asked.seeds, ..begun.clone() };
        if asked == only_more && asked.seeds >= begun.seeds {
            return Ok(asked);
        }
        let (old, new) = (toml::Table::try_from(&begun).map_err(usage)?, toml::Table::try_from(&asked).map_err(usage)?);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let changed: Vec<&str> =
            names.into_iter().filter(|name| old.get(*name) != new.get(*name)).map(String::as_str).collect();
        let dir = dir.display();
        Err(usage(anyhow!(
            "with --resume only more --seeds can be asked for ({} so far); this would change {}: begin another run with \
             --config {dir}/{FILE} and what is to differ",
            begun.seeds,
            changed.join(", ")
        )))
    }

    /// Writes `config.toml` into `dir`, under the command that began the run.
    pub fn write(&self, dir: &Path, command: &str) -> Result<(), Failure> {
        let text =
            format!("# {}\n\n{}", command.replace(char::is_control, " "), toml::to_string(self).map_err(failed)?);
        report::replace(&dir.join(FILE), text.as_bytes()).map_err(failed)
    }

    /// The command that began the run in `dir`, if it stands there.
    pub fn command(dir: &Path) -> Option<String> {
        let text = std::fs::read_to_string(dir.join(FILE)).ok()?;
        let command = text.lines().next()?.strip_prefix("# ")?;
        command.starts_with("compare").then(|| command.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_nobody_asked_for_suits_the_data() {
        let settled = |batch, images| {
            let mut config = Config { batch, seed: 7, ..Config::default() };
            let note = config.settle(images);
            assert_eq!(config.split_seed, Some(7));
            (config.batch(), note)
        };
        assert_eq!(settled(None, 3_000), (256, None));
        assert_eq!(settled(None, 1_024), (256, None));
        let (batch, note) = settled(None, 128);
        assert_eq!(batch, 32);
        assert!(note.unwrap().starts_with("32 items a step, since there are 128"));
        assert_eq!(
            (settled(None, 1_023).0, settled(None, 16).0, settled(None, 5).0, settled(None, 0).0),
            (128, 8, 4, 2)
        );
        assert_eq!(settled(Some(64), 128), (64, None));
    }

    #[test]
    fn a_run_that_goes_on_takes_more_seeds_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let begun = Config { seeds: 3, batch: Some(64), ..Config::default() };
        begun.write(dir.path(), "compare run\n--dataset x").unwrap();
        assert_eq!(Config::command(dir.path()).unwrap(), "compare run --dataset x");
        let resumed = |args: RunArgs| {
            Config::resumed(dir.path(), &args).map_err(|failure| (failure.code, failure.error.to_string()))
        };
        assert_eq!(resumed(RunArgs::default()).unwrap(), begun);
        assert_eq!(resumed(RunArgs { batch: Some(64), ..RunArgs::default() }).unwrap(), begun);
        let five = RunArgs { seeds: Some(5), ..RunArgs::default() };
        assert_eq!(resumed(five.clone()).unwrap(), Config { seeds: 5, ..begun });
        for (args, says) in [
            (RunArgs { epochs: Some(30), ..five }, "this would change epochs, seeds: "),
            (RunArgs { split_seed: Some(1), ..RunArgs::default() }, "this would change split_seed: "),
            (RunArgs { seeds: Some(2), ..RunArgs::default() }, "more --seeds can be asked for (3 so far)"),
        ] {
            let (code, message) = resumed(args).unwrap_err();
            assert!(code == 2 && message.contains(says), "{message}");
        }
    }
}
