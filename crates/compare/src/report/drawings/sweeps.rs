//! Scores along a setting that was varied: shares of the labels, batch sizes and what else rows differ in.

use super::{Figure, Panel, family, free_place, row, titled};
use crate::report::{
    Crossover, Report,
    axis::LABELS,
    estimate::Estimate,
    facts,
    format::{number, with_half},
    groups::{Group, distinct, groups},
    svg::{Anchor, Scale, Svg, tick_text},
    table::{Table, goals, tables},
};
use std::collections::BTreeMap;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
/// Ends of the scales.
const LEFT: f64 = 50.0;
const RIGHT: f64 = WIDTH - 150.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = HEIGHT - 46.0;

/// One method along the axis, by rising value.
struct Series<'a> {
    method: &'a str,
    family: usize,
    points: Vec<(f64, Estimate)>,
}

pub(super) fn sweeps(report: &Report) -> Figure {
    let groups = groups(&report.rows);
    let mut table = vec![row(["score", "method", "setting", "mean and half interval"])];
    let mut panels = Vec::new();
    for own in tables(report) {
        let of_run: Vec<&Group<'_>> = groups.iter().filter(|group| group.run == own.run).collect();
        for axis in distinct(of_run.iter().flat_map(|group| group.axes.keys().map(String::as_str))) {
            for score in goal_names(&own) {
                let series = series(&of_run, axis, score);
                if series.is_empty() {
                    continue;
                }
                let title = format!("{} along {axis}", titled(score, own.run));
                for one in &series {
                    for (value, found) in &one.points {
                        let half = found.interval.map(|(low, high)| (high - low) / 2.0);
                        let cells = [format!("{axis} {}", tick_text(*value)), with_half(score, found.mean, half)];
                        table.push(row([&title, one.method, &cells[0], &cells[1]]));
                    }
                }
                let untouched = untouched(&of_run, axis, score);
                for (method, _, found) in &untouched {
                    let half = found.interval.map(|(low, high)| (high - low) / 2.0);
                    table.push(row([&title, method, "does not depend on it", &with_half(score, found.mean, half)]));
                }
                let crossover = report
                    .crossovers
                    .iter()
                    .find(|found| axis == LABELS && (found.run.as_str(), found.score.as_str()) == (own.run, score));
                let svg =
                    Drawing { axis, score, title: &title, series: &series, untouched: &untouched, crossover }.draw();
                panels.push(Panel { svg, title });
            }
        }
    }
    let mut caption =
        "One line for each method, with 95 % intervals over seeds; level and dashed for methods that do not \
                       depend on the setting. The other settings stand still along a line. Where lines of two families \
                       cross, the better family changes."
            .to_owned();
    let crossovers = facts::crossovers(report);
    if !crossovers.is_empty() {
        caption += " Shaded are the shares of the labels at which the lead of a family may be chance.";
    }
    for sentence in crossovers {
        caption += &format!(" {sentence}");
    }
    Figure { id: "sweeps", title: "Along the settings", caption, wide: true, panels, table }
}

fn goal_names<'t>(table: &'t Table<'_>) -> Vec<&'t str> {
    goals(&table.columns).into_iter().flatten().map(|column| table.columns[column].as_str()).collect()
}

/// The methods that have the score at two values of the axis or more, with their other settings where they have most.
fn series<'a>(groups: &[&'a Group<'_>], axis: &str, score: &str) -> Vec<Series<'a>> {
    let mut found = Vec::new();
    for method in distinct(groups.iter().map(|group| group.method)) {
        // By the other settings as text: equal numbers have equal texts.
        let mut lines: BTreeMap<String, Series<'a>> = BTreeMap::new();
        for group in groups.iter().filter(|group| group.method == method) {
            let Some(value) = group.axes.get(axis).copied() else { continue };
            let values: Vec<f64> = group.values(score).into_values().collect();
            let Some(estimate) = Estimate::of(&values) else { continue };
            let others: String = group
                .axes
                .iter()
                .filter(|(name, _)| *name != axis)
                .map(|(name, value)| format!("{name} {value};"))
                .collect();
            let new = || Series { method, family: family(group.paradigm), points: Vec::new() };
            lines.entry(others).or_insert_with(new).points.push((value, estimate));
        }
        let longest = lines.into_values().max_by_key(|line| line.points.len());
        found.extend(longest.filter(|line| line.points.len() >= 2));
    }
    for line in &mut found {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    found
}

/// Method, family and score of the methods without a value on the axis.
fn untouched<'a>(groups: &[&'a Group<'_>], axis: &str, score: &str) -> Vec<(&'a str, usize, Estimate)> {
    let mut found = Vec::new();
    for group in groups.iter().filter(|group| !group.axes.contains_key(axis)) {
        let values: Vec<f64> = group.values(score).into_values().collect();
        found.extend(Estimate::of(&values).map(|estimate| (group.method, family(group.paradigm), estimate)));
    }
    found
}

/// One panel.
struct Drawing<'d> {
    axis: &'d str,
    score: &'d str,
    title: &'d str,
    series: &'d [Series<'d>],
    untouched: &'d [(&'d str, usize, Estimate)],
    crossover: Option<&'d Crossover>,
}

impl Drawing<'_> {
    fn draw(&self) -> String {
        let ends = |found: &Estimate| found.interval.unwrap_or((found.mean, found.mean));
        let points = || self.series.iter().flat_map(|line| line.points.iter());
        let estimates = || points().map(|(_, found)| found).chain(self.untouched.iter().map(|(.., found)| found));
        let mut values: Vec<f64> = points().map(|(value, _)| *value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        // Zero has no logarithm.
        let logarithmic = values[0] > 0.0;
        let along = |value: f64| if logarithmic { value.log10() } else { value };
        let low = estimates().map(|found| ends(found).0).fold(f64::INFINITY, f64::min);
        let high = estimates().map(|found| ends(found).1).fold(f64::NEG_INFINITY, f64::max);
        let x = Scale { values: (along(values[0]), along(values[values.len() - 1])), places: (LEFT, RIGHT) };
        // Scores lie between 0 and 1; an interval over few seeds may not.
        let y = Scale { values: (low.max(0.0), high.min(1.0)), places: (BOTTOM, TOP) };
        let mut svg = Svg::new(WIDTH, HEIGHT);
        let mut words = Vec::new();
        if let Some(crossover) = self.crossover {
            if let Some((low, high)) = crossover.ci95_low.zip(crossover.ci95_high) {
                let (from, to) = (x.at(along(low)), x.at(along(high)));
                svg.rect("crossover", (from, TOP), to - from, BOTTOM - TOP);
            }
            if let Some(share) = crossover.share {
                svg.line("frontier", (x.at(along(share)), TOP), (x.at(along(share)), BOTTOM));
            }
            words.push(crossover.sentence.trim_end_matches('.').to_owned());
        }
        for tick in y.ticks(5) {
            svg.line("grid", (LEFT - 8.0, y.at(tick)), (RIGHT, y.at(tick)));
            svg.text("quiet", (LEFT - 12.0, y.at(tick) + 4.0), Anchor::End, &tick_text(tick));
        }
        for value in &values {
            let place = x.at(along(*value));
            svg.line("grid", (place, TOP), (place, BOTTOM));
            svg.text("quiet", (place, BOTTOM + 16.0), Anchor::Middle, &tick_text(*value));
        }
        let scale = if logarithmic { ", logarithmic" } else { "" };
        svg.text("quiet", (RIGHT, HEIGHT - 8.0), Anchor::End, &format!("{}{scale}", self.axis));
        let mut names: Vec<(f64, f64)> = Vec::new();
        let mut name = |svg: &mut Svg, from: (f64, f64), method: &str| {
            let place = free_place(&names, (from.0 + 9.0, from.1 + 4.0), BOTTOM);
            names.push(place);
            svg.text("", place, Anchor::Start, method);
        };
        for line in self.series {
            let place = |(value, found): &(f64, Estimate)| (x.at(along(*value)), y.at(found.mean));
            let class = format!("curve s{}", line.family);
            svg.path(&class, &line.points.iter().map(place).collect::<Vec<_>>());
            for point in &line.points {
                let (px, py) = place(point);
                if let Some((low, high)) = point.1.interval {
                    svg.line(&format!("seed s{}", line.family), (px, y.at(low)), (px, y.at(high)));
                }
                svg.mark(&format!("f{}", line.family), line.family, (px, py), 4.0, &[]);
            }
            let [first, .., last] = line.points.as_slice() else { continue };
            name(&mut svg, place(last), line.method);
            let ends = [first, last].map(|point| number(self.score, point.1.mean));
            words.push(format!("{} from {} to {}", line.method, ends[0], ends[1]));
        }
        for (method, family, found) in self.untouched {
            let height = y.at(found.mean);
            svg.line(&format!("constant s{family}"), (LEFT, height), (RIGHT, height));
            name(&mut svg, (RIGHT, height), method);
            words.push(format!("{method} {}", number(self.score, found.mean)));
        }
        svg.render(&format!("{}: {}.", self.title, words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Paradigm,
        fixtures::{at, head_to_head, seeds},
    };

    const SCORE: &str = "transfer.seen.linear_probe";

    #[test]
    fn a_line_for_each_method_that_was_swept() {
        let mut rows = Vec::new();
        for (share, metric, contrastive) in [(0.01, 0.2, 0.4), (0.1, 0.5, 0.5), (1.0, 0.8, 0.6)] {
            rows.extend(at(
                "labels",
                share,
                seeds("triplet", Paradigm::Metric, SCORE, &[metric, metric + 0.02, metric + 0.01]),
            ));
            rows.extend(at("labels", share, seeds("simclr", Paradigm::Contrastive, SCORE, &[contrastive])));
        }
        rows.extend(at("labels", 1.0, seeds("pixels", Paradigm::Baseline, SCORE, &[0.1])));
        rows = at("batch", 64.0, rows);
        // Another batch at one share does not lie on the line.
        rows.extend(at("labels", 1.0, at("batch", 256.0, seeds("triplet", Paradigm::Metric, SCORE, &[0.9]))));
        let figure = sweeps(&Report { rows, ..Report::default() });
        let titles: Vec<_> = figure.panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, [format!("{SCORE} along batch"), format!("{SCORE} along labels")]);
        let svg = &figure.panels[1].svg;
        assert_eq!(svg.matches("class=\"curve ").count(), 2);
        assert_eq!(svg.matches("class=\"seed s1\"").count(), 3, "intervals of the method with two seeds");
        assert!(svg.contains("triplet from 0.210 to 0.810, simclr from 0.400 to 0.600"), "{svg}");
        assert_eq!(figure.table[3][2], "labels 0.01");
        assert_eq!(figure.table.len(), 1 + 2 + 6);
    }

    #[test]
    fn the_crossover_is_marked() {
        let mut rows = Vec::new();
        for (share, metric, contrastive) in [(0.01, 0.2, 0.4), (1.0, 0.8, 0.6)] {
            rows.extend(at(
                "labels",
                share,
                seeds("triplet", Paradigm::Metric, SCORE, &[metric, metric + 0.02, metric + 0.01]),
            ));
            rows.extend(at("labels", share, seeds("simclr", Paradigm::Contrastive, SCORE, &[contrastive; 3])));
        }
        let mut report = Report { rows, ..Report::default() };
        report.summarize();
        let figure = sweeps(&report);
        // Leads of 0.19 and -0.21: a little before the middle of the ends, 50 and 610.
        let [panel] = figure.panels.as_slice() else { panic!("{:?}", figure.panels) };
        assert!(panel.svg.contains("<path class=\"frontier\" d=\"M316.0"), "{}", panel.svg);
        assert!(panel.svg.contains("class=\"crossover\""), "{}", panel.svg);
        assert!(figure.caption.contains("Metric learning overtakes at about"), "{}", figure.caption);
    }

    /// Where the lead is chance at every share, the whole range is shaded and no line drawn.
    #[test]
    fn no_line_where_neither_leads() {
        let mut rows = Vec::new();
        for (share, contrastive) in [(0.01, [0.5, 0.4, 0.46]), (1.0, [0.4, 0.5, 0.46])] {
            rows.extend(at("labels", share, seeds("triplet", Paradigm::Metric, SCORE, &[0.45; 3])));
            rows.extend(at("labels", share, seeds("simclr", Paradigm::Contrastive, SCORE, &contrastive)));
        }
        let mut report = Report { rows, ..Report::default() };
        report.summarize();
        let figure = sweeps(&report);
        let svg = &figure.panels[0].svg;
        assert!(svg.contains("class=\"crossover\"") && !svg.contains("class=\"frontier\""), "{svg}");
        assert!(figure.caption.contains("Neither family leads anywhere between 1 % and 100 %"), "{}", figure.caption);
    }

    /// Methods that an axis does not touch are level lines, and an axis with zero is not logarithmic.
    #[test]
    fn constants_and_zero() {
        let mut rows = seeds("pixels", Paradigm::Baseline, SCORE, &[0.3, 0.3]);
        for (share, value) in [(0.0, 0.8), (0.2, 0.7), (0.4, 0.5)] {
            rows.extend(at("noise", share, seeds("triplet", Paradigm::Metric, SCORE, &[value, value + 0.01])));
        }
        let figure = sweeps(&Report { rows, ..Report::default() });
        let svg = &figure.panels[0].svg;
        assert_eq!(svg.matches("class=\"constant s0\"").count(), 1, "{svg}");
        assert!(svg.contains(">noise</text>") && svg.contains("pixels 0.300"), "{svg}");
        assert_eq!(svg.matches("class=\"seed s1\"").count(), 3);
        assert_eq!(figure.table.len(), 1 + 3 + 1);
    }

    #[test]
    fn one_setting_is_no_sweep() {
        let mut report = head_to_head();
        report.rows = at("labels", 1.0, report.rows);
        assert!(sweeps(&report).panels.is_empty());
    }
}
