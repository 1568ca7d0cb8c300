//! The head-to-head: prepare the data, train every method, score it, report.

mod any_method;
mod baseline;
mod check;
mod config;
mod embed;
mod encoder_file;
mod features;
mod figures;
mod fine_tune;
mod head_to_head;
mod hybrid;
mod joint;
mod memory;
mod method;
mod monitor;
mod passes;
mod prepare;
mod progress;
mod query;
mod score;
mod supervision;
mod thumbnails;
mod told;
mod vectors;
mod views;

pub use config::PRESETS;
pub use embed::embed;
pub use head_to_head::{rewrite_report, run};
pub use hybrid::Hybrid;
pub use method::MethodName;
pub use query::query;

use std::path::PathBuf;

/// The folder of the data that ships: `NEARFAR_DATASETS`, `datasets` here, or where the program was built.
pub fn datasets_root() -> PathBuf {
    if let Some(root) = std::env::var_os("NEARFAR_DATASETS") {
        return root.into();
    }
    let here = PathBuf::from("datasets");
    if here.is_dir() { here } else { PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets")) }
}
