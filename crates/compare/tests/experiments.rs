//! Sweeps, label noise and runs that are stopped, as a person uses them.

#[path = "common/program.rs"]
mod program;

use program::{compare, report};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

const PROBE: &str = "transfer.seen.linear_probe";

/// A run of seconds, but for what varies.
const SMALL: [&str; 12] =
    ["--dataset", "digits", "--images", "400", "--epochs", "2", "--batch", "64", "--width", "8", "--backend", "flex"];

/// `args`, the small run and its folder, to success.
fn succeeds(args: &[&str], out: &Path) -> Value {
    let output = compare(&with_small(args, out)).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", message(&output));
    report(out)
}

fn with_small<'a>(args: &[&'a str], out: &'a Path) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(SMALL);
    all.extend(["--out", out.to_str().unwrap()]);
    all
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The rows of a method.
fn rows<'r>(report: &'r Value, method: &str) -> Vec<&'r Value> {
    report["rows"].as_array().unwrap().iter().filter(|row| row["method"] == method).collect()
}

fn score(row: &Value, name: &str) -> f64 {
    row["scores"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {row}"))
}

/// A report without times, memory and command.
fn lasting(mut report: Value) -> Value {
    for row in report["rows"].as_array_mut().unwrap() {
        for name in ["train_seconds", "images_per_second", "peak_memory_bytes"] {
            row["cost"][name] = Value::Null;
        }
    }
    report["summary"].as_array_mut().unwrap().retain(|summary| summary["metric"].as_str().unwrap().contains('.'));
    report["command"] = Value::Null;
    report
}

#[test]
fn a_sweep_over_labels_trains_once_what_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("sweep");
    let methods = "pixels,triplet,simclr,simclr+lmnn";
    let sweep = ["sweep", "--axis", "labels", "--values", "0.1,1", "--seeds", "1", "--methods", methods];
    let found = succeeds(&sweep, &out);
    for method in methods.split(',') {
        let shares: Vec<f64> = rows(&found, method).iter().map(|row| row["axes"]["labels"].as_f64().unwrap()).collect();
        assert_eq!(shares, [0.1, 1.0], "{method}");
        let probes: Vec<f64> = rows(&found, method).iter().map(|row| score(row, PROBE)).collect();
        assert!(
            probes[0] < probes[1] || method.starts_with("simclr") && probes[0] != probes[1],
            "{method}: {probes:?}"
        );
    }
    let mut checkpoints: Vec<String> = fs::read_dir(out.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    checkpoints.sort_unstable();
    assert_eq!(checkpoints, ["simclr-seed0", "triplet-labels0.1-seed0", "triplet-labels1-seed0"]);
    let simclr = rows(&found, "simclr");
    assert_eq!(simclr[0]["curve"], simclr[1]["curve"]);
    assert_eq!(score(simclr[0], "retrieval.seen.map_at_r"), score(simclr[1], "retrieval.seen.map_at_r"));
    let used: Vec<u64> = rows(&found, "triplet").iter().map(|row| row["labels_used"].as_u64().unwrap()).collect();
    assert!(used[0] < used[1] / 8 && used[1] == 400, "{used:?}");
    assert_eq!(found["crossovers"][0]["score"], PROBE);
    assert!(fs::read_to_string(out.join("index.html")).unwrap().contains("along labels"));

    // A plain run is a sweep with one value.
    let plain = succeeds(&["run", "--seeds", "1", "--methods", "triplet"], &dir.path().join("plain"));
    assert_eq!(plain["rows"][0]["scores"], rows(&found, "triplet")[1]["scores"]);
    assert_eq!(plain["rows"][0]["axes"], rows(&found, "triplet")[1]["axes"]);

    // The settings that were written repeat the sweep.
    let config = out.join("config.toml");
    let again = dir.path().join("again");
    let args = ["run", "--config", config.to_str().unwrap(), "--methods", "pixels", "--out", again.to_str().unwrap()];
    assert!(compare(&args).status().unwrap().success());
    let again = report(&again);
    assert_eq!(rows(&again, "pixels").len(), 2);
    assert_eq!(rows(&again, "pixels")[0]["scores"], rows(&found, "pixels")[0]["scores"]);
}

#[test]
fn false_labels_reach_training_and_probes_but_not_the_test_part() {
    let dir = tempfile::tempdir().unwrap();
    let sweep = ["sweep", "--axis", "noise", "--values", "0,0.5", "--seeds", "1", "--methods", "pixels,triplet"];
    let found = succeeds(&sweep, &dir.path().join("noise"));
    let pixels = rows(&found, "pixels");
    assert_eq!(score(pixels[0], "retrieval.seen.map_at_r"), score(pixels[1], "retrieval.seen.map_at_r"));
    for method in ["pixels", "triplet"] {
        let [clean, noisy] = rows(&found, method)[..] else { panic!("{method}") };
        assert!(score(noisy, PROBE) < score(clean, PROBE), "{method}");
        assert_eq!((&clean["axes"]["noise"], &noisy["axes"]["noise"]), (&Value::from(0.0), &Value::from(0.5)));
    }
    let one =
        succeeds(&["run", "--label-noise", "0.5", "--seeds", "1", "--methods", "triplet"], &dir.path().join("one"));
    assert_eq!(one["rows"][0]["scores"], rows(&found, "triplet")[1]["scores"]);
}

#[test]
fn what_no_axis_or_seed_touches_is_done_once() {
    let dir = tempfile::tempdir().unwrap();
    let methods = "pixels,lmnn,moco";
    let sweep = ["sweep", "--axis", "queue", "--values", "64,128", "--seeds", "2", "--methods", methods];
    let found = succeeds(&sweep, &dir.path().join("queue"));
    assert_eq!(rows(&found, "moco").len(), 4);
    for method in ["pixels", "lmnn"] {
        let [first, second] = rows(&found, method)[..] else { panic!("{method}") };
        assert!(first["axes"]["queue"].is_null());
        assert_eq!(score(first, PROBE), score(second, PROBE));
        assert_ne!(score(first, "transfer.seen.few_shot_5"), score(second, "transfer.seen.few_shot_5"));
    }
}

/// Stopped inside an epoch, between rows, and killed outright: what is resumed ends as what was never stopped.
#[test]
fn a_resumed_run_gives_the_same_report() {
    let dir = tempfile::tempdir().unwrap();
    let sweep =
        ["sweep", "--axis", "labels", "--values", "0.2,1", "--seeds", "1", "--methods", "triplet,simclr,simclr+lmnn"];
    let whole = lasting(succeeds(&sweep, &dir.path().join("whole")));
    let resume = |out: &Path| {
        let output = compare(&["sweep", "--resume", out.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
        let report = report(out);
        let command = report["command"].as_str().unwrap();
        assert!(command.starts_with("compare sweep --axis labels"), "the first command stands: {command}");
        lasting(report)
    };
    // Three trainings of twelve steps, in epochs of six.
    for steps in ["4", "15", "27"] {
        let out = dir.path().join(steps);
        let output = compare(&with_small(&sweep, &out)).env("NEARFAR_STOP_AFTER", steps).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", message(&output));
        assert!(message(&output).contains("--resume"), "{}", message(&output));
        assert_eq!(resume(&out), whole, "stopped after {steps} steps");
    }
    let out = dir.path().join("killed");
    let mut child = compare(&with_small(&sweep, &out)).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while !out.join("report.json").is_file() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(resume(&out), whole, "killed behind the first row");
}
