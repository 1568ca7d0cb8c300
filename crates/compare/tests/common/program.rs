//! The program, run as a person runs it.

#![allow(dead_code)] // every test file compiles this for itself and uses a part

use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// The program with these arguments, on the data that ship.
pub fn compare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(args).env("NEARFAR_DATASETS", concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets"));
    command
}

/// Runs to success.
pub fn succeeds(args: &[&str]) {
    let (code, message) = refused(args);
    assert_eq!(code, 0, "{args:?}: {message}");
}

/// Exit code and standard error.
pub fn refused(args: &[&str]) -> (i32, String) {
    let output = compare(args).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The report of a run.
pub fn report(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("report.json")).unwrap()).unwrap()
}
