//! `compare query`: the nearest items of a gallery for every query.

mod page;

use super::{
    embed::{Encoder, check_writable, measure},
    encoder_file::About,
};
use crate::{
    cli::QueryArgs,
    failure::{Failure, failed, usage},
    report::{self, terminal::printable},
};
use anyhow::anyhow;
use nearfar_core::data::Items;
use nearfar_eval::{Distance, Neighbors, nearest};
use serde::Serialize;
use std::{fmt::Write, path::Path};

/// Queries that the terminal shows.
const SHOWN: usize = 20;

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Json,
}

/// All answers of one command.
#[derive(Debug, Serialize)]
struct Answers {
    encoder: About,
    measure: &'static str,
    gallery: String,
    gallery_items: usize,
    queries: Vec<Answer>,
}

/// A query with its neighbours, nearest first.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    query: Place,
    neighbors: Vec<Neighbor>,
}

/// An item of the gallery.
#[derive(Debug, Serialize)]
struct Neighbor {
    #[serde(flatten)]
    item: Place,
    #[serde(flatten)]
    nearness: Nearness,
}

/// Where an item came from.
#[derive(Clone, Debug, Serialize)]
struct Place {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Its place among the items, from 0.
    index: usize,
}

/// How near a neighbour is.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Nearness {
    /// In [-1, 1], larger is nearer.
    Similarity(f32),
    /// At least 0, smaller is nearer.
    Distance(f32),
}

impl Nearness {
    /// From a score of [`Neighbors`].
    fn new(score: f32, distance: Distance) -> Self {
        match distance {
            Distance::Cosine => Self::Similarity(score),
            // Scores are squared distances.
            Distance::Euclidean => Self::Distance(score.max(0.0).sqrt()),
        }
    }

    fn value(self) -> f32 {
        match self {
            Self::Similarity(value) | Self::Distance(value) => value,
        }
    }
}

/// `compare query`.
pub fn query(args: &QueryArgs) -> Result<(), Failure> {
    let format = args.out.as_deref().map(format_of).transpose()?;
    let encoder = Encoder::open(&args.encoder)?;
    if let Some(out) = &args.out {
        check_writable(out)?;
    }
    let (gallery, references) = encoder.embed(&args.gallery)?;
    if !(1..=gallery.names.len()).contains(&args.top) {
        let (top, items) = (args.top, gallery.names.len());
        return Err(usage(anyhow!("--top must be between 1 and the {items} items of the gallery, got {top}")));
    }
    let (queries, rows) = encoder.embed(&args.query)?;
    let about = &encoder.model.about;
    let found = nearest(&rows, &references, args.top, about.distance, false).map_err(failed)?;
    let answers = Answers {
        encoder: about.clone(),
        measure: measure(about.distance),
        gallery: args.gallery.clone(),
        gallery_items: gallery.names.len(),
        queries: answers(&queries, &gallery, &found, about.distance),
    };
    say!("The nearest of {} items of {} by {}", answers.gallery_items, args.gallery, encoder.describe());
    say!("{}", listing(&answers.queries).trim_end_matches('\n'));
    if let Some((out, format)) = args.out.as_deref().zip(format) {
        let text = match format {
            Format::Json => serde_json::to_string_pretty(&answers).map(|text| text + "\n").map_err(failed)?,
            Format::Html => page::render(&answers, &queries, &gallery).map_err(failed)?,
        };
        report::replace(out, text.as_bytes()).map_err(failed)?;
        say!("\n{}", out.display());
    }
    Ok(())
}

fn format_of(out: &Path) -> Result<Format, Failure> {
    match out.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("html") => Ok(Format::Html),
        Some("json") => Ok(Format::Json),
        _ => {
            Err(usage(anyhow!("cannot tell the format of {}: end its name in .html (a page) or .json", out.display())))
        }
    }
}

fn answers(queries: &Items, gallery: &Items, found: &Neighbors, distance: Distance) -> Vec<Answer> {
    let answer = |i: usize| Answer {
        query: Place::of(queries, i),
        neighbors: found
            .indices_of(i)
            .iter()
            .zip(found.scores_of(i))
            .map(|(index, score)| Neighbor {
                item: Place::of(gallery, *index as usize),
                nearness: Nearness::new(*score, distance),
            })
            .collect(),
    };
    (0..found.queries()).map(answer).collect()
}

impl Place {
    fn of(items: &Items, index: usize) -> Self {
        Self { path: items.names[index].clone(), label: items.labels[index].clone(), index }
    }

    /// Its path and, where it is known, its class.
    fn text(&self) -> String {
        match &self.label {
            Some(label) => format!("{} ({label})", self.path),
            None => self.path.clone(),
        }
    }
}

/// The first queries with their neighbours, a line each.
fn listing(answers: &[Answer]) -> String {
    let mut text = String::new();
    for Answer { query, neighbors } in answers.iter().take(SHOWN) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}", printable(&query.text()));
        for (rank, neighbor) in (1..).zip(neighbors) {
            let _ =
                writeln!(text, "{rank:>5} {:>9.4}  {}", neighbor.nearness.value(), printable(&neighbor.item.text()));
        }
    }
    if answers.len() > SHOWN {
        let _ = writeln!(text, "\nand {} more queries: --out FILE.json has them all", answers.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::{
        data::{Dataset, Inputs},
        matrix::Matrix,
    };

    const ABOUT: &str = r#"{"format": 1, "version": "0", "method": "m", "seed": 0, "dataset": "t", "maps": 1,
        "input": {"images": {"channels": 1, "height": 2, "width": 2}}, "base": "pixels", "distance": "euclidean"}"#;

    fn items(names: &[&str], labels: &[Option<&str>]) -> Items {
        let inputs = Inputs::Images { pixels: vec![200; names.len() * 4], channels: 1, height: 2, width: 2 };
        Items {
            data: Dataset { name: "t".into(), inputs, labels: None, class_names: Vec::new(), groups: None },
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            labels: labels.iter().map(|label| label.map(str::to_owned)).collect(),
            resized: 0,
            left_out: 0,
        }
    }

    fn found() -> (Items, Items, Neighbors) {
        let queries = items(&["q<1>"], &[Some("cat")]);
        let gallery = items(&["a", "b\u{1b}", "c"], &[Some("cat"), None, Some("dog")]);
        let row = |value| Matrix::new(vec![value], 1, 1).unwrap();
        let references = Matrix::new(vec![0.0, 3.0, 1.0], 3, 1).unwrap();
        let neighbors = nearest(&row(1.0), &references, 3, Distance::Euclidean, false).unwrap();
        (queries, gallery, neighbors)
    }

    #[test]
    fn answers_come_nearest_first_with_distances() {
        let (queries, gallery, neighbors) = found();
        let answers = answers(&queries, &gallery, &neighbors, Distance::Euclidean);
        let json = serde_json::to_value(&answers).unwrap();
        assert_eq!(json[0]["path"], "q<1>");
        assert_eq!(json[0]["label"], "cat");
        let nearest = &json[0]["neighbors"];
        assert_eq!(nearest[0]["path"], "c");
        assert_eq!(nearest[0]["index"], 2);
        let distances: Vec<f64> = (0..3).map(|i| nearest[i]["distance"].as_f64().unwrap()).collect();
        assert_eq!(distances, [0.0, 1.0, 2.0]);
        assert!(nearest[2].get("label").is_none() && nearest[0].get("similarity").is_none());
        let text = listing(&answers);
        assert!(text.contains("q<1> (cat)\n    1    0.0000  c (dog)\n    2    1.0000  a (cat)\n"), "{text}");
        assert!(text.contains("b\u{fffd}") && !text.contains('\u{1b}'));
    }

    #[test]
    fn many_queries_are_cut_short_with_a_word() {
        let (queries, gallery, neighbors) = found();
        let answers: Vec<Answer> =
            (0..23).flat_map(|_| answers(&queries, &gallery, &neighbors, Distance::Cosine)).collect();
        assert!(listing(&answers[..20]).matches("q<1>").count() == 20 && !listing(&answers[..20]).contains("more"));
        assert!(listing(&answers).contains("and 3 more queries"));
    }

    #[test]
    fn the_page_has_every_picture_once_and_escapes_names() {
        let (queries, gallery, neighbors) = found();
        let answers = Answers {
            encoder: serde_json::from_str(ABOUT).unwrap(),
            measure: "the distance learnt",
            gallery: "g".into(),
            gallery_items: 3,
            queries: answers(&queries, &gallery, &neighbors, Distance::Euclidean),
        };
        let page = page::render(&answers, &queries, &gallery).unwrap();
        assert_eq!(page.matches("data:image/png;base64,").count(), 4);
        assert!(page.contains("q&lt;1&gt;") && !page.contains("q<1>"));
        assert!(page.contains("same class") && page.contains("other class"));
        for foreign in ["src=", "href=", "http:", "https:", "<script", "<link"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        let rows = |n: usize| Inputs::Rows(Matrix::zeros(n, 2));
        let (mut queries, mut gallery) = (queries, gallery);
        (queries.data.inputs, gallery.data.inputs) = (rows(1), rows(3));
        let page = page::render(&answers, &queries, &gallery).unwrap();
        assert!(!page.contains("base64") && page.contains("q&lt;1&gt;"));
    }
}
