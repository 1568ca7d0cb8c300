//! The figures and pictures of the page as values of its template.

use super::{
    Confused, FigureSet, Figures, MethodFigures, Query, Report, Shown,
    drawings::{self, Figure},
    format::{interval, number, percent, probability, signed},
};
use minijinja::{Value, context};

/// The drawings, with their tables.
pub(super) fn figures(report: &Report, pictures: &Figures) -> Vec<Value> {
    let figure = |figure: &Figure| {
        let panels = figure.panels.iter().map(|panel| {
            // The writer of SVG has escaped everything in it.
            context! { title => panel.title.as_str(), svg => Value::from_safe_string(panel.svg.clone()) }
        });
        context! {
            id => figure.id,
            title => figure.title,
            caption => figure.caption.as_str(),
            wide => figure.wide,
            panels => panels.collect::<Vec<_>>(),
            heading => figure.table.first().cloned(),
            rows => figure.table.iter().skip(1).cloned().collect::<Vec<_>>(),
        }
    };
    drawings::figures(report, pictures).iter().map(figure).collect()
}

/// Style-sheet classes of the small pictures with their files in base64, each picture once.
pub(super) fn thumbnails(pictures: &Figures) -> Vec<Value> {
    let of_set = |(number, set): (usize, &FigureSet)| {
        let item = |(item, png): (&usize, &super::Png)| {
            // Only base64 can be in it.
            context! { class => set.thumbnail(number, *item), data => Value::from_safe_string(png.base64().to_owned()) }
        };
        set.thumbnails.iter().map(item).collect::<Vec<_>>()
    };
    pictures.sets.iter().enumerate().flat_map(of_set).collect()
}

/// Queries with their neighbours, method by method; nothing where there are no pictures to show.
pub(super) fn galleries(pictures: &Figures) -> Vec<Value> {
    let with_pictures = pictures.sets.iter().enumerate().filter(|(_, set)| !set.thumbnails.is_empty());
    let of_set = |(number, set): (usize, &FigureSet)| {
        let method = |own: &MethodFigures| {
            context! {
                run => set.run.as_str(),
                method => own.method.as_str(),
                queries => own.gallery.iter().map(|query| gallery_row(number, set, query)).collect::<Vec<_>>(),
            }
        };
        set.methods.iter().filter(|own| !own.gallery.is_empty()).map(method).collect::<Vec<_>>()
    };
    with_pictures.flat_map(of_set).collect()
}

fn gallery_row(number: usize, set: &FigureSet, query: &Query) -> Value {
    let neighbor = |shown: &Shown| {
        context! {
            right => shown.class == query.query.class,
            name => set.class(shown.class),
            thumb => set.thumbnail(number, shown.item),
        }
    };
    context! {
        place => query.place.as_str(),
        score => number_of(query.score),
        name => set.class(query.query.class),
        thumb => set.thumbnail(number, query.query.item),
        neighbors => query.neighbors.iter().map(neighbor).collect::<Vec<_>>(),
    }
}

fn number_of(score: f64) -> String {
    number("retrieval.seen.map_at_r", score)
}

/// Which classes are confused, one line for each pair.
pub(super) fn confusions(pictures: &Figures) -> Vec<Value> {
    let of_set = |set: &FigureSet| {
        let line = |own: &MethodFigures, pair: &Confused| {
            let share = if pair.of == 0 { 0.0 } else { pair.count as f64 / pair.of as f64 };
            context! {
                run => set.run.as_str(),
                method => own.method.as_str(),
                class => set.class(pair.class),
                taken_for => set.class(pair.taken_for),
                share => percent((share * 100.0).round() / 100.0),
                count => format!("{} of {}", pair.count, pair.of),
            }
        };
        let of_method = |own: &MethodFigures| own.confused.iter().map(|pair| line(own, pair)).collect::<Vec<_>>();
        set.methods.iter().flat_map(of_method).collect::<Vec<_>>()
    };
    pictures.sets.iter().flat_map(of_set).collect()
}

/// The best of each goal against every other.
pub(super) fn comparisons(report: &Report) -> Vec<Value> {
    let line = |comparison: &super::Comparison| {
        let ends = comparison.ci95_low.zip(comparison.ci95_high);
        context! {
            run => comparison.run.as_str(),
            score => comparison.score.as_str(),
            best => comparison.best.as_str(),
            method => comparison.method.as_str(),
            lead => signed(comparison.lead),
            interval => ends.map_or_else(|| "-".to_owned(), |(low, high)| interval(low, high)),
            p => comparison.p_holm.map_or_else(|| "-".to_owned(), probability),
            outcome => comparison.outcome.name(),
            seeds => comparison.seeds_needed.map_or_else(|| "-".to_owned(), |seeds| seeds.to_string()),
        }
    };
    report.comparisons.iter().map(line).collect()
}

/// The intervals over queries and over classes of every row that has them.
pub(super) fn bootstraps(report: &Report) -> Vec<Value> {
    let ends = |score: &str, [low, high]: [f64; 2]| format!("{} to {}", number(score, low), number(score, high));
    let rows = report.rows.iter().flat_map(|row| row.bootstrap.iter().map(move |(score, found)| (row, score, found)));
    rows.map(|(row, score, found)| {
        context! {
            run => row.run.as_str(),
            method => row.method.as_str(),
            seed => row.seed,
            score => score.as_str(),
            value => row.value(score).map_or_else(|| "-".to_owned(), |value| number(score, value)),
            queries => ends(score, found.queries),
            classes => found.classes.map_or_else(|| "-".to_owned(), |classes| ends(score, classes)),
        }
    })
    .collect()
}
