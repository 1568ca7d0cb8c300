//! The sentences of a verdict's evidence.

use super::{Ruling, family::Best};
use crate::report::{
    Paradigm,
    estimate::{Estimate, MOST_SEEDS},
    format::{interval, number, signed},
};

/// `a - b` in words: the families, their methods, means, the difference and what it rests on.
pub(super) fn describe(
    score: &str,
    a: (Paradigm, &Best<'_>),
    b: (Paradigm, &Best<'_>),
    difference: &Estimate,
) -> String {
    let side = |(paradigm, best): (Paradigm, &Best<'_>)| {
        format!("{paradigm} ({}) {}", best.methods.join(" or "), number(score, best.mean()))
    };
    format!("{score}: {}, {}, difference {}", side(a), side(b), weight(difference))
}

/// The estimate with its interval and the seeds behind it.
pub(super) fn weight(estimate: &Estimate) -> String {
    let effect = signed(estimate.mean);
    match (estimate.interval, estimate.paired) {
        (Some((low, high)), true) => format!("{effect} {} over {} shared seeds", interval(low, high), estimate.seeds),
        (Some((low, high)), false) => {
            format!("{effect} {} over {} seeds that are not shared", interval(low, high), estimate.seeds)
        }
        (None, _) => format!("{effect} on one seed"),
    }
}

/// What an undecided estimate lacks; empty for one that decides. `command` is the run that measured it.
pub(super) fn advice(estimate: &Estimate, command: &str) -> String {
    if estimate.ruling() != Ruling::Undecided {
        return String::new();
    }
    if estimate.interval.is_none() {
        return format!(
            "One seed gives no interval: `{command} --seeds 3`, with the other options as they were, decides."
        );
    }
    match estimate.seeds_to_decide() {
        Some(seeds) => format!(
            "A tie: the interval holds 0. If the difference is what it seems, {seeds} seeds decide with a chance of \
             80 %: `{command} --seeds {seeds}`."
        ),
        None => format!(
            "A tie: the interval holds 0, and a difference this small would take more than {MOST_SEEDS} seeds. \
             Treat the two as equal."
        ),
    }
}

/// Sentences with one space between them.
pub(super) fn sentences(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_run() {
        let one = Estimate::of(&[0.1]).unwrap();
        assert!(advice(&one, "compare run").contains("`compare run --seeds 3`"));
        let noisy = Estimate::of(&[0.1, 0.2, 0.3]).unwrap();
        assert_eq!(
            advice(&noisy, "compare run"),
            "A tie: the interval holds 0. If the difference is what it seems, 5 seeds decide with a chance of 80 %: \
             `compare run --seeds 5`."
        );
        let equal = Estimate::of(&[0.1, -0.1]).unwrap();
        assert!(advice(&equal, "compare run").contains("Treat the two as equal"));
        assert_eq!(advice(&Estimate::of(&[0.1, 0.11, 0.12]).unwrap(), "compare run"), "");
    }
}
