//! Quality against training time, with the frontier.

use super::{Figure, Panel, family, free_place, row, titled};
use crate::report::{
    Report,
    format::number,
    svg::{Anchor, Scale, Svg, tick_text},
    table::{Line, Table, goals, tables},
};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
/// Space for the scales and the names of the rightmost marks.
const MARGIN: (f64, f64, f64, f64) = (20.0, 150.0, 40.0, 50.0);
/// Training that takes less is drawn here: the scale is logarithmic.
const SHORTEST: f64 = 0.1;

/// A method with its time and its score.
struct Point<'a> {
    name: &'a str,
    family: usize,
    seconds: f64,
    score: f64,
}

pub(super) fn cost(report: &Report) -> Figure {
    let mut panels = Vec::new();
    let mut lines = vec![row(["score", "method", "mean score", "training time", "frontier"])];
    for table in tables(report) {
        for column in goals(&table.columns).into_iter().flatten() {
            let mut points = points(&table, column);
            if points.len() < 2 {
                continue;
            }
            points.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(b.score.total_cmp(&a.score)));
            let score = &table.columns[column];
            let title = titled(score, table.run);
            let frontier = frontier(&points);
            for (i, point) in points.iter().enumerate() {
                let on = if frontier.contains(&i) { "yes" } else { "no" };
                let (value, time) = (number(score, point.score), number("train_seconds", point.seconds));
                lines.push(row([&title, point.name, &value, &time, on]));
            }
            panels.push(Panel { svg: draw(&points, &frontier, &title), title });
        }
    }
    let caption = "Each mark is a method: the further up the better, the further left the cheaper. The line joins \
                   those that no other method beats at both (the frontier). Discs are baselines, squares metric, \
                   triangles contrastive, diamonds hybrid. Time is that of training alone; less than \
                   0.1 s is drawn at 0.1 s.";
    Figure {
        id: "cost",
        title: "Quality against training time",
        caption: caption.to_owned(),
        wide: true,
        panels,
        table: lines,
    }
}

fn points<'t>(table: &'t Table<'_>, column: usize) -> Vec<Point<'t>> {
    let Some(time) = table.columns.iter().position(|name| name == "train_seconds") else { return Vec::new() };
    let point = |line: &'t Line| {
        let (score, seconds) = (line.cells[column]?.mean, line.cells[time]?.mean);
        Some(Point { name: &line.label, family: family(line.paradigm), seconds, score })
    };
    table.lines.iter().filter_map(point).collect()
}

/// Indices of the points, which are sorted by time, that score more than every cheaper one.
fn frontier(points: &[Point<'_>]) -> Vec<usize> {
    let mut best = f64::NEG_INFINITY;
    let mut found = Vec::new();
    for (i, point) in points.iter().enumerate() {
        if point.score > best {
            best = point.score;
            found.push(i);
        }
    }
    found
}

fn draw(points: &[Point<'_>], frontier: &[usize], title: &str) -> String {
    let (top, right, bottom, left) = MARGIN;
    let time = |point: &Point<'_>| point.seconds.max(SHORTEST).log10();
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let times = range(&mut points.iter().map(time));
    let scores = range(&mut points.iter().map(|point| point.score));
    let room = 0.05 * (scores.1 - scores.0).max(0.01);
    let x = Scale { values: times, places: (left, WIDTH - right) };
    let y = Scale { values: (scores.0 - room, scores.1 + room), places: (HEIGHT - bottom, top) };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    for tick in y.ticks(5) {
        svg.line("grid", (left - 8.0, y.at(tick)), (WIDTH - right, y.at(tick)));
        svg.text("quiet", (left - 12.0, y.at(tick) + 4.0), Anchor::End, &tick_text(tick));
    }
    // Whole decades, and about the middle of each.
    let decades = (times.0.floor() as i32)..=(times.1.ceil() as i32);
    for seconds in decades.flat_map(|decade| [1.0f64, 3.0].map(|factor| factor * 10f64.powi(decade))) {
        let place = seconds.log10();
        if place >= times.0 - 1e-9 && place <= times.1 + 1e-9 {
            svg.line("grid", (x.at(place), top), (x.at(place), HEIGHT - bottom));
            svg.text(
                "quiet",
                (x.at(place), HEIGHT - bottom + 16.0),
                Anchor::Middle,
                &format!("{} s", tick_text(seconds)),
            );
        }
    }
    svg.text("quiet", (WIDTH - right, HEIGHT - 6.0), Anchor::End, "training time, logarithmic");
    let place = |point: &Point<'_>| (x.at(time(point)), y.at(point.score));
    svg.path("frontier", &frontier.iter().map(|i| place(&points[*i])).collect::<Vec<_>>());
    let mut names: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let (px, py) = place(point);
        svg.mark(&format!("f{}", point.family), point.family, (px, py), 5.0, &[]);
        let name = free_place(&names, (px + 9.0, py + 4.0), HEIGHT - bottom);
        names.push(name);
        svg.text("", name, Anchor::Start, point.name);
    }
    let best: Vec<_> = frontier.iter().map(|i| points[*i].name).collect();
    svg.render(&format!(
        "{title} against training time of {} methods. On the frontier: {}.",
        points.len(),
        best.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::head_to_head;

    #[test]
    fn the_frontier_is_what_nothing_cheaper_beats() {
        let point = |seconds, score| Point { name: "m", family: 0, seconds, score };
        let points = [point(0.0, 0.3), point(1.0, 0.2), point(2.0, 0.5), point(2.0, 0.4), point(9.0, 0.6)];
        assert_eq!(frontier(&points), [0, 2, 4]);
    }

    #[test]
    fn a_panel_for_each_goal() {
        let mut report = head_to_head();
        for (i, row) in report.rows.iter_mut().enumerate() {
            row.cost.train_seconds = (i / 3) as f64 * 20.0;
        }
        let figure = cost(&report);
        assert_eq!((figure.panels.len(), figure.table.len()), (2, 11));
        let svg = &figure.panels[0].svg;
        assert!(svg.contains("class=\"frontier\"") && svg.contains(">triplet</text>") && svg.contains(">10 s</text>"));
        assert_eq!(figure.table[1], ["retrieval.seen.map_at_r", "pixels", "0.300", "0.0 s", "yes"]);
        assert_eq!(figure.table[3], ["retrieval.seen.map_at_r", "siamese", "0.700", "40.0 s", "no"]);
    }
}
