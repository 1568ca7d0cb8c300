//! The sentences of a verdict's evidence.

use super::{Ruling, family::Best};
use crate::report::{
    Paradigm, Row,
    again::Again,
    budget::more_epochs,
    estimate::{Estimate, MARGIN, MOST_SEEDS, Over, ROUNDING},
    format::{interval, number, plain, signed},
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
        (Some((low, high)), _) if estimate.over == Over::Items => {
            format!("{effect} {} over the test items, as no seed changes either score", interval(low, high))
        }
        (Some((low, high)), true) => format!("{effect} {} over {} shared seeds", interval(low, high), estimate.seeds),
        (Some((low, high)), false) => {
            format!("{effect} {} over {} seeds that are not shared", interval(low, high), estimate.seeds)
        }
        (None, _) if estimate.constant() => format!("{effect} in each of {} seeds", estimate.seeds),
        (None, _) => format!("{effect} on one seed"),
    }
}

/// That methods on the side that is behind were still improving when the budget ended, and the command with more epochs;
/// empty without such methods.
pub(super) fn unripe(rows: &[&Row], methods: &[&str], command: impl FnOnce(&str) -> String) -> String {
    if methods.is_empty() {
        return String::new();
    }
    let command = command(&more_epochs(rows, methods).to_string());
    let methods = methods.join(" and ");
    format!(
        "Undecided at this budget: the loss of {methods} was still falling when the budget ended; `{command}` decides."
    )
}

/// What an undecided estimate lacks, or that one that decides is small; empty for others. `command` measures it again with
/// so many seeds.
pub(super) fn advice(estimate: &Estimate, again: &Again, command: impl Fn(usize) -> String) -> String {
    let margin = plain(MARGIN);
    let within = estimate.interval.is_some_and(|(low, high)| low >= -MARGIN && high <= MARGIN);
    if estimate.ruling() != Ruling::Undecided {
        let small =
            format!("The interval lies within ±{margin}, which counts as equal here: small, if it is no chance.");
        return if within { small } else { String::new() };
    }
    if estimate.interval.is_none() {
        return match estimate.seeds {
            0 | 1 => format!("One seed gives no interval: `{}` does.", command(again.deciding())),
            seeds => constant(estimate, again.test, &command(seeds + 3)),
        };
    }
    if estimate.few() {
        return format!("Two seeds decide nothing: `{}` takes more.", command(again.deciding()));
    }
    if within {
        return format!(
            "The interval holds 0 and lies within ±{margin}, which counts as equal here: treat the two as equal."
        );
    }
    match estimate.tested_among(again.tests).seeds_to_decide() {
        Some(seeds) => format!(
            "Not decided: the interval holds 0. If the difference is what it seems, {seeds} seeds decide with a chance of \
             80 %: `{}`.",
            command(seeds)
        ),
        None if estimate.over == Over::Items => {
            "Not decided: the interval holds 0. More seeds change nothing; more test items may.".to_owned()
        }
        None => format!(
            "Not enough data: the interval holds 0, so that neither is known to be better, and reaches beyond \
             ±{margin}, so that they are not known to be equal. A difference this small would take more than \
             {MOST_SEEDS} seeds to find."
        ),
    }
}

/// What can be said of a difference that is the same in every seed.
fn constant(estimate: &Estimate, test: usize, command: &str) -> String {
    if estimate.mean.abs() <= ROUNDING {
        return "No seed tells the two apart.".to_owned();
    }
    let items = if test == 0 { "the test items".to_owned() } else { format!("the {test} test items") };
    format!(
        "It does not vary with the seed, so that the seeds do not say how sure it is: on other items than {items} it may be \
         another. Where seeds do matter, more of them show it: `{command}`."
    )
}

/// Sentences with one space between them.
pub(super) fn sentences(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wine() -> Again {
        let mut again = Again::default();
        again.test = 36;
        again
    }

    #[test]
    fn advice_names_the_run() {
        let command = |seeds: usize| format!("compare run --dataset wine --seeds {seeds}");
        let advice = |estimate: &Estimate| advice(estimate, &wine(), command);
        let one = Estimate::of(&[0.1]).unwrap();
        assert!(advice(&one).contains("`compare run --dataset wine --seeds 3`"));
        let noisy = Estimate::of(&[0.1, 0.2, 0.3]).unwrap();
        assert_eq!(
            advice(&noisy),
            "Not decided: the interval holds 0. If the difference is what it seems, 5 seeds decide with a chance of 80 %: \
             `compare run --dataset wine --seeds 5`."
        );
        assert_eq!(advice(&Estimate::of(&[0.1, 0.11, 0.12]).unwrap()), "");
        let small = advice(&Estimate::of(&[-0.004, -0.005, -0.006]).unwrap());
        assert_eq!(small, "The interval lies within ±0.020, which counts as equal here: small, if it is no chance.");
    }

    /// That no difference was found is not that there is none.
    #[test]
    fn equal_is_only_what_lies_within_the_margin() {
        let advice = |values: &[f64]| advice(&Estimate::of(values).unwrap(), &wine(), |seeds| seeds.to_string());
        let wide = advice(&[0.3, -0.3, 0.1]);
        assert!(wide.starts_with("Not enough data:") && wide.contains("reaches beyond ±0.020"), "{wide}");
        let narrow = advice(&[0.001, -0.001, 0.0005]);
        assert!(narrow.contains("lies within ±0.020") && narrow.ends_with("treat the two as equal."), "{narrow}");
    }

    #[test]
    fn what_no_seed_changes_is_not_sure() {
        let same = Estimate::of(&[-0.014, -0.014]).unwrap();
        assert_eq!(weight(&same), "-0.014 in each of 2 seeds");
        let told = advice(&same, &wine(), |seeds| format!("again {seeds}"));
        assert!(told.contains("on other items than the 36 test items") && told.contains("`again 5`"), "{told}");
        assert_eq!(
            advice(&Estimate::of(&[0.0, 0.0]).unwrap(), &wine(), |_| String::new()),
            "No seed tells the two apart."
        );
        let items = same.over_items(0.02, 31.0);
        assert!(weight(&items).ends_with("over the test items, as no seed changes either score"), "{}", weight(&items));
        assert!(advice(&items, &wine(), |_| String::new()).contains("More seeds change nothing"));
    }
}
