//! The experiments: prepare the data, train every method, score it, report.

mod any_method;
mod axis;
mod baseline;
mod check;
mod classes;
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
mod lock;
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

/// The folder of the data that ships: `NEARFAR_DATASETS`; else `datasets` here, if it holds them and is no folder of that
/// name by chance; else where the program was built.
pub fn datasets_root() -> PathBuf {
    root_from(std::env::var_os("NEARFAR_DATASETS").map(Into::into), PathBuf::from("datasets"))
}

fn root_from(named: Option<PathBuf>, here: PathBuf) -> PathBuf {
    let built = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets"));
    let ships =
        |root: &PathBuf| ["digits", "fashion-mnist", "iris", "wine"].iter().all(|name| root.join(name).is_dir());
    named.unwrap_or_else(|| if ships(&here) { here } else { built() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_that_name_hides_no_data() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("datasets");
        std::fs::create_dir_all(here.join("wine")).unwrap();
        let found = root_from(None, here.clone());
        assert!(found != here && found.join("wine/wine.csv").is_file());
        assert_eq!(root_from(None, found.clone()), found);
        assert_eq!(root_from(Some(here.clone()), found), here, "what was named is taken as it is");
    }
}
