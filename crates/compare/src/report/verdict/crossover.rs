//! The share of the labels where the lead of the two families changes.
//!
//! The lead is the contrastive family's score less the metric family's, linear in the logarithm of the share between the
//! shares that were tried. The crossover is where its mean over the seeds is zero. Its interval holds every share around
//! it at which a t-test cannot tell the lead from zero (the inversion of a test, as Fieller 1954 does for a ratio), so
//! that it needs no crossing in every seed and covers the true one as often as the test says, with few seeds too. The
//! test counts the seeds and, where rows hold their scores on parts of the test items, the items ([`super::leads`]).
//!
//! A share is named only where the mean changes its sign once within the interval, and where some lead is more than chance.
//! Else the answer is the range in which neither family leads.

use super::{
    leads::{Leads, SAME, Zero},
    sentences,
};
use crate::report::{Paradigm, estimate::FEWEST_SEEDS, format::percent};
use serde::{Deserialize, Serialize};

/// Where the lead changes on one score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// Name of the score.
    pub score: String,
    /// What can be said.
    #[serde(default)]
    pub finding: Finding,
    /// Share of the labels where the mean lead is zero; absent where none can be named.
    pub share: Option<f64>,
    /// Lower end of its 95 % interval; the true one may lie below the range where this is the range's own end. Without a
    /// share the lower end of the shares at which the lead may be chance. Absent with fewer than three seeds.
    pub ci95_low: Option<f64>,
    /// Upper end, in the same way.
    pub ci95_high: Option<f64>,
    /// The family that leads above the crossover, or everywhere; without a finding, the one ahead at the largest share.
    pub leader: Paradigm,
    /// Smallest and largest share tried.
    pub range: [f64; 2],
    /// Seeds that both families have at every share.
    pub seeds: usize,
    /// Whether the interval also says what other test items would give.
    #[serde(default)]
    pub items: bool,
    /// Methods that are behind at some share and whose loss was still falling there when the budget ended: with more epochs
    /// the lead may be another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_improving: Vec<String>,
    /// The same in words.
    pub sentence: String,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// What the leads say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// The lead changes at one share.
    #[default]
    Point,
    /// Neither family leads in a range; if the lead changes, it does so there.
    Range,
    /// One family leads at every share.
    Stays,
}

/// Changes of the mean lead that no share with a clear lead lies between.
struct Change {
    zeros: Vec<Zero>,
    /// The stretch around them in which the lead may be chance.
    around: Option<(f64, f64)>,
}

impl Crossover {
    /// From the leads of the contrastive family at rising `shares`; `None` with fewer than two shares or without a seed.
    pub(super) fn find(score: &str, shares: &[f64], leads: &Leads) -> Option<Self> {
        let ([first, .., last], [_, ..]) = (shares, leads.seeds.as_slice()) else { return None };
        let places: Vec<f64> = shares.iter().map(|share| share.ln()).collect();
        let (means, ties) = (leads.means(), leads.ties(&places));
        let changes = changes(leads.zeros(&places), &ties, leads.seeds.len());
        let all = (first.ln(), last.ln());
        let everywhere = ties.first().is_some_and(|tie| tie.0 <= all.0 + SAME && tie.1 >= all.1 - SAME);
        let (finding, interval) = match changes.first() {
            _ if everywhere => (Finding::Range, Some(all)),
            None => (Finding::Stays, ties.first().zip(ties.last()).map(|(first, last)| (first.0, last.1))),
            Some(Change { zeros, around }) if zeros.len() == 1 => (Finding::Point, *around),
            Some(Change { around, .. }) => (Finding::Range, *around),
        };
        let range = [*first, *last];
        let ahead = match changes.first().and_then(|change| change.zeros.last()) {
            Some(zero) if !everywhere => zero.rising,
            _ => means[means.len() - 1] > 0.0,
        };
        let zero = changes.first().map(|change| change.zeros[0].place).filter(|_| finding == Finding::Point);
        let mut found = Self {
            score: score.to_owned(),
            finding,
            share: zero.map(|place| share(place, range)),
            ci95_low: interval.map(|(low, _)| share(low, range)),
            ci95_high: interval.map(|(_, high)| share(high, range)),
            leader: family(ahead),
            range,
            seeds: if leads.unshared { 0 } else { leads.seeds.len() },
            items: !leads.parts.is_empty() && leads.seeds.len() >= FEWEST_SEEDS,
            still_improving: Vec::new(),
            sentence: String::new(),
            run: String::new(),
        };
        found.sentence = found.in_words(&changes, &ties);
        Some(found)
    }

    fn in_words(&self, changes: &[Change], ties: &[(f64, f64)]) -> String {
        let interval = self.ci95_low.zip(self.ci95_high);
        let (main, named) = match (self.finding, self.share, interval) {
            (Finding::Point, Some(share), _) => (self.point(share, interval), 1),
            (Finding::Range, _, Some((low, high))) if [low, high] == self.range => {
                (self.nowhere(changes), changes.len())
            }
            (Finding::Range, _, interval) => (changes.first().map_or_else(String::new, |c| self.open(c, interval)), 1),
            _ => (self.stays(ties), 0),
        };
        let more = match changes.len() - named.min(changes.len()) {
            0 => "",
            1 => "Further up the lead changes once more.",
            _ => "Further up the lead changes several times more.",
        };
        sentences(&[main, more.to_owned()])
    }

    /// The share with its interval.
    fn point(&self, share: f64, interval: Option<(f64, f64)>) -> String {
        let [first, last] = self.range.map(percent);
        let weight = match interval {
            Some((low, high)) => {
                let low = if low <= self.range[0] { format!("{first} or below") } else { self.about(low) };
                let high = if high >= self.range[1] { format!("{last} or never") } else { self.about(high) };
                format!("95 % interval {low} to {high}, {}", self.basis())
            }
            None => format!("{}, no interval", self.few()),
        };
        let leader = capital(self.leader.name());
        format!("{leader} learning overtakes at about {} of the labels ({weight}).", self.about(share))
    }

    /// A range in which the lead changes, with no share that could be named.
    fn open(&self, change: &Change, interval: Option<(f64, f64)>) -> String {
        let [start, .., end] = change.zeros.as_slice() else { return String::new() };
        let times = change.zeros.len();
        let Some((low, high)) = interval else {
            let [start, end] = [start, end].map(|zero| self.about(share(zero.place, self.range)));
            return format!(
                "On {} the lead changes {times} times between {start} and {end} of the labels; more seeds tell which of \
                 the changes are chance.",
                self.few()
            );
        };
        let main = format!(
            "Neither family leads between {} and {} of the labels: the mean lead changes {times} times there, by no more \
             than chance gives ({}).",
            self.about(low),
            self.about(high),
            self.basis()
        );
        let (below, above) = (family(!start.rising), family(end.rising));
        let sides = match (low > self.range[0], high < self.range[1]) {
            (true, true) if below == above => format!("Below and above, {below} learning leads."),
            (true, true) => format!("Below, {below} learning leads; above, {above} learning does."),
            (true, false) => format!("Below, {below} learning leads."),
            (false, true) => format!("Above, {above} learning leads."),
            (false, false) => String::new(),
        };
        sentences(&[main, sides])
    }

    /// No lead at any share.
    fn nowhere(&self, changes: &[Change]) -> String {
        let [first, last] = self.range.map(percent);
        let mean = match changes.iter().map(|change| change.zeros.len()).sum::<usize>() {
            0 => format!("{} learning is ahead at every share", self.leader),
            1 => format!("{} learning comes to be ahead with more labels", self.leader),
            times => format!("the mean lead changes {times} times"),
        };
        format!(
            "Neither family leads anywhere between {first} and {last} of the labels: {mean}, but by no more than chance \
             gives ({}).",
            self.basis()
        )
    }

    /// One family ahead at every share, and where that may be chance.
    fn stays(&self, ties: &[(f64, f64)]) -> String {
        let [first, last] = self.range.map(percent);
        if self.seeds < FEWEST_SEEDS {
            return format!(
                "On {} {} learning is ahead at every share between {first} and {last} of the labels, which may be chance.",
                self.few(),
                self.leader
            );
        }
        let none = format!(
            "No crossover between {first} and {last} of the labels: {} learning leads at every share.",
            self.leader
        );
        let stretch = |(low, high): &(f64, f64)| {
            let [low, high] = [*low, *high].map(|place| self.about(share(place, self.range)));
            format!("between {low} and {high}")
        };
        let stretches: Vec<String> = ties.iter().map(stretch).collect();
        let chance = match stretches.as_slice() {
            [] => String::new(),
            [one] => format!("{} its lead may be chance.", capital(one)),
            [some @ .., last] => format!("{} and {last} its lead may be chance.", capital(&some.join(", "))),
        };
        sentences(&[none, chance])
    }

    /// What it rests on where that is too little for an interval.
    fn few(&self) -> &'static str {
        match self.seeds {
            0 => "means of seeds that are not shared",
            1 => "one seed",
            _ => "two seeds",
        }
    }

    /// What the interval rests on.
    fn basis(&self) -> String {
        let items = if self.items { " and the test items" } else { "" };
        format!("{} shared seeds{items}", self.seeds)
    }

    /// A share that was found, with the two digits that it can have; an end of the range as it was given.
    fn about(&self, share: f64) -> String {
        if self.range.contains(&share) || share <= 0.0 {
            return percent(share);
        }
        let unit = 10f64.powf(share.log10().floor() - 1.0);
        percent((share / unit).round() * unit)
    }
}

/// Zeros with the stretches around them; those of one stretch are one change. Fewer than three seeds have no stretches:
/// there all zeros are one.
fn changes(zeros: Vec<Zero>, ties: &[(f64, f64)], seeds: usize) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    for zero in zeros {
        let holds = |tie: &&(f64, f64)| tie.0 <= zero.place + SAME && tie.1 >= zero.place - SAME;
        let around = ties.iter().find(holds).copied();
        match found.last_mut() {
            Some(last) if seeds < FEWEST_SEEDS || (around.is_some() && last.around == around) => last.zeros.push(zero),
            _ => found.push(Change { zeros: vec![zero], around }),
        }
    }
    found
}

/// The share at a place, a logarithm. An end of the range comes back as it was given.
fn share(place: f64, range: [f64; 2]) -> f64 {
    range.into_iter().find(|end| (end.ln() - place).abs() < SAME).unwrap_or_else(|| place.exp())
}

/// The family that a lead belongs to.
fn family(above: bool) -> Paradigm {
    if above { Paradigm::Contrastive } else { Paradigm::Metric }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
