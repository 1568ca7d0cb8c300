//! The settings that `compare sweep` varies, and what each changes for a method.

use super::{
    config::Config,
    method::{Base, Deep, MethodName, MethodSettings},
};
use anyhow::{Context, bail, ensure};
use metric::methods::MinerSettings;
use nearfar_core::{backend::did_you_mean, encoder::EncoderConfig};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use toml::{Table, Value};

/// A setting that can be varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Share of the labels given.
    Labels,
    /// Share of those that are false.
    Noise,
    /// Images a step.
    Batch,
    /// Embeddings in the queue.
    Queue,
    /// Temperature of the loss.
    Temperature,
    /// Width of the encoder, and with it of its features.
    Dim,
    /// Images of a class in a batch.
    PerClass,
    /// Embeddings that an anchor is told apart from, of the queue or of the batch.
    Negatives,
    /// Which tuples of a batch count.
    Miner,
}

/// Name, default values and meaning of every axis.
pub static AXES: [(Axis, &str, &str, &str); 9] = [
    (Axis::Labels, "labels", "0.01,0.02,0.05,0.1,0.25,0.5,1", "share of the labels given, to train with and to probe"),
    (Axis::Noise, "noise", "0,0.1,0.2,0.3,0.4", "share of the labels that are false"),
    (Axis::Batch, "batch", "32,64,128,256,512", "images a step"),
    (Axis::Queue, "queue", "256,1024,4096,16384", "embeddings in the queue of moco, nnclr, ressl, swav"),
    (Axis::Temperature, "temperature", "0.05,0.1,0.2,0.5,1", "temperature of the losses that have one"),
    (Axis::Dim, "dim", "16,32,64,128", "width of the encoder, and with it of its features"),
    (Axis::PerClass, "per_class", "2,4,8,16", "images of a class in the batches of metric methods"),
    (Axis::Negatives, "negatives", "62,126,254,510", "negatives of an anchor: the queue's, or those of the batch"),
    (Axis::Miner, "miner", "all,semi_hard,batch_hard", "tuples that count in tuple losses; or a name of a miner"),
];

/// Methods whose negatives are the other images of the batch, with the embeddings that each of those gives.
const IN_BATCH: [(Deep, usize); 4] = [(Deep::SimClr, 2), (Deep::Dcl, 2), (Deep::Dclw, 2), (Deep::MocoV3, 1)];

/// Ways of mining that `triplet` and `deep_mahalanobis` know.
const MINING: [&str; 3] = ["all", "semi_hard", "batch_hard"];

/// One value of an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AxisValue {
    /// Of an axis with numbers.
    Number(f64),
    /// Of the axis of miners.
    Name(String),
}

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
    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> &'static (Self, &'static str, &'static str, &'static str) {
        AXES.iter().find(|(axis, ..)| *axis == self).expect("every axis stands in the table")
    }

    /// Reads one value.
    fn value(self, text: &str) -> anyhow::Result<AxisValue> {
        if self == Self::Miner {
            let known = || MINING.into_iter().chain(MinerSettings::LISTING.iter().map(|(name, _)| *name));
            ensure!(known().any(|name| name == text), "unknown miner `{text}`{}", did_you_mean(text, known()));
            return Ok(AxisValue::Name(text.to_owned()));
        }
        let number: f64 = text.parse().with_context(|| format!("`{text}` is not a number, as {self} needs"))?;
        ensure!(number.is_finite(), "{self} must be finite, got {number}");
        Ok(AxisValue::Number(number))
    }

    /// Sets the value in the settings of `method`; `encoder` is the one that is trained when the settings name none.
    pub fn apply(
        self,
        value: &AxisValue,
        method: MethodName,
        config: &mut Config,
        encoder: EncoderConfig,
    ) -> anyhow::Result<Effect> {
        let base = MethodName { metric: None, ..method };
        let trained = matches!(base.base, Base::Deep(_));
        let training_or_nothing = |training| if training { Effect::Training } else { Effect::Nothing };
        Ok(match self {
            Self::Labels | Self::Noise => {
                let place = if self == Self::Labels { &mut config.labels } else { &mut config.label_noise };
                *place = value.number()?;
                if base.needs_labels() { Effect::Training } else { Effect::Scoring }
            }
            Self::Batch => {
                config.batch = value.count()?;
                training_or_nothing(trained)
            }
            Self::Dim => {
                let encoder = config.encoder.unwrap_or(encoder);
                config.encoder = Some(EncoderConfig { width: value.count()?, ..encoder });
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
                        config.batch = count / each + 1;
                        Effect::Training
                    }
                    None => training_or_nothing(set(config, base, "queue", &Value::Integer(count as i64))?),
                }
            }
            Self::Miner => mine(config, base, value.name()?)?,
        })
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Axis {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let names = || AXES.iter().map(|(_, name, ..)| *name);
        let found = AXES.iter().find(|(_, own, ..)| *own == name).map(|(axis, ..)| *axis);
        found.with_context(|| {
            format!(
                "unknown axis `{name}`{}; known: {}",
                did_you_mean(name, names()),
                names().collect::<Vec<_>>().join(", ")
            )
        })
    }
}

impl AxisValue {
    /// The number.
    pub fn number(&self) -> anyhow::Result<f64> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => bail!("a number is needed, got `{name}`"),
        }
    }

    fn count(&self) -> anyhow::Result<usize> {
        let number = self.number()?;
        ensure!(
            number >= 1.0 && number.fract() == 0.0 && number < 1e12,
            "a whole number from 1 is needed, got {number}"
        );
        Ok(number as usize)
    }

    fn name(&self) -> anyhow::Result<&str> {
        match self {
            Self::Name(name) => Ok(name),
            Self::Number(number) => bail!("a name is needed, got {number}"),
        }
    }
}

impl fmt::Display for AxisValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An axis with the values to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// What varies.
    pub axis: Axis,
    /// The values, numbers by rising size.
    pub values: Vec<AxisValue>,
}

impl Sweep {
    /// As on the command line; without values the axis's own.
    pub fn parse(axis: &str, values: Option<&str>) -> anyhow::Result<Self> {
        let axis: Axis = axis.parse().context("--axis")?;
        let texts = values.unwrap_or(axis.entry().2).split(',').map(str::trim).filter(|text| !text.is_empty());
        let values = texts.map(|text| axis.value(text)).collect::<anyhow::Result<Vec<_>>>().context("--values")?;
        let mut sweep = Self { axis, values };
        sweep.values.sort_by(|a, b| match (a, b) {
            (AxisValue::Number(a), AxisValue::Number(b)) => a.total_cmp(b),
            _ => std::cmp::Ordering::Equal,
        });
        sweep.values.dedup();
        ensure!(!sweep.values.is_empty(), "--values: at least one value is needed");
        Ok(sweep)
    }

    /// The value whose rows the page's pictures show: all labels, no noise, else the middle one. Miners are methods of
    /// their own.
    pub fn is_usual(&self, value: &AxisValue) -> bool {
        let usual = match self.axis {
            Axis::Labels => self.values.last(),
            Axis::Noise => self.values.first(),
            Axis::Miner => Some(value),
            _ => self.values.get(self.values.len() / 2),
        };
        usual == Some(value)
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
    use nearfar_core::encoder::Architecture;

    const ENCODER: EncoderConfig = EncoderConfig { architecture: Architecture::Mlp, width: 64 };

    fn apply(axis: Axis, value: &str, method: &str) -> (Effect, Config) {
        let mut config = Config::default();
        let value = axis.value(value).unwrap();
        let effect = axis.apply(&value, method.parse().unwrap(), &mut config, ENCODER).unwrap();
        (effect, config)
    }

    #[test]
    fn every_axis_has_a_name_and_values() {
        for (axis, name, ..) in AXES {
            assert_eq!(name.parse::<Axis>().unwrap(), axis);
            let sweep = Sweep::parse(name, None).unwrap();
            assert!(sweep.values.len() >= 3);
            assert_eq!(sweep.values.iter().filter(|value| sweep.is_usual(value)).count().min(1), 1);
            let text = toml::to_string(&sweep).unwrap();
            assert_eq!(toml::from_str::<Sweep>(&text).unwrap(), sweep, "{text}");
        }
    }

    #[test]
    fn bad_axes_and_values_are_refused() {
        let message = |axis: &str, values: &str| format!("{:#}", Sweep::parse(axis, Some(values)).unwrap_err());
        assert!(message("lables", "1").contains("did you mean `labels`?"));
        assert!(message("batch", "64,many").contains("`many` is not a number"));
        assert!(message("miner", "semihard").contains("did you mean `semi_hard`?"));
        assert!(message("batch", ",").contains("at least one value"));
        assert!(AxisValue::Number(2.5).count().is_err() && AxisValue::Number(0.0).count().is_err());
    }

    #[test]
    fn values_rise_once_each() {
        let sweep = Sweep::parse("labels", Some("1, 0.1,0.5,0.1")).unwrap();
        assert_eq!(sweep.values, [0.1, 0.5, 1.0].map(AxisValue::Number));
        assert!(sweep.is_usual(&AxisValue::Number(1.0)) && !sweep.is_usual(&AxisValue::Number(0.5)));
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
        assert_eq!((effect, config.encoder), (Effect::Training, Some(EncoderConfig { width: 16, ..ENCODER })));
        assert_eq!(apply(Axis::Batch, "32", "lmnn").0, Effect::Nothing);
    }

    #[test]
    fn negatives_are_of_the_queue_or_of_the_batch() {
        let (effect, config) = apply(Axis::Negatives, "126", "simclr");
        assert_eq!((effect, config.batch), (Effect::Training, 64));
        let (effect, config) = apply(Axis::Negatives, "126", "moco");
        assert_eq!((effect, config.batch, config.method.moco.settings.queue), (Effect::Training, 256, 126));
        let (_, config) = apply(Axis::Negatives, "127", "moco_v3");
        assert_eq!(config.batch, 128);
        let odd = AxisValue::Number(127.0);
        let simclr = "simclr".parse().unwrap();
        assert!(Axis::Negatives.apply(&odd, simclr, &mut Config::default(), ENCODER).is_err());
        assert_eq!(apply(Axis::Negatives, "126", "triplet").0, Effect::Nothing);
    }

    #[test]
    fn miners_by_name() {
        use metric::methods::Mining;
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
