//! Checkpoints: a folder a step, complete or not there at all.

use super::Warning;
use burn::{module::Module, optim::ModuleOptimizer, store::RecordError};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

const STATE: &str = "state.json";

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("cannot {action} the checkpoint {path}: {source}; check space and permissions")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tensor file is damaged or belongs to other settings.
    #[error(
        "the checkpoint {path} does not fit: {source}; it belongs to other settings or is damaged: delete it to start this method again"
    )]
    Record {
        /// Which file.
        path: PathBuf,
        /// What Burn said.
        source: RecordError,
    },
    /// It is of another run.
    #[error(
        "the checkpoint {path} belongs to other settings, other data or another seed: train in another folder, or delete \
         it to start this method again"
    )]
    Foreign {
        /// Which folder.
        path: PathBuf,
    },
    /// The state file is damaged.
    #[error("the checkpoint state {path} is damaged ({source}): delete the folder to start this method again")]
    State {
        /// Which file.
        path: PathBuf,
        /// Where JSON failed.
        source: serde_json::Error,
    },
}

/// What a checkpoint says besides its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub method: String,
    /// Whose it is: [`super::digest::digest`].
    pub run: String,
    pub step: usize,
    pub seconds: f64,
    /// Mean loss of every epoch.
    #[serde(with = "exact")]
    pub losses: Vec<f64>,
    /// Losses read since the last epoch's end.
    #[serde(with = "exact")]
    pub pending: Vec<f64>,
    pub warnings: Vec<Warning>,
    /// What the observer keeps.
    pub observer: serde_json::Value,
}

/// Numbers as text: JSON's own come back with an error in the last bit at times, and a run that was stopped must report
/// what one that was not does.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(f64::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// Everything that training goes on from.
pub(super) struct Parts<M, N> {
    pub model: M,
    pub memory: N,
    pub optimizer: ModuleOptimizer,
    pub state: State,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { action, path, source }
}

/// The newest complete checkpoint under `dir`, if there is one.
pub fn latest(dir: &Path) -> Option<PathBuf> {
    let steps = fs::read_dir(dir).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let step: usize = path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
        path.join(STATE).is_file().then_some((step, path))
    });
    steps.max().map(|(_, path)| path)
}

/// Writes a checkpoint under `dir` and removes the older ones once it is complete.
pub(super) fn save<M: Module, N: Module>(
    dir: &Path,
    model: &M,
    memory: &N,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<PathBuf, CheckpointError> {
    let target = dir.join(format!("step-{:08}", state.step));
    let partial = dir.join(format!(".step-{:08}.partial", state.step));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(io_error("clear", &partial))?;
    }
    fs::create_dir_all(&partial).map_err(io_error("create", &partial))?;
    let record = |path: &Path| {
        let path = path.to_owned();
        move |source| CheckpointError::Record { path, source }
    };
    let file = partial.join("model.bpk");
    // `valid` folds the newest running statistics into the values that are recorded.
    model.valid().into_record().save(&file).map_err(record(&file))?;
    let file = partial.join("memory.bpk");
    memory.valid().into_record().save(&file).map_err(record(&file))?;
    let file = partial.join("optimizer.bpk");
    optimizer.save(&file).map_err(record(&file))?;
    let file = partial.join(STATE);
    let json =
        serde_json::to_vec_pretty(state).map_err(|source| CheckpointError::State { path: file.clone(), source })?;
    fs::write(&file, json).map_err(io_error("write", &file))?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(io_error("replace", &target))?;
    }
    fs::rename(&partial, &target).map_err(io_error("finish", &target))?;
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n.starts_with("step-")) && entry.path() != target {
            fs::remove_dir_all(entry.path()).map_err(io_error("remove the older", &entry.path()))?;
        }
    }
    Ok(target)
}

/// Loads a checkpoint of `run` into freshly built networks.
pub(super) fn load<M: Module, N: Module>(
    path: &Path,
    run: &str,
    model: M,
    memory: N,
    optimizer: ModuleOptimizer,
) -> Result<Parts<M, N>, CheckpointError> {
    let record = |path: PathBuf| move |source| CheckpointError::Record { path, source };
    let file = path.join(STATE);
    let json = fs::read(&file).map_err(io_error("read", &file))?;
    let state: State = serde_json::from_slice(&json).map_err(|source| CheckpointError::State { path: file, source })?;
    if state.run != run {
        return Err(CheckpointError::Foreign { path: path.to_owned() });
    }
    let file = path.join("model.bpk");
    let model = model.try_load_file(&file).map_err(record(file))?;
    let file = path.join("memory.bpk");
    let memory = memory.try_load_file(&file).map_err(record(file))?;
    let file = path.join("optimizer.bpk");
    let optimizer = optimizer.load(&file).map_err(record(file))?;
    Ok(Parts { model, memory, optimizer, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_come_back_to_the_last_bit() {
        let losses: Vec<f64> = (1..200).map(|i| f64::from((i as f32).sin()) / 3.0).collect();
        let state = State { method: "simclr".into(), losses: losses.clone(), pending: losses, ..State::default() };
        let json = serde_json::to_vec_pretty(&state).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&json).unwrap(), state);
    }
}
