//! Maps of the embeddings: the same items under every method.

use super::{Figure, Panel, row, titled};
use crate::report::{
    FigureSet, Figures, MethodFigures, Shown,
    format::percent,
    svg::{Anchor, Scale, Svg},
};

const SIDE: f64 = 240.0;
/// Colours of classes; more classes take them again with other shapes.
const COLORS: usize = 10;
/// Most marks in all maps of a page: about 1.4 MB. A page over many runs shows every second item, or fewer.
const MARKS: usize = 16_000;

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
const HOW_TO_READ: &str = "A colour and shape for each class. Point at a mark for its class and picture and to find it \
                           in the other maps.";

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
        svg.mark(&format!("c{}", class % COLORS), shape(*class), (x, y), 4.0, &[]);
        svg.text("", (x + 12.0, y + 4.0), Anchor::Start, set.class(*class));
    }
    let names: Vec<&str> = shown.iter().map(|class| set.class(*class)).collect();
    let label = format!("The classes of the maps: {}.", names.join(", "));
    Some(Panel { svg: svg.render(&label), title: titled("classes", &set.run) })
}

/// Number of a class's shape: neighbours have others, and so have the classes of one colour.
fn shape(class: usize) -> usize {
    class + class / COLORS
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

fn map(number: usize, set: &FigureSet, points: &[[f32; 2]], step: usize) -> Svg {
    let most = points.iter().flatten().fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = Scale { values: (-f64::from(most), f64::from(most)), places: (8.0, SIDE - 8.0) };
    let mut svg = Svg::new(SIDE, SIDE);
    for (point, shown) in points.iter().zip(&set.points).step_by(step) {
        let place = (scale.at(f64::from(point[0])), SIDE - scale.at(f64::from(point[1])));
        let class = format!("c{}", shown.class % COLORS);
        let item = format!("{number}-{}", shown.item);
        let attributes = [("data-item", item.as_str()), ("data-name", set.class(shown.class))];
        svg.mark(&class, shape(shown.class), place, 2.6, &attributes);
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::figures;
    use std::collections::BTreeSet;

    #[test]
    fn a_panel_for_each_method() {
        let pictures = figures();
        let maps = maps(&pictures);
        let ids: Vec<_> = maps.iter().map(|map| (map.id, map.panels.len(), map.table.len())).collect();
        assert_eq!(ids, [("maps-tsne", 3, 3), ("maps", 3, 3), ("maps-unseen-tsne", 0, 1), ("maps-unseen", 0, 1)]);
        for map in &maps[..2] {
            let (key, svg) = (&map.panels[0].svg, &map.panels[1].svg);
            assert!(key.contains(">cat</text>") && key.contains("The classes of the maps: cat, &lt;script&gt;dog."));
            assert_eq!(svg.matches("data-item=").count(), pictures.sets[0].points.len());
            assert!(svg.contains("data-item=\"0-7\" data-name=\"&lt;script&gt;dog\""), "{svg}");
        }
        assert_eq!(maps[0].table[1], ["triplet", "67 %"]);
        assert_eq!(maps[1].table[1], ["triplet", "60 %", "25 %", "67 %"]);
    }

    #[test]
    fn classes_differ_in_colour_and_shape() {
        let marks: BTreeSet<(usize, usize)> = (0..2 * COLORS).map(|class| (class % COLORS, shape(class) % 4)).collect();
        assert_eq!(marks.len(), 2 * COLORS);
        assert!((1..2 * COLORS).all(|class| shape(class) % 4 != shape(class - 1) % 4));
        // The disc of the first class, the square of the second.
        let svg = &maps(&figures())[0].panels[1].svg;
        assert!(svg.contains("<circle class=\"c0\"") && svg.contains("<path class=\"c1\""), "{svg}");
    }

    #[test]
    fn unseen_classes_have_maps_of_their_own() {
        let mut pictures = figures();
        pictures.sets.push(FigureSet { unseen: true, ..pictures.sets[0].clone() });
        let maps = maps(&pictures);
        assert!(maps.iter().all(|map| map.panels.len() == 3));
        // Items of the second set are others, whatever their index.
        assert!(maps[3].panels[1].svg.contains("data-item=\"1-7\""));
    }

    #[test]
    fn many_maps_show_fewer_marks() {
        let mut pictures = figures();
        let set = &mut pictures.sets[0];
        let own = MethodFigures { map: vec![[1.0, 2.0]; 250], tsne: Vec::new(), ..set.methods[0].clone() };
        set.methods = vec![own; MARKS / 250 + 1];
        set.points = vec![set.points[0]; 250];
        let maps = maps(&pictures);
        let svg = &maps[1].panels[1].svg;
        assert_eq!(svg.matches("data-item=").count(), 125);
        assert!(svg.contains("Map of 125 test items"), "{svg}");
    }

    #[test]
    fn without_points_there_is_no_map() {
        assert!(maps(&Figures::default()).iter().all(|map| map.panels.is_empty()));
        let mut flat = figures();
        for own in &mut flat.sets[0].methods {
            own.map.clear();
            own.tsne.clear();
        }
        assert!(maps(&flat).iter().all(|map| map.panels.is_empty()));
    }
}
