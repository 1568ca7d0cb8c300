//! `compare list`.

use crate::run::{AXES, Hybrid, MethodName, PRESETS, datasets_root};
use nearfar_core::{augment::NamedViews, backend::Backend, data::catalog, encoder::Architecture};

/// Prints what there is and what works on this machine.
pub fn print() {
    println!("methods");
    for (name, line) in MethodName::listing() {
        println!("  {name:<16} {line}");
    }
    for (form, line) in Hybrid::LISTING {
        println!("  {form:<16} {line}");
    }
    println!("  {:<16} hybrid: the Mahalanobis learner B on the frozen features of A, for example simclr+lmnn", "A+B");
    println!("\nencoders");
    for architecture in Architecture::ALL {
        let smallest = match architecture.smallest() {
            1 => String::new(),
            side => format!("; from {side} x {side} on"),
        };
        println!("  {:<16} {}{smallest}", architecture.name(), architecture.describe());
    }
    println!("\ndata sets (or the path of a folder or a CSV file)");
    println!("  those below lie in {} (NEARFAR_DATASETS names another folder)", datasets_root().display());
    for name in catalog::names() {
        let state = match catalog::open(name, &datasets_root(), &catalog::Options::default()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("not usable: {error}"),
        };
        println!("  {name:<16} {} [{state}]", catalog::describe(name).unwrap_or(""));
    }
    println!("\nviews (`views = NAME` in a file for --config)");
    for views in NamedViews::ALL {
        println!("  {:<22} {}", views.name, views.line);
    }
    println!("\npresets");
    for preset in PRESETS {
        let images = if preset.images == usize::MAX { "all".to_owned() } else { preset.images.to_string() };
        println!("  {:<16} {images} images, {} epochs, {} seeds", preset.name, preset.epochs, preset.seeds);
    }
    println!("\naxes of `compare sweep`, with the values that they take by themselves");
    for (_, name, values, line) in &AXES {
        println!("  {name:<16} {line}: {values}");
    }
    println!("\nbackends");
    for backend in Backend::ALL {
        match backend.open() {
            Ok((_, device)) => println!("  {:<16} works: {device:?}", backend.to_string()),
            Err(error) => println!("  {:<16} {error}", backend.to_string()),
        }
    }
}
