//! The experiments: prepare the data, train every method, score it, report.

mod any_method;
mod axis;
mod baseline;
mod check;
mod config;
mod embed;
mod embedded;
mod encoder;
mod encoder_file;
mod features;
mod figures;
mod fine_tune;
mod head_to_head;
mod hybrid;
mod jobs;
mod joint;
mod memory;
mod method;
mod monitor;
mod passes;
mod prepare;
mod progress;
mod query;
mod score;
mod session;
mod statements;
mod supervision;
mod taught;
mod thumbnails;
mod told;
mod training;
mod tune;
mod vectors;
mod views;

pub use axis::AXES;
pub use config::{Config, PRESETS};
pub use embed::embed;
pub use hybrid::Hybrid;
pub use method::MethodName;
pub use query::query;
pub use session::{rewrite_report, run, run_tuned, sweep};
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
