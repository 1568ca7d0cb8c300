//! The wgpu backend against Flex, on whatever adapter there is: a software one will do.
//!
//! Without any adapter the test says so and ends; with `NEARFAR_REQUIRE_WGPU` set it fails instead.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Class folders of small grey images: a software adapter is slow.
fn images(dir: &Path) {
    for class in 0..3u8 {
        let folder = dir.join(format!("class{class}"));
        std::fs::create_dir_all(&folder).unwrap();
        for image in 0..60u8 {
            let mut file = b"P5 8 8 255\n".to_vec();
            let bright = |p: u8| if p / 22 == class { 120 } else { 0 };
            file.extend((0..64u8).map(|p| bright(p) + p.wrapping_mul(image).wrapping_mul(37) % 100));
            std::fs::write(folder.join(format!("{image:02}.pgm")), file).unwrap();
        }
    }
}

fn losses(backend: &str, data: &Path, out: &Path) -> Result<Vec<(String, f64)>, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .env("NEARFAR_DATASETS", concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets"))
        .args(["run", "--dataset", data.to_str().unwrap(), "--epochs", "1", "--batch", "64", "--width", "8"])
        .args(["--methods", "siamese,triplet,supcon,simclr,moco,byol,simsiam", "--backend", backend])
        .args(["--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    Ok(rows.iter().map(|r| (r["method"].to_string(), r["curve"][0].as_f64().unwrap())).collect())
}

#[test]
fn the_first_steps_agree_with_flex() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("images");
    images(&data);
    let wgpu = match losses("wgpu", &data, &dir.path().join("wgpu")) {
        Ok(losses) => losses,
        Err(message) if message.contains("no adapter") && std::env::var_os("NEARFAR_REQUIRE_WGPU").is_none() => {
            eprintln!("no wgpu adapter here, nothing compared: {message}");
            return;
        }
        Err(message) => panic!("{message}"),
    };
    for ((method, a), (_, b)) in wgpu.iter().zip(losses("flex", &data, &dir.path().join("flex")).unwrap()) {
        assert!((a - b).abs() <= 1e-3 * (1.0 + b.abs()), "{method}: wgpu {a}, flex {b}");
    }
}
