//! Learning curves: training loss and online monitors of every epoch, each method on its own scale.

use super::{Figure, Panel, family, row, titled};
use crate::report::{
    Report,
    budget::{falling, mean_curve},
    groups::{Group, groups, label},
    svg::{Anchor, Scale, Svg, tick_text},
};
use std::collections::BTreeSet;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 130.0;

pub(super) fn curves(report: &Report) -> Figure {
    let groups = groups(&report.rows);
    let mut table = vec![row(["method", "epochs", "first loss", "last loss", "at the end"])];
    let mut panels = Vec::new();
    for group in &groups {
        let curves = losses(group);
        let curve = mean_curve(&curves);
        let [first, .., last] = curve.as_slice() else { continue };
        let own: Vec<_> =
            groups.iter().filter(|other| (other.run, other.method) == (group.run, group.method)).collect();
        // Trained once for all values that were swept: drawn once.
        let once = own.iter().all(|other| losses(other) == curves);
        if once && !std::ptr::eq(own[0], group) {
            continue;
        }
        let name = if once { group.method.to_owned() } else { label(group, &groups) };
        let title = titled(&name, group.run);
        let end = if falling(&curve) { "still falling" } else { "levelled off" };
        let (first, last) = (format!("{first:.3}"), format!("{last:.3}"));
        table.push(row([&title, &curve.len().to_string(), &first, &last, end]));
        let label = format!("Training loss of {title}: {first} after the first epoch, {last} after the last; {end}.");
        panels.push(Panel { svg: draw(group, &curve, &curves, end).render(&label), title });
    }
    let caption = "Mean training loss of each epoch, averaged over seeds (thin lines: single seeds). Losses of \
                   different methods have different units: compare shapes, not heights. Where a loss was still \
                   falling, more epochs may change the order.";
    Figure { id: "curves", title: "Learning curves", caption: caption.to_owned(), wide: false, panels, table }
}

/// The losses of each seed that has two epochs.
fn losses<'g>(group: &'g Group<'_>) -> Vec<&'g [f64]> {
    group.rows().iter().map(|row| row.curve.as_slice()).filter(|curve| curve.len() >= 2).collect()
}

/// What the online monitors read, if there were any.
pub(super) fn monitors(report: &Report) -> Figure {
    let groups = groups(&report.rows);
    let mut table = vec![row(["method", "monitor", "epochs", "first accuracy", "last accuracy"])];
    let mut panels = Vec::new();
    for group in &groups {
        let names: BTreeSet<&String> = group.rows().iter().flat_map(|row| row.monitors.keys()).collect();
        for name in names {
            let values = group.rows().iter().filter_map(|row| row.monitors.get(name)).map(Vec::as_slice);
            let seeds: Vec<&[f64]> = values.filter(|values| values.len() >= 2).collect();
            let mean = mean_curve(&seeds);
            let [first, .., last] = mean.as_slice() else { continue };
            let method = titled(&label(group, &groups), group.run);
            let (first, last) = (format!("{first:.3}"), format!("{last:.3}"));
            table.push(row([&method, name, &mean.len().to_string(), &first, &last]));
            let label = format!("{name} of {method}: {first} after the first epoch, {last} after the last.");
            let svg = draw(group, &mean, &seeds, &last).render(&label);
            panels.push(Panel { svg, title: format!("{method}, {name}") });
        }
    }
    let caption = "Accuracy of classifiers that read the encoder after each epoch without touching it, averaged over \
                   seeds (thin lines: single seeds): nearest neighbours, and a linear classifier trained on the way, \
                   on validation images and on the batches it learns from.";
    Figure { id: "monitors", title: "Monitors", caption: caption.to_owned(), wide: false, panels, table }
}

fn draw(group: &Group<'_>, curve: &[f64], seeds: &[&[f64]], end: &str) -> Svg {
    let all = || seeds.iter().flat_map(|seed| seed.iter().copied());
    let values = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let x = Scale { values: (0.0, (curve.len() - 1) as f64), places: (42.0, WIDTH - 8.0) };
    let y = Scale { values, places: (HEIGHT - 22.0, 10.0) };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    for tick in y.ticks(3) {
        svg.line("grid", (42.0, y.at(tick)), (WIDTH - 8.0, y.at(tick)));
        svg.text("quiet", (38.0, y.at(tick) + 4.0), Anchor::End, &tick_text(tick));
    }
    let points = |values: &[f64]| -> Vec<(f64, f64)> {
        values.iter().take(curve.len()).enumerate().map(|(epoch, loss)| (x.at(epoch as f64), y.at(*loss))).collect()
    };
    let color = family(group.paradigm);
    if seeds.len() > 1 {
        seeds.iter().for_each(|seed| svg.path(&format!("seed s{color}"), &points(seed)));
    }
    svg.path(&format!("curve s{color}"), &points(curve));
    svg.text("quiet", (42.0, HEIGHT - 6.0), Anchor::Start, &format!("{} epochs", curve.len()));
    svg.text("quiet", (WIDTH - 8.0, HEIGHT - 6.0), Anchor::End, end);
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::head_to_head;

    #[test]
    fn methods_that_train_have_a_curve() {
        let mut report = head_to_head();
        for row in report.rows.iter_mut().filter(|row| row.method == "simclr" || row.method == "triplet") {
            row.curve = if row.method == "simclr" { vec![4.0, 3.0, 2.0, 1.0] } else { vec![1.0, 0.2, 0.1, 0.1] };
        }
        let figure = curves(&report);
        let titles: Vec<_> = figure.panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["triplet", "simclr"]);
        assert_eq!(figure.table[1], ["triplet", "4", "1.000", "0.100", "levelled off"]);
        assert_eq!(figure.table[2][4], "still falling");
        assert_eq!(figure.panels[0].svg.matches("class=\"seed s1\"").count(), 3);
        assert!(figure.panels[1].svg.contains("class=\"curve s2\""));
        assert!(curves(&head_to_head()).panels.is_empty());
    }

    /// Of a sweep along the labels, a method that trains without them has one curve.
    #[test]
    fn what_is_trained_once_is_drawn_once() {
        let mut report = head_to_head();
        report.rows.retain(|row| row.method == "simclr" || row.method == "triplet");
        report.rows.iter_mut().for_each(|row| row.curve = vec![2.0, 1.0]);
        let mut few = report.rows.clone();
        for (rows, share) in [(&mut report.rows, 1.0), (&mut few, 0.1)] {
            rows.iter_mut().for_each(|row| _ = row.axes.insert("labels".into(), share));
        }
        few.iter_mut().filter(|row| row.method == "triplet").for_each(|row| row.curve = vec![2.0, 0.5]);
        report.rows.extend(few);
        let figure = curves(&report);
        let titles: Vec<_> = figure.panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["triplet labels=0.1", "triplet labels=1", "simclr"]);
    }

    #[test]
    fn every_monitor_of_a_method_has_its_curve() {
        let mut report = head_to_head();
        assert!(monitors(&report).panels.is_empty());
        for row in report.rows.iter_mut().filter(|row| row.method == "simclr") {
            row.monitors.insert("knn.validation".into(), vec![0.25, 0.5, 0.75]);
            row.monitors.insert("linear.validation".into(), vec![0.5, 0.5, 0.5]);
        }
        let figure = monitors(&report);
        let titles: Vec<_> = figure.panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["simclr, knn.validation", "simclr, linear.validation"]);
        assert_eq!(figure.table[1], ["simclr", "knn.validation", "3", "0.250", "0.750"]);
        assert!(figure.panels[0].svg.contains("class=\"curve s2\""));
    }
}
