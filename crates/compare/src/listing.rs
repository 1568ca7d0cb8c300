//! `compare list`.

use crate::run::{AXES, Hybrid, MethodName, PRESETS, datasets_root};
use nearfar_core::{augment::NamedViews, backend::Backend, data::catalog, encoder::Architecture};

/// Prints what there is and what works on this machine.
pub fn print() {
    say!("methods");
    for (name, line) in MethodName::listing() {
        say!("  {name:<16} {line}");
    }
    for (form, line) in Hybrid::LISTING {
        say!("  {form:<16} {line}");
    }
    say!("  {:<16} hybrid: the Mahalanobis learner B on the frozen features of A, for example simclr+lmnn", "A+B");
    say!("\nencoders");
    for architecture in Architecture::ALL {
        let smallest = match architecture.smallest() {
            1 => String::new(),
            side => format!("; from {side} x {side} on"),
        };
        say!("  {:<16} {}{smallest}", architecture.name(), architecture.describe());
    }
    say!("\ndata sets (or the path of a folder or a CSV file)");
    say!("  those below lie in {} (NEARFAR_DATASETS names another folder)", datasets_root().display());
    for name in catalog::names() {
        let state = match catalog::open(name, &datasets_root(), &catalog::Options::default()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("not usable: {error}"),
        };
        say!("  {name:<16} {} [{state}]", catalog::describe(name).unwrap_or(""));
    }
    say!("\nviews (`views = NAME` in a file for --config)");
    for views in NamedViews::ALL {
        say!("  {:<22} {}", views.name, views.line);
    }
    say!("\npresets");
    for preset in PRESETS {
        let images = if preset.images == usize::MAX { "all".to_owned() } else { preset.images.to_string() };
        say!("  {:<16} {images} images, {} epochs, {} seeds", preset.name, preset.epochs, preset.seeds);
    }
    say!("\naxes of `compare sweep`, with the values that they take by themselves");
    for (_, name, values, line) in &AXES {
        say!("  {name:<16} {line}: {values}");
    }
    say!("\nbackends");
    for backend in Backend::ALL {
        match backend.open() {
            Ok((_, device)) => say!("  {:<16} works: {device:?}", backend.to_string()),
            Err(error) => say!("  {:<16} {error}", backend.to_string()),
        }
    }
}
