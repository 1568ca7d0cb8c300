//! The critical-difference diagram of Demsar 2006.

use super::{Figure, Panel, row, titled};
use crate::report::{
    Ranking, Report,
    format::probability,
    svg::{Anchor, Scale, Svg},
};

const WIDTH: f64 = 760.0;
/// Where the axis of ranks lies.
const AXIS: f64 = 52.0;
/// Space between two names, and between two bars.
const STEP: f64 = 18.0;
const BAR: f64 = 7.0;

pub(super) fn ranks(report: &Report) -> Figure {
    let mut table = vec![row(["score", "over", "method", "average rank"])];
    for ranking in &report.rankings {
        let over = format!("{} {}", ranking.blocks, ranking.over);
        let lines = ranking.methods.iter().map(|ranked| {
            row([&titled(&ranking.score, &ranking.run), &over, &ranked.method, &format!("{:.2}", ranked.rank)])
        });
        table.extend(lines);
    }
    let caption = "Average ranks, the best on the left. Methods joined by a bar cannot be told from each other: their \
                   ranks are less apart than the critical difference (CD, Nemenyi's test, 95 %). Ranks over the seeds \
                   of one data set say how stable the order is there, not whether it holds on other data.";
    Figure {
        id: "ranks",
        title: "Average ranks",
        caption: caption.to_owned(),
        wide: true,
        panels: report.rankings.iter().map(panel).collect(),
        table,
    }
}

fn panel(ranking: &Ranking) -> Panel {
    let count = ranking.methods.len();
    let cliques = cliques(ranking);
    let (left, right) = (170.0, WIDTH - 170.0);
    let scale = Scale { values: (1.0, count as f64), places: (left, right) };
    let names = AXIS + 14.0 + BAR * cliques.len() as f64;
    let half = count.div_ceil(2);
    let mut svg = Svg::new(WIDTH, names + STEP * half as f64 + 8.0);

    let length = (ranking.critical_difference / (count as f64 - 1.0) * (right - left)).min(right - left);
    svg.line("axis", (left, 14.0), (left + length, 14.0));
    svg.line("axis", (left, 10.0), (left, 18.0));
    svg.line("axis", (left + length, 10.0), (left + length, 18.0));
    svg.text("quiet", (left - 8.0, 18.0), Anchor::End, &format!("CD {:.2}", ranking.critical_difference));
    svg.line("axis", (left, AXIS), (right, AXIS));
    for rank in 1..=count {
        let x = scale.at(rank as f64);
        svg.line("axis", (x, AXIS - 5.0), (x, AXIS));
        svg.text("quiet", (x, AXIS - 9.0), Anchor::Middle, &rank.to_string());
    }
    for (i, (first, last)) in cliques.iter().enumerate() {
        let y = AXIS + 8.0 + BAR * i as f64;
        let ends = (scale.at(ranking.methods[*first].rank) - 3.0, scale.at(ranking.methods[*last].rank) + 3.0);
        svg.line("clique", (ends.0, y), (ends.1, y));
    }
    for (i, ranked) in ranking.methods.iter().enumerate() {
        // The better half is named on the left, from the top down, the others on the right from the bottom up, so that
        // the lines do not cross.
        let x = scale.at(ranked.rank);
        let (side, place, anchor) =
            if i < half { (left - 12.0, i, Anchor::End) } else { (right + 12.0, count - 1 - i, Anchor::Start) };
        let y = names + STEP * (place as f64 + 0.5);
        svg.path("grid", &[(x, AXIS), (x, y), (side, y)]);
        let gap = if anchor == Anchor::End { -4.0 } else { 4.0 };
        svg.text("", (side + gap, y + 4.0), anchor, &format!("{} {:.2}", ranked.method, ranked.rank));
    }
    let title = titled(&ranking.score, &ranking.run);
    let order: Vec<_> = ranking.methods.iter().map(|own| format!("{} {:.2}", own.method, own.rank)).collect();
    let label = format!(
        "Average ranks on {title} over {} {}: {}. Critical difference {:.2}, Friedman's p {}.",
        ranking.blocks,
        ranking.over,
        order.join(", "),
        ranking.critical_difference,
        probability(ranking.p_value)
    );
    Panel { title: format!("{title}, over {} {}", ranking.blocks, ranking.over), svg: svg.render(&label) }
}

/// The longest runs of methods whose ranks are less apart than the critical difference, by first and last index.
fn cliques(ranking: &Ranking) -> Vec<(usize, usize)> {
    let near = |first: usize, last: usize| {
        ranking.methods[last].rank - ranking.methods[first].rank < ranking.critical_difference
    };
    let mut found: Vec<(usize, usize)> = Vec::new();
    for first in 0..ranking.methods.len() {
        let last = (first..ranking.methods.len()).take_while(|last| near(first, *last)).last().unwrap_or(first);
        let inside = found.last().is_some_and(|(_, longest)| *longest >= last);
        if last > first && !inside {
            found.push((first, last));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::head_to_head;

    #[test]
    fn bars_join_what_cannot_be_told_apart() {
        let mut report = head_to_head();
        report.summarize();
        let mut ranking = report.rankings[0].clone();
        // Five methods at the ranks 1 to 5.
        for (difference, expected) in [
            (3.5, vec![(0, 3), (1, 4)]),
            (1.5, vec![(0, 1), (1, 2), (2, 3), (3, 4)]),
            (0.5, vec![]),
            (9.0, vec![(0, 4)]),
        ] {
            ranking.critical_difference = difference;
            assert_eq!(cliques(&ranking), expected, "{difference}");
        }
        let figure = ranks(&report);
        assert_eq!((figure.panels.len(), figure.table.len()), (2, 11));
        let svg = &figure.panels[0].svg;
        assert!(svg.contains("triplet 1.00") && svg.contains("class=\"clique\"") && svg.contains("CD 3.52"), "{svg}");
    }
}
