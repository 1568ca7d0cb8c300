//! The answers as one page that loads nothing from elsewhere.

use super::{Answer, Answers, Place};
use crate::{report::Png, run::thumbnails::thumbnails};
use minijinja::{Environment, UndefinedBehavior, Value, context};
use nearfar_core::data::Items;
use std::collections::{BTreeMap, BTreeSet};

/// The template's name ends in `.html`, so that everything put into it is escaped.
const NAME: &str = "query.html";

/// Queries on the page: more would make it too large to send around.
const SHOWN: usize = 200;

/// The first queries with their neighbours, with pictures where the items are images.
pub(super) fn render(answers: &Answers, queries: &Items, gallery: &Items) -> anyhow::Result<String> {
    let shown = &answers.queries[..answers.queries.len().min(SHOWN)];
    let asked: BTreeSet<usize> = shown.iter().map(|answer| answer.query.index).collect();
    let near: BTreeSet<usize> = shown.iter().flat_map(|a| a.neighbors.iter().map(|n| n.item.index)).collect();
    let asked = thumbnails(&queries.data, &asked.into_iter().collect::<Vec<_>>())?;
    let near = thumbnails(&gallery.data, &near.into_iter().collect::<Vec<_>>())?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template(NAME, include_str!("page.html.jinja"))?;
    let about = &answers.encoder;
    let page = environment.get_template(NAME)?.render(context! {
        method => about.method.as_str(),
        seed => about.seed,
        dataset => about.dataset.as_str(),
        measure => answers.measure,
        gallery => answers.gallery.as_str(),
        gallery_items => answers.gallery_items,
        hidden => answers.queries.len() - shown.len(),
        thumbnails => pictures("q", &asked).chain(pictures("g", &near)).collect::<Vec<_>>(),
        answers => shown.iter().map(|answer| shelf(answer, &asked, &near)).collect::<Vec<_>>(),
    })?;
    Ok(page)
}

/// Each picture as the background of a class of its own, so that it is there once.
fn pictures<'a>(prefix: &'a str, pictures: &'a BTreeMap<usize, Png>) -> impl Iterator<Item = Value> + 'a {
    // Only base64 can be in it.
    let data = |png: &Png| Value::from_safe_string(png.base64().to_owned());
    pictures.iter().map(move |(item, png)| context! { class => format!("{prefix}{item}"), data => data(png) })
}

fn shelf(answer: &Answer, asked: &BTreeMap<usize, Png>, near: &BTreeMap<usize, Png>) -> Value {
    let neighbors = answer.neighbors.iter().map(|neighbor| {
        let same = neighbor.item.label.as_ref().zip(answer.query.label.as_ref()).map(|(a, b)| a == b);
        context! { same => same, value => format!("{:.4}", neighbor.nearness.value()), ..shown("g", &neighbor.item, near) }
    });
    context! { query => shown("q", &answer.query, asked), neighbors => neighbors.collect::<Vec<_>>() }
}

/// `class` is none where there is no picture.
fn shown(prefix: &str, place: &Place, pictures: &BTreeMap<usize, Png>) -> Value {
    context! {
        class => pictures.contains_key(&place.index).then(|| format!("{prefix}{}", place.index)),
        path => place.path.as_str(),
        label => place.label.as_deref(),
    }
}
