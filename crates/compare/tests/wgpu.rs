//! The wgpu backend against Flex, on whatever adapter there is: a software one will do.
//!
//! Without any adapter the test says so and ends; with `NEARFAR_REQUIRE_WGPU` set it fails instead.

mod common;
#[path = "common/program.rs"]
mod program;

use program::compare;
use serde_json::Value;
use std::path::Path;

fn losses(backend: &str, data: &Path, out: &Path) -> Result<Vec<(String, Vec<f64>)>, String> {
    let output = compare(&[])
        .args(["run", "--dataset", data.to_str().unwrap(), "--epochs", "3", "--batch", "100", "--width", "16"])
        .args(["--methods", "siamese,triplet,supcon,simclr,moco,byol,simsiam", "--seeds", "1", "--backend", backend])
        .args(["--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    // An epoch is one step here.
    let curve = |row: &Value| row["curve"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    Ok(rows.iter().map(|r| (r["method"].to_string(), curve(r))).collect())
}

#[test]
fn the_first_steps_agree_with_flex() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("images");
    common::images(&data);
    let wgpu = match losses("wgpu", &data, &dir.path().join("wgpu")) {
        Ok(losses) => losses,
        Err(message) if message.contains("no adapter") && std::env::var_os("NEARFAR_REQUIRE_WGPU").is_none() => {
            eprintln!("no wgpu adapter here, nothing compared: {message}");
            return;
        }
        Err(message) => panic!("{message}"),
    };
    for ((method, a), (_, b)) in wgpu.iter().zip(losses("flex", &data, &dir.path().join("flex")).unwrap()) {
        for (step, (a, b)) in a.iter().zip(&b).enumerate() {
            assert!((a - b).abs() <= 1e-3 * (1.0 + b.abs()), "{method}, step {step}: wgpu {a}, flex {b}");
        }
    }
}
