//! The figures of the page. Each stands on its own: a caption that says what to see, one or several panels, and the
//! numbers behind them as a table.

mod cost;
mod curves;
mod embedding;
mod maps;
mod ranks;
mod sweeps;

use super::{Figures, Paradigm, Report};

/// Height of a name in a drawing.
const NAME: f64 = 13.0;

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
    let mut figures = vec![ranks::ranks(report), sweeps::sweeps(report), cost::cost(report), curves::curves(report)];
    figures.push(curves::monitors(report));
    figures.extend(maps::maps(pictures));
    figures.extend([embedding::similarities(pictures), embedding::spectra(pictures)]);
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

/// The place nearest below or above `at`, and above `bottom`, where a name does not run into those before.
fn free_place(taken: &[(f64, f64)], at: (f64, f64), bottom: f64) -> (f64, f64) {
    let free = |y: f64| taken.iter().all(|other| (other.0 - at.0).abs() > 110.0 || (other.1 - y).abs() >= NAME);
    let shifts = (0..40).flat_map(|i| [f64::from(i), -f64::from(i)]).map(|i| at.1 + 0.5 * NAME * i);
    let inside = |y: &f64| *y > NAME && *y < bottom;
    (at.0, shifts.filter(inside).find(|y| free(*y)).unwrap_or(at.1))
}

/// A heading and the run behind it, where there are several.
fn titled(title: &str, run: &str) -> String {
    if run.is_empty() { title.to_owned() } else { format!("{run}: {title}") }
}

/// A row of a table.
fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_overlap() {
        let mut names: Vec<(f64, f64)> = Vec::new();
        for _ in 0..8 {
            let next = free_place(&names, (100.0, 100.0), 300.0);
            assert!(names.iter().all(|(_, y)| (y - next.1).abs() >= NAME), "{names:?}");
            assert!(next.1 > 0.0 && next.1 < 300.0);
            names.push(next);
        }
        assert_eq!(names[0], (100.0, 100.0));
    }
}
