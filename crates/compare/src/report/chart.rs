//! Geometry of the bar chart in the HTML page.

use super::table::{Line, Table, goals};

/// Width of the drawing in its own units.
const WIDTH: f64 = 760.0;
/// Height of a bar.
const BAR: f64 = 12.0;
/// Space between the bars of two methods.
const GAP: f64 = 10.0;
/// Space above the bars for the names of the scores.
const TOP: f64 = 24.0;
/// Space below the bars for the scale.
const BOTTOM: f64 = 24.0;
/// Space right of the bars for their values.
const RIGHT: f64 = 60.0;
/// Width of a character of a label.
const CHAR: f64 = 7.0;
/// Longest label drawn, in characters.
const LONGEST: usize = 36;

/// A horizontal bar chart of shares between 0 and 1.
#[derive(Debug)]
pub(super) struct Chart {
    pub width: f64,
    pub height: f64,
    /// Where the bars begin and the scale has its 0.
    pub left: f64,
    /// Where the bars end at the bottom.
    pub bottom: f64,
    /// Scores drawn, each with the position of its name.
    pub series: Vec<Series>,
    /// Positions and names of the marks of the scale.
    pub ticks: Vec<(f64, String)>,
    /// Positions and names of the methods.
    pub labels: Vec<(f64, String)>,
    pub bars: Vec<Bar>,
}

/// One score of the chart.
#[derive(Debug)]
pub(super) struct Series {
    pub name: String,
    /// Left end of its entry in the key.
    pub x: f64,
}

/// One score of one method.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    /// Index of its score.
    pub series: usize,
    pub y: f64,
    pub height: f64,
    pub width: f64,
    /// Ends of the interval, cut at 0 and 1.
    pub interval: Option<(f64, f64)>,
    /// Left end of the value.
    pub text: f64,
    pub value: f64,
}

/// The chart of a table, if it has a score to draw.
pub(super) fn chart(table: &Table<'_>) -> Option<Chart> {
    let mut columns: Vec<usize> = goals(&table.columns).into_iter().flatten().collect();
    if columns.is_empty() {
        columns.extend(table.columns.iter().position(|column| column.contains('.')));
    }
    if columns.is_empty() {
        return None;
    }
    let longest = table.lines.iter().map(|line| short(line).chars().count()).max().unwrap_or(0);
    let left = CHAR * longest as f64 + 12.0;
    let scale = WIDTH - left - RIGHT;
    let step = BAR * columns.len() as f64 + GAP;
    let bottom = TOP + step * table.lines.len() as f64;
    let mut bars = Vec::new();
    for (i, line) in table.lines.iter().enumerate() {
        for (series, &column) in columns.iter().enumerate() {
            let Some(cell) = line.cells[column] else { continue };
            let x = |value: f64| left + scale * value.clamp(0.0, 1.0);
            let interval = cell.half.map(|half| (x(cell.mean - half), x(cell.mean + half)));
            bars.push(Bar {
                series,
                y: TOP + step * i as f64 + BAR * series as f64,
                height: BAR - 2.0,
                width: x(cell.mean) - left,
                interval,
                text: interval.map_or(x(cell.mean), |(_, high)| high.max(x(cell.mean))) + 6.0,
                value: cell.mean,
            });
        }
    }
    let half_step = BAR * columns.len() as f64 / 2.0;
    let name = |(i, &column): (usize, &usize)| Series {
        name: table.columns[column].clone(),
        x: left + scale / 2.0 * i as f64,
    };
    Some(Chart {
        width: WIDTH,
        height: bottom + BOTTOM,
        left,
        bottom,
        series: columns.iter().enumerate().map(name).collect(),
        ticks: [0.0f64, 0.25, 0.5, 0.75, 1.0].map(|tick| (left + scale * tick, tick.to_string())).into(),
        labels: table
            .lines
            .iter()
            .enumerate()
            .map(|(i, line)| (TOP + step * i as f64 + half_step, short(line)))
            .collect(),
        bars,
    })
}

/// The method's name, cut where it would take the room of the bars.
fn short(line: &Line) -> String {
    if line.label.chars().count() <= LONGEST {
        return line.label.clone();
    }
    line.label.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Paradigm, Report,
        fixtures::{head_to_head, row, seeds},
        table::tables,
    };

    #[test]
    fn bars_of_both_scores() {
        let report = head_to_head();
        let chart = chart(&tables(&report)[0]).unwrap();
        let names: Vec<_> = chart.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["retrieval.seen.map_at_r", "transfer.unseen.linear_probe"]);
        assert_eq!((chart.bars.len(), chart.labels.len(), chart.ticks.len()), (10, 5, 5));
        let scale = chart.ticks[4].0 - chart.left;
        let triplet = &chart.bars[2];
        assert!((triplet.width - 0.8 * scale).abs() < 1e-9);
        let (low, high) = triplet.interval.unwrap();
        assert!(((high - low) / scale - 2.0 * 0.024_841).abs() < 1e-5);
        assert!(chart.bars.iter().all(|bar| bar.y + bar.height <= chart.bottom && bar.text < chart.width));
    }

    #[test]
    fn scores_and_intervals_stay_on_the_scale() {
        let rows = seeds("triplet", Paradigm::Metric, "retrieval.seen.map_at_r", &[0.1, 0.99]);
        let report = Report { rows, ..Report::default() };
        let chart = chart(&tables(&report)[0]).unwrap();
        assert_eq!(chart.bars[0].interval, Some((chart.left, chart.ticks[4].0)));
    }

    #[test]
    fn no_score_no_chart() {
        let report = Report { rows: vec![row("pixels", Paradigm::Baseline, 1, &[])], ..Report::default() };
        assert!(chart(&tables(&report)[0]).is_none());
    }

    #[test]
    fn long_names_are_cut() {
        let method = "m".repeat(50);
        let rows = seeds(&method, Paradigm::Metric, "retrieval.seen.map_at_r", &[0.5]);
        let report = Report { rows, ..Report::default() };
        let label = &chart(&tables(&report)[0]).unwrap().labels[0].1;
        assert!(label.chars().count() == LONGEST && label.ends_with('…'));
    }
}
