//! What a value of an axis changes for a method.

use super::{Axis, AxisValue, MINING};
use crate::run::{
    config::Config,
    method::{Base, Deep, MethodName, MethodSettings},
};
use anyhow::ensure;
use toml::{Table, Value};

/// Methods whose negatives are the other images of the batch, with the embeddings that each of those gives.
const IN_BATCH: [(Deep, usize); 4] = [(Deep::SimClr, 2), (Deep::Dcl, 2), (Deep::Dclw, 2), (Deep::MocoV3, 1)];

/// What another value of an axis changes for a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The features that it trains.
    Training,
    /// Only what is read from the same features: probes, and Mahalanobis metrics on them.
    Scoring,
    /// Nothing.
    Nothing,
    /// The method cannot take this value.
    Unfit,
}

impl Axis {
    /// Sets the value in the settings of `method`.
    pub fn apply(self, value: &AxisValue, method: MethodName, config: &mut Config) -> anyhow::Result<Effect> {
        let base = MethodName { metric: None, ..method };
        let trained = base.base.trained().next().is_some();
        let training_or_nothing = |training| if training { Effect::Training } else { Effect::Nothing };
        Ok(match self {
            Self::Labels | Self::Noise => {
                let place = if self == Self::Labels { &mut config.labels } else { &mut config.label_noise };
                *place = value.number()?;
                if base.needs_labels() { Effect::Training } else { Effect::Scoring }
            }
            Self::Batch => {
                config.batch = Some(value.count()?);
                training_or_nothing(trained)
            }
            Self::Dim => {
                config.encoder.width = value.count()?;
                training_or_nothing(trained || base.base == Base::Untrained)
            }
            Self::Queue => training_or_nothing(set(config, base, "queue", &Value::Integer(value.count()? as i64))?),
            Self::PerClass => {
                let value = Value::Integer(value.count()? as i64);
                training_or_nothing(set(config, base, "images_per_class", &value)?)
            }
            Self::Temperature => training_or_nothing(set(config, base, "temperature", &Value::Float(value.number()?))?),
            Self::Negatives => {
                let count = value.count()?;
                match IN_BATCH.iter().find(|(deep, _)| base.base == Base::Deep(*deep)) {
                    Some((_, each)) => {
                        ensure!(
                            count.is_multiple_of(*each),
                            "{base} has {each} negatives an image, got {count} in all"
                        );
                        config.batch = Some(count / each + 1);
                        Effect::Training
                    }
                    None => training_or_nothing(set(config, base, "queue", &Value::Integer(count as i64))?),
                }
            }
            Self::Miner => mine(config, base, value.name()?)?,
        })
    }
}

/// Sets `key` among the settings of a method, or of its loss, if there is such a setting.
fn set(config: &mut Config, base: MethodName, key: &str, value: &Value) -> anyhow::Result<bool> {
    edit(&mut config.method, base, |settings| {
        // A loss of the table has a setting that is left out by default.
        let optional = key == "images_per_class" && matches!(base.base, Base::Deep(Deep::Loss(_)));
        let holder = if optional || settings.contains_key(key) {
            Some(settings)
        } else {
            settings.get_mut("loss").and_then(Value::as_table_mut).filter(|loss| loss.contains_key(key))
        };
        let Some(holder) = holder else { return false };
        holder.insert(key.to_owned(), value.clone());
        if key == "temperature" {
            // A course over the run would take its place.
            holder.remove("schedule");
        }
        true
    })
}

/// Sets the miner of a method that has one.
fn mine(config: &mut Config, base: MethodName, name: &str) -> anyhow::Result<Effect> {
    let Base::Deep(deep) = base.base else { return Ok(Effect::Nothing) };
    let (key, value) = match deep {
        Deep::Triplet | Deep::Mahalanobis if MINING.contains(&name) => ("mining", Some(Value::from(name))),
        Deep::Triplet | Deep::Mahalanobis => return Ok(Effect::Unfit),
        Deep::Loss(_) => {
            let miner = |name: &str| Table::from_iter([("name".to_owned(), Value::from(name))]);
            let mut semi_hard = miner("triplet_margin");
            semi_hard.insert("kind".into(), "semi_hard".into());
            let value = match name {
                "all" => None,
                "semi_hard" => Some(Value::Table(semi_hard)),
                other => Some(Value::Table(miner(other))),
            };
            ("miner", value)
        }
        _ => return Ok(Effect::Nothing),
    };
    let changed = edit(&mut config.method, base, |settings| {
        match value {
            Some(value) => settings.insert(key.to_owned(), value),
            None => settings.remove(key),
        };
        true
    })?;
    Ok(if changed { Effect::Training } else { Effect::Nothing })
}

/// Changes the settings of one method by their names in `config.toml`; `change` says whether it did.
fn edit(
    settings: &mut MethodSettings,
    base: MethodName,
    change: impl FnOnce(&mut Table) -> bool,
) -> anyhow::Result<bool> {
    let name = base.to_string();
    let mut all = Table::try_from(&*settings)?;
    let place =
        if all.contains_key(&name) { Some(&mut all) } else { all.get_mut("losses").and_then(Value::as_table_mut) };
    let own = place.and_then(|place| place.get_mut(&name)?.get_mut("settings")?.as_table_mut());
    let changed = own.is_some_and(change);
    if changed {
        let classes = settings.classes;
        *settings = MethodSettings { classes, ..all.try_into()? };
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metric::methods::{MinerSettings, Mining};

    fn apply(axis: Axis, value: &str, method: &str) -> (Effect, Config) {
        let mut config = Config::default();
        let value = axis.value(value).unwrap();
        let effect = axis.apply(&value, method.parse().unwrap(), &mut config).unwrap();
        (effect, config)
    }

    #[test]
    fn labels_train_metric_methods_and_probe_all() {
        assert_eq!(apply(Axis::Labels, "0.1", "triplet").0, Effect::Training);
        let (effect, config) = apply(Axis::Labels, "0.1", "simclr+lmnn");
        assert_eq!((effect, config.labels), (Effect::Scoring, 0.1));
        assert_eq!(apply(Axis::Labels, "0.1", "pixels").0, Effect::Scoring);
        let (effect, config) = apply(Axis::Noise, "0.2", "supervised");
        assert_eq!((effect, config.label_noise), (Effect::Training, 0.2));
    }

    #[test]
    fn settings_are_found_where_they_are() {
        let (effect, config) = apply(Axis::Queue, "1024", "moco+lmnn");
        assert_eq!((effect, config.method.moco.settings.queue), (Effect::Training, 1024));
        assert_eq!(apply(Axis::Queue, "1024", "simclr"), (Effect::Nothing, Config::default()));
        let (effect, config) = apply(Axis::Temperature, "0.5", "supcon");
        assert_eq!((effect, config.method.supcon.settings.loss.temperature), (Effect::Training, 0.5));
        let (effect, config) = apply(Axis::Temperature, "0.5", "simclr");
        assert_eq!((effect, config.method.simclr.settings.temperature), (Effect::Training, 0.5));
        assert_eq!(apply(Axis::Temperature, "0.5", "ntxent").0, Effect::Training);
        assert_eq!(apply(Axis::Temperature, "0.5", "triplet").0, Effect::Nothing);
        let (effect, config) = apply(Axis::PerClass, "8", "siamese");
        assert_eq!((effect, config.method.siamese.settings.images_per_class), (Effect::Training, 8));
        let (_, config) = apply(Axis::PerClass, "8", "multi_similarity");
        assert_eq!(config.method.losses["multi_similarity"].settings.images_per_class, Some(8));
        let (effect, config) = apply(Axis::Dim, "16", "untrained");
        assert_eq!((effect, config.encoder.width), (Effect::Training, 16));
        assert_eq!(apply(Axis::Batch, "32", "lmnn").0, Effect::Nothing);
    }

    #[test]
    fn negatives_are_of_the_queue_or_of_the_batch() {
        let (effect, config) = apply(Axis::Negatives, "126", "simclr");
        assert_eq!((effect, config.batch), (Effect::Training, Some(64)));
        let (effect, config) = apply(Axis::Negatives, "126", "moco");
        assert_eq!((effect, config.batch(), config.method.moco.settings.queue), (Effect::Training, 256, 126));
        let (_, config) = apply(Axis::Negatives, "127", "moco_v3");
        assert_eq!(config.batch, Some(128));
        let odd = AxisValue::Number(127.0);
        let simclr = "simclr".parse().unwrap();
        assert!(Axis::Negatives.apply(&odd, simclr, &mut Config::default()).is_err());
        assert_eq!(apply(Axis::Negatives, "126", "triplet").0, Effect::Nothing);
    }

    #[test]
    fn miners_by_name() {
        let (effect, config) = apply(Axis::Miner, "batch_hard", "triplet");
        assert_eq!((effect, config.method.triplet.settings.mining), (Effect::Training, Mining::BatchHard));
        assert_eq!(apply(Axis::Miner, "hdc", "triplet").0, Effect::Unfit);
        let (effect, config) = apply(Axis::Miner, "hdc", "multi_similarity");
        let expected = Some(MinerSettings::parse("hdc").unwrap());
        assert_eq!((effect, &config.method.losses["multi_similarity"].settings.miner), (Effect::Training, &expected));
        assert_eq!(apply(Axis::Miner, "semi_hard", "contrastive").0, Effect::Training);
        assert_eq!(apply(Axis::Miner, "all", "siamese").0, Effect::Nothing);
    }
}
