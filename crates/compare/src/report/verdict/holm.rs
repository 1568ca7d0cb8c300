//! One correction over everything that the verdicts of a run test.

use super::{Ruling, Verdict};
use crate::report::estimate::LEVEL;
use nearfar_eval::stats::holm;

/// The p-values of all claims and parts that were measured.
pub(super) fn tested(verdicts: &[Verdict]) -> Vec<f64> {
    let own = |verdict: &Verdict| if verdict.parts.is_empty() { verdict.p_value } else { None };
    let of = |verdict: &Verdict| {
        verdict.parts.iter().map(|part| part.p_value).chain([own(verdict)]).flatten().collect::<Vec<f64>>()
    };
    verdicts.iter().flat_map(of).collect()
}

/// Holm's correction over all that was tested: what it does not leave is undecided.
pub(super) fn correct(verdicts: &mut [Verdict]) {
    let tested = tested(verdicts);
    // P-values lie between 0 and 1, so that there is nothing to refuse.
    let Ok(adjusted) = holm(&tested) else { return };
    let mut next = adjusted.into_iter();
    for verdict in verdicts {
        let decided = verdict.verdict != Ruling::Undecided;
        for part in &mut verdict.parts {
            part.p_holm = part.p_value.and_then(|_| next.next());
            if part.p_holm.is_some_and(|p| p > LEVEL) {
                part.verdict = Ruling::Undecided;
            }
        }
        if verdict.parts.is_empty() {
            verdict.p_holm = verdict.p_value.and_then(|_| next.next());
            if verdict.p_holm.is_some_and(|p| p > LEVEL) {
                verdict.verdict = Ruling::Undecided;
            }
        } else {
            // What the correction leaves open may be another part than the one that decided.
            *verdict = verdict.clone().by_its_parts();
        }
        if decided && verdict.verdict == Ruling::Undecided {
            verdict.evidence += &format!(
                " The interval excludes 0, but {} tests were made on these rows, and Holm's correction leaves it open.",
                tested.len()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        estimate::Estimate,
        verdict::{Difference, Part},
    };

    #[test]
    fn several_tests_need_more_than_one() {
        let verdict = |p: f64| {
            let mut verdict =
                Verdict::new(Difference::Training, "c", Estimate::of(&[0.492, 0.5, 0.508]).as_ref(), "e".into());
            verdict.p_value = Some(p);
            verdict
        };
        let rulings = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| verdict.verdict).collect::<Vec<_>>();
        let mut alone = [verdict(0.03)];
        correct(&mut alone);
        assert_eq!((rulings(&alone), alone[0].p_holm), (vec![Ruling::Supported], Some(0.03)));
        let mut both = [verdict(0.03), verdict(0.01), verdict(0.5)];
        correct(&mut both);
        assert_eq!(rulings(&both), [Ruling::Undecided, Ruling::Supported, Ruling::Undecided]);
        assert_eq!(both[0].p_holm, Some(0.06));
        assert!(both[0].evidence.contains("3 tests were made"), "{}", both[0].evidence);
        // A claim of two parts needs both.
        let part = |p| Part {
            name: "n".into(),
            scores: Vec::new(),
            verdict: Ruling::Supported,
            effect: Some(0.5),
            ci95_low: None,
            ci95_high: None,
            p_value: Some(p),
            p_holm: None,
        };
        let mut parted = verdict(0.04);
        parted.parts = vec![part(0.04), part(0.03)];
        let mut parted = [parted];
        correct(&mut parted);
        assert_eq!((parted[0].verdict, parted[0].p_holm), (Ruling::Undecided, Some(0.06)));
        // The part that the correction leaves open decides, not the one closer to zero that it does not.
        let near = Part { ci95_low: Some(0.01), ..part(0.002) };
        let far = Part { ci95_low: Some(0.05), effect: Some(0.3), ..part(0.035) };
        let mut claims = [Verdict { parts: vec![near, far], ..verdict(0.002) }.by_its_parts(), verdict(0.2)];
        assert_eq!((claims[0].verdict, claims[0].ci95_low), (Ruling::Supported, Some(0.01)));
        correct(&mut claims);
        assert_eq!((claims[0].verdict, claims[0].effect, claims[0].p_holm), (Ruling::Undecided, Some(0.3), Some(0.07)));
    }
}
