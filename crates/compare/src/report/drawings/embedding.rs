//! What the embeddings look like: similarities and spectra.

use super::{Figure, Panel, row, titled};
use crate::report::{
    FigureSet, Figures, MethodFigures, Similarities,
    format::percent,
    svg::{Anchor, Scale, Svg},
};

const SIDE: f64 = 240.0;
const HEIGHT: f64 = 150.0;

/// The method, with its run where there are several and a word for unseen classes.
fn named(own: &MethodFigures, set: &FigureSet) -> String {
    titled(&own.method, &set.run) + if set.unseen { ", unseen classes" } else { "" }
}

/// Histograms of the similarity of pairs.
pub(super) fn similarities(pictures: &Figures) -> Figure {
    let mut table = vec![row(["method", "measure", "mean of one class", "mean of two classes", "overlap"])];
    let mut panels = Vec::new();
    for set in &pictures.sets {
        for own in &set.methods {
            let Some(found) = &own.similarities else { continue };
            let title = named(own, set);
            let (one, two) = (mean(found, &found.positives), mean(found, &found.negatives));
            let overlap: f64 = found.positives.iter().zip(&found.negatives).map(|(a, b)| a.min(*b)).sum();
            let cells = [format!("{one:.2}"), format!("{two:.2}"), percent((overlap * 100.0).round() / 100.0)];
            table.push(row([&title, &found.measure, &cells[0], &cells[1], &cells[2]]));
            let label = format!(
                "Histogram of {} under {title}: pairs of one class around {one:.2}, pairs of two classes around \
                 {two:.2}.",
                found.measure
            );
            let title = format!("{title}: {}", found.measure);
            panels.push(Panel { svg: histogram(found).render(&label), title });
        }
    }
    let caption = "How similar two test items are, by the measure over each drawing: by cosine similarity more is more \
                   alike, by a distance, as of learners of a metric, less is. Pairs of one class (filled) and of two \
                   classes (outlined), each as shares of its pairs. The less both overlap, the better a threshold tells same from different.";
    Figure { id: "similarities", title: "Similarity of pairs", caption: caption.to_owned(), wide: false, panels, table }
}

/// Mean of a histogram by the middles of its bins.
fn mean(found: &Similarities, shares: &[f64]) -> f64 {
    let width = (found.high - found.low) / shares.len().max(1) as f64;
    shares.iter().enumerate().map(|(i, share)| share * (found.low + width * (i as f64 + 0.5))).sum()
}

fn histogram(found: &Similarities) -> Svg {
    let bins = found.positives.len().max(1);
    let top = found.positives.iter().chain(&found.negatives).fold(0.0f64, |top, share| top.max(*share));
    let x = Scale { values: (found.low, found.high), places: (16.0, SIDE - 16.0) };
    let y = Scale { values: (0.0, top), places: (HEIGHT - 22.0, 8.0) };
    let edge = |bin: usize| x.at(found.low + (found.high - found.low) * bin as f64 / bins as f64);
    let mut svg = Svg::new(SIDE, HEIGHT);
    for (bin, share) in found.positives.iter().enumerate() {
        svg.rect("positive", (edge(bin), y.at(*share)), edge(bin + 1) - edge(bin), y.at(0.0) - y.at(*share));
    }
    let steps = found.negatives.iter().enumerate().flat_map(|(bin, share)| {
        let height = y.at(*share);
        [(edge(bin), height), (edge(bin + 1), height)]
    });
    svg.path("negative", &steps.collect::<Vec<_>>());
    svg.line("axis", (16.0, y.at(0.0)), (SIDE - 16.0, y.at(0.0)));
    for tick in x.ticks(4) {
        svg.text("quiet", (x.at(tick), HEIGHT - 6.0), Anchor::Middle, &format!("{:.1}", tick + 0.0));
    }
    svg
}

/// Singular values, falling.
pub(super) fn spectra(pictures: &Figures) -> Figure {
    let mut table = vec![row(["method", "singular values", "above 10 % of the largest", "above 1 %"])];
    let mut panels = Vec::new();
    for set in pictures.sets.iter().filter(|set| !set.unseen) {
        for own in set.methods.iter().filter(|own| own.spectrum.len() >= 2) {
            let title = titled(&own.method, &set.run);
            let above = |share: f64| own.spectrum.iter().filter(|value| **value > share).count().to_string();
            table.push(row([&title, &own.spectrum.len().to_string(), &above(0.1), &above(0.01)]));
            let label = format!(
                "Singular values of the embeddings of {title}: {} of {} are above a tenth of the largest.",
                above(0.1),
                own.spectrum.len()
            );
            panels.push(Panel { svg: spectrum(&own.spectrum).render(&label), title });
        }
    }
    let caption = "Singular values of the embeddings over the largest one, on a logarithmic scale, in falling order. A \
                   curve that drops early uses few directions: the embedding is collapsing, or it keeps only what \
                   tells the trained classes apart.";
    Figure {
        id: "spectra",
        title: "Spectra of the embeddings",
        caption: caption.to_owned(),
        wide: false,
        panels,
        table,
    }
}

fn spectrum(values: &[f64]) -> Svg {
    // Four decades; what lies below is drawn at the bottom.
    let x = Scale { values: (0.0, (values.len() - 1) as f64), places: (34.0, SIDE - 8.0) };
    let y = Scale { values: (-4.0, 0.0), places: (HEIGHT - 22.0, 8.0) };
    let mut svg = Svg::new(SIDE, HEIGHT);
    for (power, name) in [(0.0, "1"), (-2.0, "0.01"), (-4.0, "1e-4")] {
        svg.line("grid", (34.0, y.at(power)), (SIDE - 8.0, y.at(power)));
        svg.text("quiet", (30.0, y.at(power) + 4.0), Anchor::End, name);
    }
    let points = values.iter().enumerate().map(|(i, value)| (x.at(i as f64), y.at(value.max(1e-9).log10())));
    svg.path("curve s1", &points.collect::<Vec<_>>());
    svg.text("quiet", (SIDE - 8.0, HEIGHT - 6.0), Anchor::End, &format!("{} values", values.len()));
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::figures;

    #[test]
    fn a_panel_for_each_method() {
        let mut pictures = figures();
        let found = similarities(&pictures);
        assert_eq!(found.table[1], ["triplet", "cosine similarity", "0.50", "-0.50", "20 %"]);
        assert!(found.panels[0].svg.contains("class=\"positive\""));
        let found = spectra(&pictures);
        assert_eq!(found.table[1], ["triplet", "3", "2", "3"]);

        pictures.sets.push(FigureSet { unseen: true, ..pictures.sets[0].clone() });
        let found = similarities(&pictures);
        assert_eq!(
            (found.panels.len(), found.panels[2].title.as_str()),
            (4, "triplet, unseen classes: cosine similarity")
        );
        assert_eq!(spectra(&pictures).panels.len(), 2);
    }

    #[test]
    fn no_pictures_no_figures() {
        let none = Figures::default();
        assert!(similarities(&none).panels.is_empty() && spectra(&none).panels.is_empty());
    }
}
