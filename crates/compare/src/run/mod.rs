//! The head-to-head: prepare the data, train every method, score it, report.

mod baseline;
mod config;
mod features;
mod figures;
mod head_to_head;
mod memory;
mod method;
mod prepare;
mod progress;
mod score;
mod thumbnails;
mod tune;

pub use config::PRESETS;
pub use head_to_head::{rewrite_report, run};
pub use method::MethodName;
pub use tune::{Objective, tune};

use std::path::PathBuf;

/// The folder of the data that ships: `NEARFAR_DATASETS`, `datasets` here, or where the program was built.
pub fn datasets_root() -> PathBuf {
    if let Some(root) = std::env::var_os("NEARFAR_DATASETS") {
        return root.into();
    }
    let here = PathBuf::from("datasets");
    if here.is_dir() { here } else { PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets")) }
}
