//! The figures and pictures of the page as values of its template.

use super::{
    Confused, FigureSet, Figures, MethodFigures, Query, Report, Shown,
    drawings::{self, Figure},
    format::{number, percent, probability, signed},
};
use minijinja::{Value, context};
use std::collections::BTreeSet;

/// Bytes of a picture's rule in the style sheet around its file, at most.
const RULE: usize = 64;

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

/// Style-sheet classes of the small pictures with their files in base64, each picture once: those of the galleries
/// first, then those of the maps, as far as `room`, a number of bytes, goes. Marks of maps without a picture have their
/// names.
pub(super) fn thumbnails(pictures: &Figures, room: usize) -> Vec<Value> {
    let sets = || pictures.sets.iter().enumerate();
    let of_galleries = sets().flat_map(|(number, set)| {
        let queries = set.methods.iter().flat_map(|own| &own.gallery);
        queries.flat_map(|query| query.neighbors.iter().chain([&query.query])).map(move |shown| (number, shown.item))
    });
    let of_maps = sets().flat_map(|(number, set)| set.points.iter().map(move |shown| (number, shown.item)));
    let (mut taken, mut left, mut found) = (BTreeSet::new(), room, Vec::new());
    for (number, item) in of_galleries.chain(of_maps) {
        let set = &pictures.sets[number];
        let Some(png) = set.thumbnails.get(&item) else { continue };
        let bytes = png.base64().len() + RULE;
        if bytes <= left && taken.insert((number, item)) {
            left -= bytes;
            // Only base64 can be in it.
            let data = Value::from_safe_string(png.base64().to_owned());
            found.push(context! { class => set.thumbnail(number, item), data => data });
        }
    }
    found
}

/// Queries with their neighbours, method by method, those of unseen classes beside those of the trained ones; nothing
/// where there are no pictures to show.
pub(super) fn galleries(pictures: &Figures) -> Vec<Value> {
    let mut found: Vec<(&str, &str, Vec<Value>)> = Vec::new();
    for (number, set) in pictures.sets.iter().enumerate().filter(|(_, set)| !set.thumbnails.is_empty()) {
        for own in set.methods.iter().filter(|own| !own.gallery.is_empty()) {
            let part = context! {
                name => if set.unseen { "unseen classes" } else { "trained classes" },
                queries => own.gallery.iter().map(|query| gallery_row(number, set, query)).collect::<Vec<_>>(),
            };
            let names = (set.run.as_str(), own.method.as_str());
            match found.iter_mut().find(|(run, method, _)| (*run, *method) == names) {
                Some((_, _, parts)) => parts.push(part),
                None => found.push((names.0, names.1, vec![part])),
            }
        }
    }
    found.into_iter().map(|(run, method, parts)| context! { run => run, method => method, parts => parts }).collect()
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
                part => if set.unseen { "unseen" } else { "trained" },
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
        context! {
            run => comparison.run.as_str(),
            score => comparison.score.as_str(),
            best => comparison.best.as_str(),
            method => comparison.method.as_str(),
            lead => signed(comparison.lead),
            interval => comparison.interval_text(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Png, fixtures::figures};

    #[test]
    fn pictures_stay_within_their_bytes_and_galleries_come_first() {
        let mut pictures = figures();
        let set = &mut pictures.sets[0];
        // Three quarters of the room each, in base64; the query's neighbours come first.
        let large = || Png::new(&[0; 9_000]);
        set.thumbnails = [(3, large()), (7, large()), (9, Png::new(&[1, 2, 3])), (11, Png::new(&[4]))].into();
        set.points.iter_mut().for_each(|point| point.item = 9);
        let shown: Vec<String> =
            thumbnails(&pictures, 16_000).iter().map(|thumb| thumb.get_attr("class").unwrap().to_string()).collect();
        // Item 3, the query, has no room left; nothing shows item 11.
        assert_eq!(shown, ["t0-7", "t0-9"]);
    }

    #[test]
    fn unseen_classes_stand_beside_the_trained_ones() {
        let mut pictures = figures();
        let mut other = FigureSet { unseen: true, ..pictures.sets[0].clone() };
        other.methods.remove(0);
        pictures.sets.push(other);
        let found = galleries(&pictures);
        let names = |gallery: &Value| -> Vec<String> {
            let parts = gallery.get_attr("parts").unwrap();
            parts.try_iter().unwrap().map(|part| part.get_attr("name").unwrap().to_string()).collect()
        };
        assert_eq!(found.len(), 2);
        assert_eq!(names(&found[0]), ["trained classes"]);
        assert_eq!(names(&found[1]), ["trained classes", "unseen classes"]);
    }
}
