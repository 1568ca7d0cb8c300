//! The experiments: prepare the data, train every method, score it, report.

mod axis;
mod baseline;
mod config;
mod embedded;
mod features;
mod figures;
mod head_to_head;
mod jobs;
mod memory;
mod method;
mod prepare;
mod progress;
mod score;
mod session;
mod thumbnails;

pub use axis::AXES;
pub use config::PRESETS;
pub use method::MethodName;
pub use session::{rewrite_report, run, sweep};

use std::path::PathBuf;

/// The folder of the data that ships: `NEARFAR_DATASETS`, `datasets` here, or where the program was built.
pub fn datasets_root() -> PathBuf {
    if let Some(root) = std::env::var_os("NEARFAR_DATASETS") {
        return root.into();
    }
    let here = PathBuf::from("datasets");
    if here.is_dir() { here } else { PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets")) }
}
