//! What the embeddings look like: maps, similarities, spectra.

use super::{Figure, Panel, row, titled};
use crate::report::{
    FigureSet, Figures, MethodFigures, Shown, Similarities,
    format::percent,
    svg::{Anchor, Scale, Svg},
};

const SIDE: f64 = 240.0;
const HEIGHT: f64 = 150.0;
/// Colours of classes; more classes take them again with another shape.
const COLORS: usize = 10;

/// Most marks in all maps of a page: about 2 MB. A page over many runs shows every second item, or fewer.
const MARKS: usize = 24_000;

/// Maps by t-SNE and by principal components, of the trained and of the unseen classes.
pub(super) fn maps(pictures: &Figures) -> Vec<Figure> {
    let all = pictures.sets.iter().flat_map(|set| &set.methods);
    let step = all.map(|own| own.map.len() + own.tsne.len()).sum::<usize>().div_ceil(MARKS).max(1);
    let part = |unseen: bool| {
        let sets: Vec<_> = pictures.sets.iter().enumerate().filter(|(_, set)| set.unseen == unseen).collect();
        [neighborhoods(&sets, unseen, step), components(&sets, unseen, step)]
    };
    [part(false), part(true)].into_iter().flatten().collect()
}

/// A set with its place in the page.
type Placed<'a> = (usize, &'a FigureSet);

/// What every caption of a map says.
const HOW_TO_READ: &str = "A colour and shape for each class. Point at a mark for its picture and to find it in the \
                           other maps.";

fn neighborhoods(sets: &[Placed<'_>], unseen: bool, step: usize) -> Figure {
    let mut table = vec![row(["method", "nearest mark of the same class"])];
    let mut panels = Vec::new();
    for &(number, set) in sets {
        panels.extend(key(set).filter(|_| set.methods.iter().any(|own| !own.tsne.is_empty())));
        for own in set.methods.iter().filter(|own| !own.tsne.is_empty()) {
            let title = titled(&own.method, &set.run);
            let share = same_class(&own.tsne, &set.points);
            let label = format!(
                "Map of {} test items under {title} by t-SNE: the nearest mark of {share} is of the same class.",
                own.tsne.len().div_ceil(step)
            );
            table.push(row([&title, &share]));
            panels.push(Panel { svg: map(number, set, &own.tsne, step).render(&label), title });
        }
    }
    let (id, title, which) = match unseen {
        false => ("maps-tsne", "Maps by t-SNE: trained classes", "of the trained classes"),
        true => ("maps-unseen-tsne", "Maps by t-SNE: unseen classes", "of classes that were kept from training"),
    };
    let caption = format!(
        "The same test items {which} under every method, laid out by t-SNE so that neighbours stay neighbours. \
         {HOW_TO_READ} Groups that are apart here are apart in the embedding; how far apart, and how large a group is, \
         means nothing."
    );
    Figure { id, title, caption, wide: false, panels, table }
}

fn components(sets: &[Placed<'_>], unseen: bool, step: usize) -> Figure {
    let heading = ["method", "variance along the first axis", "along the second", "nearest mark of the same class"];
    let mut table = vec![row(heading)];
    let mut panels = Vec::new();
    for &(number, set) in sets {
        panels.extend(key(set).filter(|_| set.methods.iter().any(|own| !own.map.is_empty())));
        for own in set.methods.iter().filter(|own| !own.map.is_empty()) {
            let [first, second] = explained(own);
            let title = titled(&own.method, &set.run);
            let share = same_class(&own.map, &set.points);
            let label = format!(
                "Map of {} test items under {title}: two principal components with {} of the variance.",
                own.map.len().div_ceil(step),
                percent(first + second)
            );
            table.push(row([&title, &percent(first), &percent(second), &share]));
            panels.push(Panel { svg: map(number, set, &own.map, step).render(&label), title });
        }
    }
    let (id, title, which) = match unseen {
        false => ("maps", "Maps by principal components: trained classes", "of the trained classes"),
        true => {
            let title = "Maps by principal components: unseen classes";
            ("maps-unseen", title, "of classes that were kept from training")
        }
    };
    let caption = format!(
        "The same test items {which} under every method, by their first two principal components. {HOW_TO_READ} \
         Distances are true, but two axes hold a part of the variance only: classes that overlap here may still be \
         apart."
    );
    Figure { id, title, caption, wide: false, panels, table }
}

/// The classes with their marks, where they are few enough to tell apart.
fn key(set: &FigureSet) -> Option<Panel> {
    if set.classes.len() > 2 * COLORS {
        return None;
    }
    let shown: Vec<usize> = (0..set.classes.len()).filter(|c| set.points.iter().any(|p| p.class == *c)).collect();
    // Two columns where one would be higher than a map.
    let rows = if shown.len() > 12 { shown.len().div_ceil(2) } else { shown.len() };
    let mut svg = Svg::new(SIDE, SIDE);
    for (at, class) in shown.iter().enumerate() {
        let (x, y) = (14.0 + SIDE / 2.0 * (at / rows.max(1)) as f64, 18.0 + 18.0 * (at % rows.max(1)) as f64);
        svg.mark(&format!("c{}", class % COLORS), class / COLORS, (x, y), 4.0, &[]);
        svg.text("", (x + 12.0, y + 4.0), Anchor::Start, set.class(*class));
    }
    let names: Vec<&str> = shown.iter().map(|class| set.class(*class)).collect();
    let label = format!("The classes of the maps: {}.", names.join(", "));
    Some(Panel { svg: svg.render(&label), title: titled("classes", &set.run) })
}

/// Share of the points whose nearest other point is of their class.
fn same_class(points: &[[f32; 2]], shown: &[Shown]) -> String {
    let square = |a: &[f32; 2], b: &[f32; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let nearest = |(at, point): (usize, &[f32; 2])| {
        let others = points.iter().enumerate().filter(|(other, _)| *other != at);
        others.min_by(|a, b| square(point, a.1).total_cmp(&square(point, b.1))).map(|(other, _)| (at, other))
    };
    let class = |at: usize| shown.get(at).map(|shown| shown.class);
    let pairs: Vec<(usize, usize)> = points.iter().enumerate().filter_map(nearest).collect();
    let same = pairs.iter().filter(|(at, other)| class(*at) == class(*other)).count();
    percent((100.0 * same as f64 / pairs.len().max(1) as f64).round() / 100.0)
}

/// Shares of variance along the two axes of a map.
fn explained(own: &MethodFigures) -> [f64; 2] {
    [0, 1].map(|axis| own.explained.get(axis).copied().unwrap_or(0.0))
}

/// The method, with its run where there are several and a word for unseen classes.
fn named(own: &MethodFigures, set: &FigureSet) -> String {
    titled(&own.method, &set.run) + if set.unseen { ", unseen classes" } else { "" }
}

fn map(number: usize, set: &FigureSet, points: &[[f32; 2]], step: usize) -> Svg {
    let most = points.iter().flatten().fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = Scale { values: (-f64::from(most), f64::from(most)), places: (8.0, SIDE - 8.0) };
    let mut svg = Svg::new(SIDE, SIDE);
    for (point, shown) in points.iter().zip(&set.points).step_by(step) {
        let place = (scale.at(f64::from(point[0])), SIDE - scale.at(f64::from(point[1])));
        let class = format!("c{}", shown.class % COLORS);
        let item = format!("{number}-{}", shown.item);
        let attributes = [("data-item", item.as_str()), ("data-name", set.class(shown.class))];
        svg.mark(&class, shown.class / COLORS, place, 2.6, &attributes);
    }
    svg
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
            panels.push(Panel { svg: histogram(found).render(&label), title });
        }
    }
    let caption = "How similar two test items are: pairs of one class (filled) and of two classes (outlined), each as \
                   shares of its pairs. The less both overlap, the better a threshold tells same from different.";
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
        let pictures = figures();
        let maps = maps(&pictures);
        let ids: Vec<_> = maps.iter().map(|map| (map.id, map.panels.len(), map.table.len())).collect();
        assert_eq!(ids, [("maps-tsne", 3, 3), ("maps", 3, 3), ("maps-unseen-tsne", 0, 1), ("maps-unseen", 0, 1)]);
        for map in &maps[..2] {
            let [key, svg] = [0, 1].map(|panel| &map.panels[panel].svg);
            assert!(key.contains(">cat</text>") && key.contains("The classes of the maps: cat, &lt;script&gt;dog."));
            assert_eq!(svg.matches("data-item=").count(), pictures.sets[0].points.len());
            assert!(svg.contains("data-item=\"0-7\" data-name=\"&lt;script&gt;dog\""), "{svg}");
        }
        assert_eq!(maps[0].table[1], ["triplet", "67 %"]);
        assert_eq!(maps[1].table[1], ["triplet", "60 %", "25 %", "67 %"]);
        let found = similarities(&pictures);
        assert_eq!(found.table[1], ["triplet", "cosine similarity", "0.50", "-0.50", "20 %"]);
        assert!(found.panels[0].svg.contains("class=\"positive\""));
        let found = spectra(&pictures);
        assert_eq!(found.table[1], ["triplet", "3", "2", "3"]);
    }

    #[test]
    fn unseen_classes_have_maps_of_their_own() {
        let mut pictures = figures();
        let unseen = FigureSet { unseen: true, ..pictures.sets[0].clone() };
        pictures.sets.push(unseen);
        let maps = maps(&pictures);
        assert!(maps.iter().all(|map| map.panels.len() == 3));
        // Items of the second set are others, whatever their index.
        assert!(maps[3].panels[1].svg.contains("data-item=\"1-7\""));
        let found = similarities(&pictures);
        assert_eq!((found.panels.len(), found.panels[2].title.as_str()), (4, "triplet, unseen classes"));
        assert_eq!(spectra(&pictures).panels.len(), 2);
    }

    #[test]
    fn many_maps_show_fewer_marks() {
        let mut pictures = figures();
        let own = &mut pictures.sets[0].methods[0];
        own.map = vec![[1.0, 2.0]; MARKS];
        pictures.sets[0].points = vec![pictures.sets[0].points[0]; MARKS];
        let map = maps(&pictures).swap_remove(1);
        assert_eq!(map.panels[1].svg.matches("data-item=").count(), MARKS / 2);
        assert!(map.panels[1].svg.contains("Map of 12000 test items"));
    }

    #[test]
    fn no_pictures_no_figures() {
        let none = Figures::default();
        assert!(maps(&none).iter().all(|map| map.panels.is_empty()) && similarities(&none).panels.is_empty());
        assert!(spectra(&none).panels.is_empty());
        let mut flat = figures();
        for own in &mut flat.sets[0].methods {
            own.map.clear();
            own.tsne.clear();
        }
        assert!(maps(&flat).iter().all(|map| map.panels.is_empty()));
    }
}
