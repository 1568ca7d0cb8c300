//! The figures of the page. Each stands on its own: a caption that says what to see, one or several panels, and the
//! numbers behind them as a table.

mod cost;
mod curves;
mod embedding;
mod ranks;

use super::{Figures, Paradigm, Report};

/// One figure.
#[derive(Debug)]
pub(super) struct Figure {
    /// Its anchor in the page.
    pub id: &'static str,
    pub title: &'static str,
    pub caption: String,
    /// Whether a panel takes the whole width; else they stand side by side.
    pub wide: bool,
    pub panels: Vec<Panel>,
    /// The numbers behind the panels, the first row the heading.
    pub table: Vec<Vec<String>>,
}

/// One drawing of a figure.
#[derive(Debug)]
pub(super) struct Panel {
    pub title: String,
    /// The drawing, already escaped.
    pub svg: String,
}

/// All figures that have something to show, in the order of the page.
pub(super) fn figures(report: &Report, pictures: &Figures) -> Vec<Figure> {
    let mut figures = vec![ranks::ranks(report), cost::cost(report), curves::curves(report)];
    figures.extend([embedding::maps(pictures), embedding::similarities(pictures), embedding::spectra(pictures)]);
    figures.retain(|figure| !figure.panels.is_empty());
    figures
}

/// Place of a family among shapes and colours.
fn family(paradigm: Paradigm) -> usize {
    match paradigm {
        Paradigm::Baseline => 0,
        Paradigm::Metric => 1,
        Paradigm::Contrastive => 2,
        Paradigm::Hybrid => 3,
    }
}

/// A heading and the run behind it, where there are several.
fn titled(title: &str, run: &str) -> String {
    if run.is_empty() { title.to_owned() } else { format!("{run}: {title}") }
}

/// A row of a table.
fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}
