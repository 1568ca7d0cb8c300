//! How numbers look to a person.

use super::definitions::{self, Better};
use std::collections::{BTreeMap, BTreeSet};

/// Digits of a score.
const DIGITS: usize = 3;

/// Digits of an end of an interval beside zero.
const MOST_DIGITS: usize = 6;

/// A score with three digits, a cost in its unit; no speed where nothing was trained.
pub(super) fn number(metric: &str, value: f64) -> String {
    match metric {
        "images_per_second" if value <= 0.0 => "-".to_owned(),
        "train_seconds" if value < 100.0 => format!("{value:.1} s"),
        "train_seconds" => format!("{value:.0} s"),
        "images_per_second" => format!("{value:.0}/s"),
        "peak_memory_bytes" => format!("{:.0} MiB", value / f64::from(1 << 20)),
        _ if definitions::metric(metric) == "effective_rank" => format!("{value:.1}"),
        _ => plain(value),
    }
}

/// [`number`] with the half width of its interval, if it has one; with both ends where these would leave the values that
/// there are.
pub(super) fn with_half(metric: &str, mean: f64, half: Option<f64>) -> String {
    let text = number(metric, mean);
    let Some(half) = half else { return text };
    let ends = within(metric, mean - half, mean + half);
    if ends == (mean - half, mean + half) {
        format!("{text} ±{}", number(metric, half))
    } else {
        format!("{text} ({} to {})", number(metric, ends.0), number(metric, ends.1))
    }
}

/// The part of an interval that holds values which a score or cost can have: costs are not negative, and scores that rank
/// lie between 0 and 1, adjusted mutual information alone below too.
pub(super) fn within(metric: &str, low: f64, high: f64) -> (f64, f64) {
    let (least, most) = match (metric.contains('.'), definitions::better(metric)) {
        (false, _) => (0.0, f64::INFINITY),
        (true, Better::Neither) => (f64::NEG_INFINITY, f64::INFINITY),
        (true, _) if definitions::metric(metric) == "ami" => (-1.0, 1.0),
        (true, _) => (0.0, 1.0),
    };
    (low.clamp(least, most), high.clamp(least, most))
}

/// A difference with its sign.
pub(super) fn signed(value: f64) -> String {
    let text = plain(value);
    if value > 0.0 && text != plain(0.0) { format!("+{text}") } else { text }
}

/// An interval of differences: `[-0.010, +0.120]`. An end so close to zero that three digits do not tell on which side it
/// lies has as many as it takes.
pub(super) fn interval(low: f64, high: f64) -> String {
    let end = |value: f64| {
        let tells = |digits: &usize| value.abs() >= 0.5 * 10f64.powi(-(*digits as i32));
        (DIGITS..=MOST_DIGITS).find(tells).map_or_else(|| signed(value), |digits| format!("{value:+.digits$}"))
    };
    format!("[{}, {}]", end(low), end(high))
}

/// So many of something: `1 epoch`, `2 epochs`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A method with the settings that were swept: `triplet batch=32`.
pub(super) fn labelled(method: &str, axes: &BTreeMap<String, f64>) -> String {
    let axes: String = axes.iter().map(|(axis, value)| format!(" {axis}={value}")).collect();
    format!("{method}{axes}")
}

/// Seeds, smallest first: `0, 1, 2`.
pub(super) fn seeds(seeds: &BTreeSet<u64>) -> String {
    seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// A share in percent, without needless digits.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A p-value.
pub(super) fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { plain(p) }
}

/// Three digits; what rounds to zero has no sign.
pub(super) fn plain(value: f64) -> String {
    let text = format!("{value:.DIGITS$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) => digits.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_their_units() {
        assert_eq!(number("retrieval.seen.map_at_r", 0.81249), "0.812");
        assert_eq!(number("geometry.seen.effective_rank", 12.345), "12.3");
        assert_eq!(number("train_seconds", 9.96), "10.0 s");
        assert_eq!(number("train_seconds", 1234.6), "1235 s");
        assert_eq!(number("images_per_second", 812.4), "812/s");
        assert_eq!(number("peak_memory_bytes", 3.0 * 1024.0 * 1024.0), "3 MiB");
        assert_eq!(with_half("transfer.seen.knn", 0.5, Some(0.0125)), "0.500 ±0.013");
        assert_eq!(with_half("transfer.seen.knn", 0.5, None), "0.500");
        assert_eq!(number("images_per_second", 0.0), "-");
        assert_eq!((count(1, "epoch"), count(2, "epoch")), ("1 epoch".to_owned(), "2 epochs".to_owned()));
    }

    #[test]
    fn intervals_hold_values_that_there_are() {
        assert_eq!(with_half("transfer.seen.knn", 0.462, Some(0.976)), "0.462 (0.000 to 1.000)");
        let mebi = f64::from(1 << 20);
        assert_eq!(with_half("peak_memory_bytes", 63.0 * mebi, Some(122.0 * mebi)), "63 MiB (0 MiB to 185 MiB)");
        assert_eq!(within("geometry.seen.uniformity", -3.0, 2.0), (-3.0, 2.0));
        assert_eq!(within("clustering.seen.ami", -0.25, 1.5), (-0.25, 1.0));
    }

    #[test]
    fn differences_and_shares() {
        assert_eq!((probability(0.0004), probability(0.04)), ("< 0.001".to_owned(), "0.040".to_owned()));
        assert_eq!(interval(-0.0101, 0.12), "[-0.010, +0.120]");
        assert_eq!(interval(-0.000_3, 0.000_04), "[-0.0003, +0.00004]");
        assert_eq!(interval(-0.000_5, 1e-9), "[-0.001, 0.000]");
        assert_eq!((signed(-0.0001), signed(0.0001)), ("0.000".to_owned(), "0.000".to_owned()));
        let shares: Vec<_> = [0.01, 0.07, 0.125, 1.0, 0.5].map(percent).into();
        assert_eq!(shares, ["1 %", "7 %", "12.5 %", "100 %", "50 %"]);
    }
}
