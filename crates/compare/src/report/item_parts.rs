//! A score on equal parts of the test items: how much other test items would change it.

use serde::{Deserialize, Serialize};

/// Parts that test items are dealt into. Their means have 31 degrees of freedom, hardly fewer than single items.
const PARTS: usize = 32;

/// Fewest items of a part: with less, its mean says nothing.
const FEWEST: usize = 4;

/// Means of a score over equal parts of the test items. Items are dealt out by their number alone, so that rows over the
/// same items can be compared part by part: from the spread of a difference over the parts follows its standard error over
/// items, without the outcome of every item. In files one text of five decimals each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemParts(Vec<f64>);

impl ItemParts {
    /// From one value for each item; `None` where they are too few or not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.len() < PARTS * FEWEST || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut order: Vec<usize> = (0..values.len()).collect();
        // Data are often sorted by class, or take turns: the order of the items must not matter.
        order.sort_by_cached_key(|item| mixed(*item as u64));
        let mean = |part: usize| {
            let own = order.iter().skip(part).step_by(PARTS).map(|item| values[*item]);
            let (sum, count) = own.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
            (sum / count * 1e5).round() / 1e5
        };
        Some(Self((0..PARTS).map(mean).collect()))
    }

    /// The mean of each part.
    pub(super) fn means(&self) -> &[f64] {
        &self.0
    }

    /// These means, for tests.
    #[cfg(test)]
    pub(super) fn new(means: Vec<f64>) -> Self {
        Self(means)
    }
}

impl From<ItemParts> for String {
    fn from(parts: ItemParts) -> Self {
        parts.0.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for ItemParts {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = |word: &str| match word.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("`{word}` is not the mean of a part")),
        };
        text.split_whitespace().map(number).collect::<Result<Vec<f64>, String>>().map(Self)
    }
}

/// Sends each number to another that looks random, no two to the same (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_and_of_all_items() {
        let values: Vec<f64> = (0..3_200).map(|item| f64::from(item % 10)).collect();
        let parts = ItemParts::of(&values).unwrap();
        assert_eq!(parts.means().len(), PARTS);
        let mean = parts.means().iter().sum::<f64>() / PARTS as f64;
        assert!((mean - 4.5).abs() < 1e-4, "{mean}");
        // Items that take turns do not make parts of one kind: the spread is that of a hundred items drawn at random,
        // sqrt(8.25 / 100) = 0.287, within what 32 parts tell.
        let spread = (parts.means().iter().map(|part| (part - mean).powi(2)).sum::<f64>() / 31.0).sqrt();
        assert!((0.18..0.40).contains(&spread), "{spread}");
    }

    #[test]
    fn few_items_have_no_parts() {
        assert_eq!(ItemParts::of(&[0.5; 127]), None);
        assert!(ItemParts::of(&[0.5; 128]).is_some());
        let mut values = [0.5; 200];
        values[7] = f64::NAN;
        assert_eq!(ItemParts::of(&values), None);
    }

    #[test]
    fn parts_come_back_from_a_file_as_they_were() {
        let values: Vec<f64> = (0..700).map(|item| f64::from(item).sin() / 3.0).collect();
        let parts = ItemParts::of(&values).unwrap();
        let text = serde_json::to_string(&parts).unwrap();
        assert!(text.len() < 32 * 10, "{text}");
        assert_eq!(serde_json::from_str::<ItemParts>(&text).unwrap(), parts);
        assert!(serde_json::from_str::<ItemParts>("\"0.5 NaN\"").is_err());
    }
}
