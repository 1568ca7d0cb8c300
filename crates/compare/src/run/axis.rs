//! The settings that `compare sweep` varies.

mod effect;

pub use effect::Effect;

use anyhow::{Context, bail, ensure};
use metric::methods::MinerSettings;
use nearfar_core::backend::did_you_mean;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

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
    (
        Axis::Labels,
        "labels",
        "0.005,0.01,0.02,0.05,0.1,0.25,0.5,1",
        "share of the labels given, to train with and to probe",
    ),
    (Axis::Noise, "noise", "0,0.1,0.2,0.3,0.4", "share of the labels that are false"),
    (Axis::Batch, "batch", "32,64,128,256,512", "images a step"),
    (Axis::Queue, "queue", "256,1024,4096,16384", "embeddings in the queue of moco, nnclr, ressl, swav"),
    (Axis::Temperature, "temperature", "0.05,0.1,0.2,0.5,1", "temperature of the losses that have one"),
    (Axis::Dim, "dim", "16,32,64,128", "width of the encoder, and with it of its features"),
    (Axis::PerClass, "per_class", "2,4,8,16", "images of a class in the batches of metric methods"),
    (Axis::Negatives, "negatives", "62,126,254,510", "negatives of an anchor: the queue's, or those of the batch"),
    (Axis::Miner, "miner", "all,semi_hard,batch_hard", "tuples that count in tuple losses; or a name of a miner"),
];

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
    /// Which of the axis's own values the data do not allow, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

impl Sweep {
    /// As on the command line; without values the axis's own.
    pub fn parse(axis: &str, values: Option<&str>) -> anyhow::Result<Self> {
        let axis: Axis = axis.parse().context("--axis")?;
        let texts = values.unwrap_or(axis.entry().2).split(',').map(str::trim).filter(|text| !text.is_empty());
        let values = texts.map(|text| axis.value(text)).collect::<anyhow::Result<Vec<_>>>().context("--values")?;
        let mut sweep = Self { axis, values, left_out: None };
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
