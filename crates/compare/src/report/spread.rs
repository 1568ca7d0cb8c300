//! How far seeds spread the difference of two scores, by all scores together.
//!
//! Three seeds say little about the spread of one difference, and methods do not all spread as far. What the differences
//! of all pairs have in common is fitted to them, and each sample variance is drawn towards it as much as they agree
//! ([`VariancePrior`], Smyth 2004): to the common variance of the analysis of variance where they differ no more than few
//! seeds let them, hardly where every pair has a spread of its own. A difference never gets a smaller error than its own.

use super::estimate::{Estimate, Seeds, fixed, mean};
use nearfar_eval::stats::VariancePrior;

/// Share of the median variance below which one counts as this much.
const LEAST: f64 = 0.01;

/// The spread of differences.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    /// Of two scores that both vary with the seed.
    both: Common,
    /// Of one that does and one that does not.
    one: Common,
}

/// What differences of one kind have in common.
#[derive(Debug, Clone, Copy)]
struct Common {
    /// None where there is one difference or none.
    prior: Option<VariancePrior>,
    /// Mean sample variance.
    mean: f64,
    /// Degrees of freedom that all scores have together: pairs that share a score do not each bring their own.
    freedom: f64,
}

impl Spread {
    /// From all scores, those of one seed left out.
    pub fn of(scores: &[&Seeds]) -> Self {
        let varying: Vec<&Seeds> = scores.iter().copied().filter(|seeds| seeds.len() > 1 && !fixed(seeds)).collect();
        let pairs = varying.iter().enumerate().flat_map(|(i, a)| varying[..i].iter().map(move |b| (*a, *b)));
        // Scores that share no seeds have no difference of one seed.
        let both: Vec<Estimate> =
            pairs.filter_map(|(a, b)| Estimate::difference(a, b)).filter(|difference| difference.paired).collect();
        let own = |seeds: &&Seeds| Estimate::of(&seeds.values().copied().collect::<Vec<_>>());
        let one: Vec<Estimate> = varying.iter().filter_map(own).collect();
        let freedoms = || varying.iter().map(|seeds| seeds.len() as f64 - 1.0);
        let (all, count) = (freedoms().sum::<f64>(), varying.len() as f64);
        // What a seed does to all scores alike is one draw for all of them. Of a score's variance that is what the
        // differences leave, and by its share the degrees of freedom are fewer (Satterthwaite 1946).
        let (total, left) = (mean_variance(&one), mean_variance(&both) / 2.0 * (1.0 - 1.0 / count.max(1.0)));
        let (of_seed, own) = ((total - left).max(0.0), left.min(total));
        // One score alone has no differences, and nothing to share.
        let shared = of_seed * of_seed + own * own / (count - 1.0).max(1.0);
        Self {
            // As in the analysis of variance, one score's worth goes to the seeds.
            both: Common::of(&both, all - freedoms().fold(0.0, f64::max)),
            one: Common::of(&one, if shared > 0.0 { total * total / shared * all / count } else { 0.0 }),
        }
    }

    /// The difference `a - b` with the spread that all scores give it, if there is a seed of both. What no seed changes on
    /// either side is left as it is, however far others spread.
    pub fn difference(&self, a: &Seeds, b: &Seeds) -> Option<Estimate> {
        let own = Estimate::difference(a, b)?;
        let common = match [a, b].map(fixed) {
            [true, true] => return Some(own),
            [false, false] => self.both,
            _ => self.one,
        };
        Some(common.moderate(own))
    }
}

impl Common {
    fn of(differences: &[Estimate], freedom: f64) -> Self {
        let known: Vec<(f64, f64)> = differences.iter().filter_map(Estimate::variance).collect();
        let (mut variances, freedoms): (Vec<f64>, Vec<f64>) = known.into_iter().unzip();
        // A pair that hardly varies, such as a method and a near copy of it, would make all others look unlike each other.
        let least = LEAST * median(&variances);
        variances.iter_mut().for_each(|variance| *variance = variance.max(least));
        // Sample variances are finite, and their degrees of freedom positive: there is nothing to refuse.
        let prior = VariancePrior::fit(&variances, &freedoms).ok().flatten();
        Self { prior, mean: mean_variance(differences), freedom }
    }

    /// A difference of this kind with the common spread.
    fn moderate(&self, difference: Estimate) -> Estimate {
        match (&self.prior, difference.variance()) {
            (Some(prior), Some(_)) => difference.moderated(prior, self.freedom),
            // The same in every seed by chance: it has no spread of its own, and no more degrees of freedom.
            (Some(_), None) if difference.seeds > 1 => difference.with_variance(self.mean),
            _ => difference,
        }
    }
}

/// Mean sample variance of differences, those that are the same in every seed among them.
fn mean_variance(differences: &[Estimate]) -> f64 {
    let several = differences.iter().filter(|own| own.seeds > 1);
    mean(&several.map(|own| own.variance().map_or(0.0, |(variance, _)| variance)).collect::<Vec<_>>()).unwrap_or(0.0)
}

/// The middle value; 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(values: &[f64]) -> Seeds {
        (1..).zip(values.iter().copied()).collect()
    }

    fn all(rows: &[Seeds]) -> Spread {
        Spread::of(&rows.iter().collect::<Vec<_>>())
    }

    #[test]
    fn two_scores_are_a_paired_test() {
        let rows = [seeds(&[0.5, 0.7, 0.9]), seeds(&[0.4, 0.5, 0.6])];
        assert_eq!(all(&rows).difference(&rows[0], &rows[1]), Estimate::difference(&rows[0], &rows[1]));
    }

    /// By numpy: the residual mean square of score by seed, twice.
    #[test]
    fn equal_spreads_are_an_analysis_of_variance() {
        let rows = [[0.49, 0.505, 0.5], [0.485, 0.48, 0.475], [0.455, 0.485, 0.5], [0.5, 0.455, 0.485]];
        let mut rows: Vec<Seeds> = rows.iter().map(|values| seeds(values)).collect();
        let spread = all(&rows);
        let prior = spread.both.prior.unwrap();
        assert!(prior.freedom.is_infinite() && (prior.variance - 6.958_333e-4).abs() < 1e-9, "{prior:?}");
        assert_eq!(spread.both.freedom, 6.0);
        // What no seed changes takes no part in it.
        rows.push(seeds(&[0.7; 3]));
        assert_eq!(format!("{:?}", all(&rows)), format!("{spread:?}"));
    }

    #[test]
    fn a_wild_score_keeps_its_own_spread() {
        let mut rows: Vec<Seeds> = (0..6)
            .map(|row| seeds(&[0.5, 0.5 + 0.001 * f64::from(row % 3), 0.5 - 0.001 * f64::from(row % 2) - 0.0005]))
            .collect();
        rows.push(seeds(&[0.3, 0.6, 0.9]));
        let spread = all(&rows);
        let (wild, calm) =
            (spread.difference(&rows[6], &rows[0]).unwrap(), spread.difference(&rows[1], &rows[2]).unwrap());
        let own = Estimate::difference(&rows[6], &rows[0]).unwrap();
        let width = |estimate: Estimate| estimate.interval.map(|(low, high)| high - low).unwrap();
        // Its error stays; its degrees of freedom are more than two, but not those of all.
        assert!(width(wild) < width(own) && width(wild) > 0.4 * width(own), "{wild:?} {own:?}");
        assert!(width(calm) < 0.1 * width(wild), "{calm:?}");
    }

    #[test]
    fn a_score_that_no_seed_changes_is_compared_by_the_spread_of_others() {
        let rows = [&[0.5, 0.5, 0.5], &[0.4, 0.41, 0.39], &[0.3, 0.315, 0.285], &[0.2; 3]].map(|values| seeds(values));
        let spread = all(&rows);
        // Sample variances of 1e-4 and 2.25e-4 differ no more than two degrees of freedom let them: 1.625e-4. Of that the
        // variance 2.5e-5 of their difference leaves 6.25e-6 to them and gives the rest to the seeds: 2.1597
        // degrees of freedom by Satterthwaite, of which t leaves 0.025 at 4.011621.
        let found = spread.difference(&rows[0], &rows[1]).unwrap();
        let (low, high) = found.interval.unwrap();
        assert!((high - low - 2.0 * 4.011_621 * (1.625e-4f64 / 3.0).sqrt()).abs() < 1e-6, "{found:?}");
        assert!(spread.difference(&rows[0], &rows[3]).unwrap().constant());
    }
}
