//! What a setting may be, and how likely each value is before anything was tried.
//!
//! A search moves on one axis a setting, on which the prior is uniform: the logarithm of a learning rate, the place of
//! a word in its list. [`Prior::axis`] has the bounds, [`Prior::value`] and [`Prior::place`] go to the setting and back.

use std::fmt;
use toml::Value;

/// Range and prior of one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prior {
    /// Log-uniform, up to this factor below and above the value that the search starts from, > 1.
    Around(f64),
    /// Log-uniform between two numbers above 0.
    LogUniform(f64, f64),
    /// Uniform.
    Uniform(f64, f64),
    /// What is missing to 1 is log-uniform, between two numbers in (0, 1): for momenta.
    NearOne(f64, f64),
    /// Uniform over whole numbers.
    Integer(i64, i64),
    /// Log-uniform over whole numbers above 0.
    LogInteger(i64, i64),
    /// One of these TOML values, each as likely.
    Choice(&'static [&'static str]),
}

impl Prior {
    /// The prior with its bounds, where they depend on the value that the search starts from.
    pub fn resolved(self, given: Option<&Value>) -> Self {
        match (self, given.and_then(number)) {
            (Self::Around(factor), Some(given)) => Self::LogUniform(given / factor, given * factor),
            (prior, _) => prior,
        }
    }

    /// Whether the points of the axis are places in a list, with no order that means anything.
    pub fn is_choice(self) -> bool {
        matches!(self, Self::Choice(_))
    }

    /// The first point of the axis, and the first one behind it.
    pub fn axis(self) -> (f64, f64) {
        match self {
            // Unresolved: the setting has no value to be around.
            Self::Around(factor) => (-factor.ln(), factor.ln().next_up()),
            Self::LogUniform(low, high) | Self::NearOne(low, high) => (low.ln(), high.ln().next_up()),
            Self::Uniform(low, high) => (low, high.next_up()),
            Self::Integer(low, high) => (low as f64 - 0.5, high as f64 + 0.5),
            Self::LogInteger(low, high) => ((low as f64 - 0.5).ln(), (high as f64 + 0.5).ln()),
            Self::Choice(values) => (0.0, values.len() as f64),
        }
    }

    /// The setting at a point of the axis. Numbers keep four digits: more would only be harder to read.
    pub fn value(self, point: f64) -> Value {
        match self {
            Self::Around(_) => Value::Float(short(point.exp())),
            Self::LogUniform(low, high) => Value::Float(short(point.exp()).clamp(low, high)),
            Self::Uniform(low, high) => Value::Float(short(point).clamp(low, high)),
            Self::NearOne(low, high) => {
                let missing = short(point.exp()).clamp(low, high);
                // The subtraction leaves digits that nobody drew.
                Value::Float(format!("{:.8}", 1.0 - missing).parse().unwrap_or(1.0 - missing))
            }
            Self::Integer(low, high) => Value::Integer((point.round() as i64).clamp(low, high)),
            Self::LogInteger(low, high) => Value::Integer((point.exp().round() as i64).clamp(low, high)),
            Self::Choice(values) => {
                let place = (point.max(0.0) as usize).min(values.len().saturating_sub(1));
                literal(values[place])
            }
        }
    }

    /// Where a setting stands on the axis; `None` for one that the prior does not give.
    pub fn place(self, value: &Value) -> Option<f64> {
        let point = match self {
            Self::Choice(values) => values.iter().position(|v| literal(v) == *value)? as f64,
            Self::Around(_) | Self::LogUniform(..) | Self::LogInteger(..) => number(value)?.ln(),
            Self::NearOne(..) => (1.0 - number(value)?).ln(),
            Self::Uniform(..) | Self::Integer(..) => number(value)?,
        };
        let (start, end) = self.axis();
        // The way there and back may miss an end by a rounding.
        let slack = 1e-6 * (end - start);
        let inside = point >= start - slack && point < end + slack;
        inside.then(|| point.clamp(start, end.next_down()))
    }
}

impl fmt::Display for Prior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Around(factor) => write!(f, "log-uniform, up to {factor} times below and above"),
            Self::LogUniform(low, high) => write!(f, "log-uniform, {} to {}", short(*low), short(*high)),
            Self::Uniform(low, high) => write!(f, "uniform, {low} to {high}"),
            Self::NearOne(low, high) => {
                write!(f, "{} to {}, log-uniform in what is missing to 1", short(1.0 - high), short(1.0 - low))
            }
            Self::Integer(low, high) => write!(f, "whole, uniform, {low} to {high}"),
            Self::LogInteger(low, high) => write!(f, "whole, log-uniform, {low} to {high}"),
            Self::Choice(values) => write!(f, "one of {}", values.join(", ")),
        }
    }
}

/// Four significant digits.
pub fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => Some(*number as f64),
        _ => None,
    }
}

/// A value as it stands in a file; a bare word is a text.
fn literal(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const EACH: [Prior; 6] = [
        Prior::LogUniform(1e-4, 1e-1),
        Prior::Uniform(-1.0, 2.0),
        Prior::NearOne(1e-3, 0.1),
        Prior::Integer(2, 5),
        Prior::LogInteger(2, 1000),
        Prior::Choice(&["all", "false", "3"]),
    ];

    fn draws(prior: Prior) -> Vec<Value> {
        let (start, end) = prior.axis();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..4000).map(|_| prior.value(rng.random_range(start..end))).collect()
    }

    fn share(values: &[Value], hit: impl Fn(f64) -> bool) -> f64 {
        values.iter().filter(|v| hit(number(v).unwrap())).count() as f64 / values.len() as f64
    }

    #[test]
    fn every_draw_has_its_place() {
        for prior in EACH {
            for value in draws(prior) {
                let point = prior.place(&value).unwrap_or_else(|| panic!("{prior}: {value}"));
                let (start, end) = prior.axis();
                assert!((start..end).contains(&point), "{prior}: {value} at {point}");
                assert_eq!(prior.value(point), value, "{prior}");
            }
            assert_eq!(prior.place(&Value::String("nothing".into())), None);
        }
        assert_eq!(Prior::LogUniform(1e-4, 1e-1).place(&Value::Float(1.0)), None);
        assert_eq!(Prior::LogUniform(1e-4, 1e-1).place(&Value::Float(0.0)), None);
        assert_eq!(Prior::NearOne(1e-3, 0.1).place(&Value::Float(1.0)), None);
        assert_eq!(Prior::Integer(2, 5).place(&Value::Integer(6)), None);
    }

    #[test]
    fn draws_follow_the_prior() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 0.03, "{a} {b}");
        near(share(&draws(EACH[0]), |v| v < 1e-3), 1.0 / 3.0);
        near(share(&draws(EACH[1]), |v| v < 0.0), 1.0 / 3.0);
        near(share(&draws(EACH[2]), |v| v > 0.99), 0.5);
        near(share(&draws(EACH[3]), |v| v == 5.0), 0.25);
        near(share(&draws(EACH[4]), |v| v < 38.5), 0.5);
        let words = draws(EACH[5]);
        let count = |word: Value| words.iter().filter(|w| **w == word).count() as f64 / words.len() as f64;
        near(count(Value::String("all".into())), 1.0 / 3.0);
        near(count(Value::Boolean(false)), 1.0 / 3.0);
        near(count(Value::Integer(3)), 1.0 / 3.0);
    }

    #[test]
    fn the_ends_belong_to_the_range() {
        for prior in EACH {
            let (start, end) = prior.axis();
            for point in [start, end.next_down()] {
                assert!(prior.place(&prior.value(point)).is_some(), "{prior}");
            }
        }
        assert_eq!(Prior::Integer(2, 5).value(1.5), Value::Integer(2));
        assert_eq!(Prior::Integer(2, 5).value(5.5f64.next_down()), Value::Integer(5));
    }

    #[test]
    fn a_range_can_be_around_the_given_value() {
        let prior = Prior::Around(10.0).resolved(Some(&Value::Float(0.004)));
        assert_eq!(prior.to_string(), "log-uniform, 0.0004 to 0.04");
        assert!(prior.place(&Value::Float(0.004)).is_some());
        assert_eq!(EACH[1].resolved(Some(&Value::Float(7.0))), EACH[1]);
    }
}
