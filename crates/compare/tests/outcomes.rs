//! Small real training runs must beat the untrained encoder by a stated margin.

#[path = "common/program.rs"]
mod program;

use program::compare;
use serde_json::Value;

fn score(report: &Value, method: &str, name: &str) -> f64 {
    let rows = report["rows"].as_array().unwrap();
    let row = rows.iter().find(|r| r["method"] == method).unwrap_or_else(|| panic!("no row {method}"));
    row["scores"][name].as_f64().unwrap_or_else(|| panic!("{method} has no {name}: {row}"))
}

#[test]
fn training_beats_the_untrained_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let status = compare(&[])
        .args(["run", "--dataset", "digits", "--methods", "untrained,supervised,siamese,triplet,supcon,simclr,moco"])
        .args([
            "--seeds",
            "1",
            "--epochs",
            "15",
            "--batch",
            "64",
            "--width",
            "16",
            "--backend",
            "flex",
            "--out",
            out.to_str().unwrap(),
        ])
        .status()
        .unwrap();
    assert!(status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let floor = |name| score(&report, "untrained", name);
    for method in ["supervised", "siamese", "triplet", "supcon"] {
        let (got, floor) = (score(&report, method, "retrieval.seen.map_at_r"), floor("retrieval.seen.map_at_r"));
        assert!(got > floor + 0.1, "{method}: MAP@R {got}, untrained {floor}");
    }
    for method in ["supervised", "siamese", "triplet", "supcon", "simclr", "moco"] {
        let (got, floor) = (score(&report, method, "transfer.seen.linear_probe"), floor("transfer.seen.linear_probe"));
        assert!(got > floor + 0.02, "{method}: linear probe {got}, untrained {floor}");
    }
}

/// 3,000 pairs in place of the classes of 900 images, for losses that compare a positive with a negative of an image.
#[test]
fn pairs_alone_beat_the_untrained_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let status = compare(&[])
        .args(["run", "--dataset", "digits", "--methods", "untrained,triplet,ntxent,supcon,deep_mahalanobis"])
        .args(["--supervision", "pairs", "--constraints", "3000", "--seeds", "1", "--epochs", "60", "--batch", "64"])
        .args(["--width", "16", "--backend", "flex", "--out", out.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let name = "retrieval.seen.map_at_r";
    for (method, margin) in [("triplet", 0.1), ("ntxent", 0.1), ("supcon", 0.1), ("deep_mahalanobis", 0.05)] {
        let (got, floor) = (score(&report, method, name), score(&report, "untrained", name));
        assert!(got > floor + margin, "{method}: {name} {got}, untrained {floor}");
    }
}

/// Both ways of putting two methods on one encoder, with the budget of one.
#[test]
fn hybrids_beat_the_untrained_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let status = compare(&[])
        .args(["run", "--dataset", "digits", "--methods", "untrained,triplet,simclr-then-triplet,simclr-with-triplet"])
        .args(["--epochs", "15", "--batch", "64", "--width", "16", "--backend", "flex", "--out", out.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    for method in ["simclr-then-triplet", "simclr-with-triplet"] {
        for (name, margin) in [("retrieval.seen.map_at_r", 0.1), ("transfer.seen.linear_probe", 0.02)] {
            let (got, floor) = (score(&report, method, name), score(&report, "untrained", name));
            assert!(got > floor + margin, "{method}: {name} {got}, untrained {floor}");
        }
        let row = rows.iter().find(|r| r["method"] == method).unwrap();
        assert_eq!(row["cost"]["images_seen"], rows[1]["cost"]["images_seen"], "{method} has another budget");
        assert_eq!(row["paradigm"], "hybrid");
    }
}

/// Every contrastive method runs to its end and tells digits apart better than chance, one in seven.
#[test]
fn every_contrastive_method_learns() {
    const METHODS: &str = "dcl,dclw,moco_v3,nnclr,ressl,fast_siam,barlow_twins,vicreg,w_mse,tico,mmcr,swav,dino";
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let status = compare(&[])
        .args(["run", "--dataset", "digits", "--methods", METHODS, "--epochs", "3", "--batch", "64", "--width", "16"])
        .args(["--seeds", "1", "--backend", "flex", "--out", out.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    for method in METHODS.split(',') {
        let got = score(&report, method, "transfer.seen.linear_probe");
        assert!(got > 0.3, "{method}: linear probe {got}");
    }
}

/// DINO with two small crops a step. Over the seeds 0, 1 and 2 it gained 0.04 to 0.07 in the linear probe and 0.05 to
/// 0.12 in MAP@R.
#[test]
fn dino_with_small_crops_beats_the_untrained_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (dir.path().join("crops.toml"), dir.path().join("run"));
    std::fs::write(
        &config,
        "dataset = \"fashion_mnist\"\nmethods = [\"untrained\", \"dino\"]\nimages = 1000\nepochs = 8\nbatch = 32\n\
         backend = \"flex\"\nviews = \"dino_cifar\"\nencoder = { architecture = \"conv4\", width = 16 }\n\
         [method.dino.settings]\nprototypes = 128\n[method.dino.settings.small_crops]\ncount = 2\n",
    )
    .unwrap();
    let status =
        compare(&["run", "--seeds", "1", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()])
            .status()
            .unwrap();
    assert!(status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    for (name, margin) in [("retrieval.seen.map_at_r", 0.02), ("transfer.seen.linear_probe", 0.02)] {
        let (got, floor) = (score(&report, "dino", name), score(&report, "untrained", name));
        assert!(got > floor + margin, "dino: {name} {got}, untrained {floor}");
    }
}
