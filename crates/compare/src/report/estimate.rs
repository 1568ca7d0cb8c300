//! Means and differences over seeds, with their 95 % intervals.

use super::verdict::Ruling;
use nearfar_eval::stats::{self, VariancePrior};
use std::collections::BTreeMap;

/// One value for each seed.
pub(super) type Seeds = BTreeMap<u64, f64>;

/// Level of every test in a report; intervals have the confidence of its complement, 95 %.
pub(super) const LEVEL: f64 = 0.05;

/// Chance with which the seeds that a report asks for find a difference that is there.
pub(super) const POWER: f64 = 0.8;

/// Differences below this are rounding of sums: scores are ratios of counts far coarser than it.
pub(super) const ROUNDING: f64 = 1e-9;

/// Scores whose difference is known to lie this close to zero are called equal.
pub(super) const MARGIN: f64 = 0.02;

/// Fewest seeds from which a report says who is ahead.
pub(super) const FEWEST_SEEDS: usize = 3;

/// No one repeats a run more often than this to settle a small difference.
pub(super) const MOST_SEEDS: usize = 50;

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub mean: f64,
    /// Lower and upper end of the 95 % interval. One seed has none, and neither have seeds that all say the same: a width
    /// of zero would claim certainty.
    pub interval: Option<(f64, f64)>,
    /// How likely a true value of zero gives a mean at least this far from it; absent where there is no interval.
    pub p_value: Option<f64>,
    /// Seeds behind it; without pairs, those of the side with the fewest.
    pub seeds: usize,
    /// Whether differences were taken seed by seed.
    pub paired: bool,
    /// What the interval says would change the mean.
    pub over: Over,
    /// Standard error of the mean; zero with one seed.
    pub error: f64,
    /// Degrees of freedom of the error; 0 with one seed.
    pub freedom: f64,
    /// By how much luck may have moved the mean away from zero.
    luck: f64,
    /// Level at which the mean is told from zero.
    level: f64,
}

/// What an interval is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Over {
    /// Other seeds: what another training would give.
    #[default]
    Seeds,
    /// Other test items, of scores that no seed changes.
    Items,
}

impl Estimate {
    /// Mean and Student-t interval of finite values, if there are any.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mean = mean(values)?;
        let seeds = values.len();
        // Only too few values are refused: those of a report are finite.
        let error = stats::sample_sd(values).map_or(0.0, |sd| sd / (seeds as f64).sqrt());
        Some(Self { seeds, paired: true, ..Self::with_error(mean, error, seeds as f64 - 1.0) })
    }

    /// Interval and p-value of a mean with this standard error; neither without degrees of freedom, nor where the error is
    /// rounding: what does not vary says nothing of how sure it is.
    fn with_error(mean: f64, error: f64, degrees_of_freedom: f64) -> Self {
        let quantile = stats::t_quantile(LEVEL / 2.0, degrees_of_freedom).ok().filter(|_| error > ROUNDING);
        let half = quantile.map(|t| t * error);
        // What is rounding is no difference, however small its spread.
        let t = if mean.abs() <= ROUNDING { 0.0 } else { mean / error };
        Self {
            mean,
            interval: half.map(|half| (mean - half, mean + half)),
            p_value: half.and_then(|_| stats::t_p_value(t, degrees_of_freedom).ok()),
            seeds: 0,
            paired: false,
            over: Over::Seeds,
            error,
            freedom: degrees_of_freedom,
            luck: 0.0,
            level: LEVEL,
        }
    }

    /// The sample variance of one seed's value with its degrees of freedom, if several seeds tell it.
    pub fn variance(&self) -> Option<(f64, f64)> {
        let known = self.freedom > 0.0 && self.error > ROUNDING;
        known.then_some((self.error * self.error * self.seeds as f64, self.freedom))
    }

    /// The same difference with its variance drawn towards `prior`, where its own is smaller, and as many degrees of freedom
    /// as both have, at most `most`. What has no variance stays as it is.
    pub fn moderated(self, prior: &VariancePrior, most: f64) -> Self {
        let Some((own, freedom)) = self.variance() else { return self };
        let (variance, total) = prior.moderate(own, freedom);
        Self { freedom: total.min(most.max(freedom)), ..self }.with_variance(variance.max(own))
    }

    /// The same difference with this variance of one seed's value.
    pub fn with_variance(self, variance: f64) -> Self {
        let Self { mean, seeds, paired, freedom, .. } = self;
        Self { seeds, paired, ..Self::with_error(mean, (variance / seeds as f64).sqrt(), freedom) }
    }

    /// The same where so many differences are tested, of which this one must stand beside all: for the seeds that it needs.
    pub fn tested_among(self, tests: usize) -> Self {
        Self { level: self.level / tests.max(1) as f64, ..self }
    }

    /// The same difference with this standard error over test items, for scores that no seed changes.
    pub fn over_items(self, error: f64, freedom: f64) -> Self {
        let Self { mean, seeds, paired, .. } = self;
        Self { seeds, paired, over: Over::Items, ..Self::with_error(mean, error, freedom) }
    }

    /// Whether several seeds all say the same, so that they do not tell how sure it is.
    pub fn constant(&self) -> bool {
        self.seeds > 1 && self.interval.is_none()
    }

    /// The same difference of scores that were chosen by their means over these seeds, which luck may have raised by as much as
    /// `up`, or lowered by `down`: each end of the interval is moved out by one of them, and the p-value is that of what is
    /// left.
    pub fn with_luck(self, up: f64, down: f64) -> Self {
        let luck = if self.mean < 0.0 { down } else { up };
        let t = (self.mean.abs() - luck).max(0.0) / self.error;
        Self {
            interval: self.interval.map(|(low, high)| (low - up, high + down)),
            p_value: self.p_value.and_then(|_| stats::t_p_value(t, self.freedom).ok()),
            luck,
            ..self
        }
    }

    /// The difference `a - b`: see [`Self::combine`].
    pub fn difference(a: &Seeds, b: &Seeds) -> Option<Self> {
        Self::combine(&[(1.0, a), (-1.0, b)])
    }

    /// The weighted sum of several scores, for example `1 a - 1 b`: seed by seed over the seeds that all share, if there are
    /// three, or two where one of them has no more; else from independent means (Welch 1947); else without interval. `None`
    /// when a score has no seed.
    pub fn combine(terms: &[(f64, &Seeds)]) -> Option<Self> {
        let (_, first) = terms.first()?;
        let shared = |seed: &u64| terms.iter().all(|(_, seeds)| seeds.contains_key(seed));
        let paired: Vec<f64> = first
            .keys()
            .filter(|seed| shared(seed))
            .map(|seed| terms.iter().map(|(weight, seeds)| weight * seeds[seed]).sum::<f64>())
            .collect();
        let enough = paired.len() >= FEWEST_SEEDS || terms.iter().any(|(_, seeds)| seeds.len() < FEWEST_SEEDS);
        if (paired.len() >= 2 && enough) || (paired.len() == 1 && terms.iter().any(|(_, seeds)| seeds.len() < 2)) {
            Self::of(&paired)
        } else {
            Self::of_independent(terms)
        }
    }

    fn of_independent(terms: &[(f64, &Seeds)]) -> Option<Self> {
        let (mut total, mut variance, mut spread) = (0.0f64, 0.0f64, 0.0f64);
        for (weight, seeds) in terms {
            let values: Vec<f64> = seeds.values().copied().collect();
            total += weight * mean(&values)?;
            if let Ok(sd) = stats::sample_sd(&values) {
                let part = (weight * sd).powi(2) / values.len() as f64;
                variance += part;
                spread += part * part / (values.len() - 1) as f64;
            }
        }
        let seeds = terms.iter().map(|(_, seeds)| seeds.len()).min()?;
        // One seed on a side has no spread: then there are no degrees of freedom either.
        let degrees_of_freedom = match seeds {
            0 | 1 => 0.0,
            _ if variance > 0.0 => variance * variance / spread,
            more => more as f64 - 1.0,
        };
        Some(Self { seeds, ..Self::with_error(total, variance.sqrt(), degrees_of_freedom) })
    }

    /// Whether there are too few seeds to say who is ahead.
    pub fn few(&self) -> bool {
        self.seeds < FEWEST_SEEDS && self.over == Over::Seeds
    }

    /// Supported if the interval lies above zero, refuted if below, else undecided; with too few seeds undecided.
    pub fn ruling(&self) -> Ruling {
        match self.interval.filter(|_| !self.few()) {
            Some((low, _)) if low > ROUNDING => Ruling::Supported,
            Some((_, high)) if high < -ROUNDING => Ruling::Refuted,
            _ => Ruling::Undecided,
        }
    }

    /// Seeds with which a test would find the difference, with a chance of [`POWER`], if mean and spread stayed as they
    /// are; more than there are now. None where no seed changes it.
    pub fn seeds_to_decide(&self) -> Option<usize> {
        self.interval.filter(|_| self.over == Over::Seeds)?;
        let sd = self.error * (self.seeds as f64).sqrt();
        if self.mean.abs() <= ROUNDING || sd <= 0.0 {
            return None;
        }
        let power = |seeds: usize| {
            // With more seeds luck moves it less, as it does the error.
            let luck = self.luck * (self.seeds as f64 / seeds as f64).sqrt();
            stats::paired_t_power((self.mean.abs() - luck).max(0.0) / sd, seeds, self.level).unwrap_or(0.0)
        };
        (self.seeds + 1..=MOST_SEEDS).find(|seeds| power(*seeds) >= POWER)
    }
}

/// Seeds that a score needs to be chosen as the best of several: as many as decide, if one has them, else the most that one
/// has.
pub(super) fn fewest<'s>(scores: impl Iterator<Item = &'s Seeds>) -> usize {
    scores.map(BTreeMap::len).max().unwrap_or(0).min(FEWEST_SEEDS)
}

/// Whether several seeds all give the same score.
pub(super) fn fixed(seeds: &Seeds) -> bool {
    let (low, high) = seeds
        .values()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    seeds.len() > 1 && high - low <= ROUNDING
}

/// Arithmetic mean, if there is a value.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(values: &[(u64, f64)]) -> Seeds {
        values.iter().copied().collect()
    }

    #[test]
    fn three_seeds_by_hand() {
        // Mean 0.82, deviation 0.02, t(2) = 4.302653: half width 4.302653 * 0.02 / sqrt(3) = 0.049683.
        let found = Estimate::of(&[0.80, 0.82, 0.84]).unwrap();
        let (low, high) = found.interval.unwrap();
        assert!((found.mean - 0.82).abs() < 1e-12);
        assert!((low - 0.770_317).abs() < 1e-6 && (high - 0.869_683).abs() < 1e-6, "{low} {high}");
        assert_eq!(Estimate::of(&[0.5]).unwrap().interval, None);
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn shared_seeds_are_paired() {
        // Differences 0.1, 0.2, 0.3 over the seeds 1, 2, 3: mean 0.2, half 4.302653 * 0.1 / sqrt(3) = 0.248414.
        let a = seeds(&[(1, 0.5), (2, 0.7), (3, 0.9), (9, 0.0)]);
        let b = seeds(&[(1, 0.4), (2, 0.5), (3, 0.6)]);
        let found = Estimate::combine(&[(1.0, &a), (-1.0, &b)]).unwrap();
        assert_eq!((found.seeds, found.paired, found.ruling()), (3, true, Ruling::Undecided));
        let (low, high) = found.interval.unwrap();
        assert!((low + 0.048_414).abs() < 1e-6 && (high - 0.448_414).abs() < 1e-6, "{low} {high}");
        // A mean of two deviations: statsmodels' solve_power says 4.22 pairs.
        assert_eq!(found.seeds_to_decide(), Some(5));
        // t = 2 sqrt(3) with two degrees of freedom: p = 1 - t / sqrt(2 + t^2).
        assert!((found.p_value.unwrap() - (1.0 - (12.0f64 / 14.0).sqrt())).abs() < 1e-9);
    }

    #[test]
    fn seeds_that_differ_are_not_paired() {
        // Welch: variances 0.01 / 3 each, so 0.02 / 3 in all with 4 degrees of freedom: half 2.776445 * sqrt(0.02 / 3).
        let a = seeds(&[(1, 2.0), (2, 2.2), (5, 2.1)]);
        let b = seeds(&[(3, 1.0), (4, 1.2), (6, 1.1)]);
        let found = Estimate::combine(&[(1.0, &a), (-1.0, &b)]).unwrap();
        let (low, high) = found.interval.unwrap();
        assert_eq!((found.seeds, found.paired, found.ruling()), (3, false, Ruling::Supported));
        assert!((found.mean - 1.0).abs() < 1e-12);
        assert!((high - low - 2.0 * 2.776_445 * (0.02f64 / 3.0).sqrt()).abs() < 1e-5, "{low} {high}");
        assert_eq!(Estimate::combine(&[(-1.0, &a), (1.0, &b)]).unwrap().ruling(), Ruling::Refuted);
    }

    #[test]
    fn one_seed_gives_no_interval() {
        let (a, b) = (seeds(&[(1, 0.9)]), seeds(&[(1, 0.1)]));
        let found = Estimate::combine(&[(1.0, &a), (-1.0, &b)]).unwrap();
        assert_eq!((found.interval, found.seeds, found.ruling()), (None, 1, Ruling::Undecided));
        assert_eq!(found.p_value, None);
        assert!((found.mean - 0.8).abs() < 1e-12);
        assert_eq!(found.seeds_to_decide(), None);
        let apart = Estimate::combine(&[(1.0, &a), (-1.0, &seeds(&[(2, 0.4)]))]).unwrap();
        assert_eq!((apart.interval, apart.mean), (None, 0.5));
        assert_eq!(Estimate::combine(&[(1.0, &a), (-1.0, &Seeds::new())]), None);
    }

    #[test]
    fn equal_scores_are_a_tie_and_stay_one() {
        let a = seeds(&[(1, 0.1 + 0.2), (2, 0.7)]);
        let b = seeds(&[(1, 0.3), (2, 0.7)]);
        let found = Estimate::combine(&[(1.0, &a), (-1.0, &b)]).unwrap();
        assert_eq!((found.ruling(), found.seeds_to_decide()), (Ruling::Undecided, None));
        assert_eq!((found.p_value, found.interval, found.constant()), (None, None, true));
    }

    /// By hand: t(2) leaves 0.025 at 4.302653, and t = (0.2 - 0.05) / (0.1 / sqrt(3)) has p = 1 - t / sqrt(2 + t^2).
    #[test]
    fn luck_costs_the_side_that_it_is_on() {
        let found = Estimate::of(&[0.1, 0.2, 0.3]).unwrap();
        let chosen = found.with_luck(0.05, 0.02);
        let (low, high) = chosen.interval.unwrap();
        let error = 0.1 / 3.0f64.sqrt();
        assert!((low - (0.15 - 4.302_653 * error)).abs() < 1e-6, "{low}");
        assert!((high - (0.22 + 4.302_653 * error)).abs() < 1e-6, "{high}");
        let t = 0.15 / error;
        assert!((chosen.p_value.unwrap() - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-9);
        assert!(chosen.seeds_to_decide() > found.seeds_to_decide());
        // Exchanged sides, exchanged ends.
        let (exchanged, _) = Estimate::of(&[-0.1, -0.2, -0.3]).unwrap().with_luck(0.02, 0.05).interval.unwrap();
        assert!((exchanged + high).abs() < 1e-12);
        // What luck alone may give is nothing.
        assert_eq!(found.with_luck(0.3, 0.0).p_value, Some(1.0));
        assert_eq!(found.with_luck(0.0, 0.0), found);
        assert_eq!(Estimate::of(&[0.5]).unwrap().with_luck(0.1, 0.1).interval, None);
    }

    /// One test item of 36 in both seeds: 0.0277..., which rounding alone tells apart.
    #[test]
    fn an_equal_gain_in_every_seed_is_not_certain() {
        let a = seeds(&[(1, 0.527_777_777_778), (2, 0.75)]);
        let b = seeds(&[(1, 0.5), (2, 0.722_222_222_222)]);
        let found = Estimate::combine(&[(1.0, &a), (-1.0, &b)]).unwrap();
        assert_eq!((found.ruling(), found.interval, found.p_value), (Ruling::Undecided, None, None));
        assert!(found.constant() && !fixed(&a) && found.seeds_to_decide().is_none());
        assert_eq!(found.with_luck(0.1, 0.1).interval, None, "a choice does not make it sure");
        assert!(!Estimate::of(&[0.5]).unwrap().constant() && !fixed(&seeds(&[(1, 0.5)])));
    }

    #[test]
    fn test_items_may_say_what_seeds_do_not() {
        let found = Estimate::of(&[0.034, 0.034]).unwrap().over_items(0.01, 31.0);
        // t(31) leaves 0.025 at 2.039513.
        let (low, high) = found.interval.unwrap();
        assert!((low - (0.034 - 0.020_395)).abs() < 1e-6 && (high - 0.054_395).abs() < 1e-6, "{low} {high}");
        assert_eq!((found.ruling(), found.over, found.seeds), (Ruling::Supported, Over::Items, 2));
        assert_eq!((found.constant(), found.seeds_to_decide()), (false, None));
    }
}
