//! The program as a person uses it: a small run end to end, and what it says to bad input.

mod common;

use serde_json::Value;
use std::{fs, path::Path, process::Command};

fn compare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(args).env("NEARFAR_DATASETS", concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets"));
    command
}

/// Runs to success.
fn succeeds(args: &[&str]) {
    let (code, message) = refused(args);
    assert_eq!(code, 0, "{args:?}: {message}");
}

/// Exit code and standard error.
fn refused(args: &[&str]) -> (i32, String) {
    let output = compare(args).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn report(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("report.json")).unwrap()).unwrap()
}

/// A report without what differs between two runs: times, memory, command and paths.
fn lasting(mut report: Value) -> Value {
    for row in report["rows"].as_array_mut().unwrap() {
        row["cost"] = Value::Null;
        row["checkpoint"] = Value::Null;
    }
    let summary = report["summary"].as_array_mut().unwrap();
    summary.retain(|s| s["metric"].as_str().unwrap().contains('.'));
    report["command"] = Value::Null;
    report["verdicts"] = Value::Null;
    report
}

/// A run of seconds.
fn tiny<'a>(backend: &'a str, methods: &'a str, images: &'a str, out: &'a Path) -> Vec<&'a str> {
    let mut args = vec!["run", "--dataset", "digits", "--epochs", "2", "--batch", "64", "--width", "8"];
    args.extend(["--backend", backend, "--methods", methods, "--images", images, "--out", out.to_str().unwrap()]);
    args
}

#[test]
fn every_method_runs_and_the_same_seed_gives_the_same_report() {
    let dir = tempfile::tempdir().unwrap();
    let more = "nca,itml,covariance,rca,lfda,mlkr,mmc,lsml,sdml,scml,deep_mahalanobis";
    let asked = format!("all,{more}");
    let mut reports = Vec::new();
    for out in ["a", "b"] {
        let out = dir.path().join(out);
        let args = tiny("flex", &asked, "400", &out);
        succeeds(&args);
        for file in
            ["report.json", "report.md", "report.csv", "index.html", "figures.json", "config.toml", "checkpoints"]
        {
            assert!(out.join(file).exists(), "{file}");
        }
        reports.push(report(&out));
    }
    let methods: Vec<&str> =
        reports[0]["rows"].as_array().unwrap().iter().map(|r| r["method"].as_str().unwrap()).collect();
    let all = "pixels,pca,untrained,supervised,mahalanobis,siamese,triplet,supcon,simclr,moco,byol,simsiam,simclr+lmnn";
    assert_eq!(methods, all.split(',').chain(more.split(',')).collect::<Vec<_>>());
    let row = &reports[0]["rows"][6];
    for score in [
        "retrieval.seen.recall_at_1",
        "retrieval.unseen.map_at_r",
        "verification.unseen.roc_auc",
        "clustering.seen.nmi",
        "transfer.seen.linear_probe",
        "transfer.unseen.few_shot_5",
        "transfer.fashion_mnist.knn",
        "geometry.seen.alignment",
    ] {
        assert!(row["scores"][score].is_f64(), "{score}: {row}");
    }
    assert_eq!(lasting(reports[0].clone()), lasting(reports[1].clone()));
    assert!(row["bootstrap"]["retrieval.unseen.map_at_r"]["queries"][0].is_f64(), "{row}");
    assert_eq!(reports[0]["recommendation"][0]["sentences"].as_array().unwrap().len(), 3);
    page_is_whole(&dir.path().join("a/index.html"));

    // The settings that were written repeat the run.
    let again = dir.path().join("c");
    let config = dir.path().join("a/config.toml");
    succeeds(&["run", "--config", config.to_str().unwrap(), "--methods", "triplet", "--out", again.to_str().unwrap()]);
    let (first, second) = (&reports[0]["rows"][6]["scores"], &report(&again)["rows"][0]["scores"]);
    assert_eq!(first, second);

    // The report can be written again, and joined with another.
    let joint = dir.path().join("joint");
    let a = dir.path().join("a");
    succeeds(&["report", a.to_str().unwrap(), again.to_str().unwrap(), "--out", joint.to_str().unwrap()]);
    page_is_whole(&joint.join("index.html"));
}

/// The page has its pictures, asks for nothing from elsewhere, and is small enough to send around.
fn page_is_whole(path: &Path) {
    let page = fs::read_to_string(path).unwrap();
    let maps = ["maps-tsne", "maps", "maps-unseen-tsne", "maps-unseen"];
    for id in maps.iter().chain(&["cost", "curves", "similarities", "spectra", "galleries", "confusions"]) {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("data-item=\"0-") && page.contains("url(\"data:image/png;base64,"));
    for foreign in [" src=", "@import", "http:", "https:", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("href=").count(), page.matches("href=\"#").count());
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
}

#[test]
fn the_number_of_threads_changes_nothing_that_matters() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("images");
    common::images(&data);
    let curves: Vec<Value> = ["1", "3"]
        .iter()
        .map(|threads| {
            let out = dir.path().join(threads);
            let mut command = compare(&steps("flex", "triplet,simclr", data.to_str().unwrap(), &out));
            assert!(command.env("RAYON_NUM_THREADS", threads).status().unwrap().success());
            report(&out)["rows"].clone()
        })
        .collect();
    close(&curves[0], &curves[1]);
}

/// Three epochs of one step each.
fn steps<'a>(backend: &'a str, methods: &'a str, data: &'a str, out: &'a Path) -> Vec<&'a str> {
    let mut args = vec!["run", "--dataset", data, "--epochs", "3", "--batch", "100", "--width", "16"];
    args.extend(["--backend", backend, "--methods", methods, "--out", out.to_str().unwrap()]);
    args
}

/// The losses of both runs' rows agree to 1e-3.
fn close(a: &Value, b: &Value) {
    for (a, b) in a.as_array().unwrap().iter().zip(b.as_array().unwrap()) {
        for (x, y) in a["curve"].as_array().unwrap().iter().zip(b["curve"].as_array().unwrap()) {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            assert!((x - y).abs() <= 1e-3 * (1.0 + x.abs()), "{}: {x} {y}", a["method"]);
        }
    }
}

#[test]
fn rows_run_too() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("wine");
    let methods = "pixels,triplet,simclr,lmnn";
    let mut args = vec!["run", "--dataset", "wine", "--methods", methods, "--epochs", "5", "--batch", "32"];
    args.extend(["--backend", "flex", "--out", out.to_str().unwrap()]);
    succeeds(&args);
    assert!(report(&out)["rows"][1]["scores"]["transfer.seen.linear_probe"].as_f64().unwrap() > 0.8);
}

#[test]
fn ndarray_agrees_with_flex() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("images");
    common::images(&data);
    let curves: Vec<Value> = ["flex", "ndarray"]
        .iter()
        .map(|backend| {
            let out = dir.path().join(backend);
            let methods = "siamese,triplet,supcon,simclr,moco,byol,simsiam";
            succeeds(&steps(backend, methods, data.to_str().unwrap(), &out));
            report(&out)["rows"].clone()
        })
        .collect();
    close(&curves[0], &curves[1]);
}

#[test]
fn bad_arguments_are_refused_with_the_way_out() {
    for (args, says) in [
        (vec!["run", "--methods", "tripplet"], "did you mean `triplet`?"),
        (vec!["run", "--encoder", "conv5"], "did you mean `conv4`?"),
        (vec!["run", "--dataset", "fashion_mnits"], "did you mean `fashion_mnist`?"),
        (vec!["run", "--backend", "wpgu"], "did you mean `wgpu`?"),
        (vec!["run", "--backend", "cuda"], "--features cuda"),
        (vec!["run", "--dataset", "iris", "--batch", "4096"], "lower --batch"),
        (vec!["run", "--labels", "2"], "--labels must be in (0, 1]"),
        (vec!["run", "--dataset", "digits", "--unseen-classes", "9"], "--unseen-classes"),
        (vec!["run", "--dataset", "digits", "--unseen-classes", "3,eleven"], "eleven"),
        (vec!["run", "--dataset", "iris", "--batch", "16", "--encoder", "conv4"], "--encoder mlp"),
        (vec!["run", "--config", "/nonexistent/config.toml"], "/nonexistent/config.toml"),
        (vec!["run", "--epochs", "0"], "--epochs"),
        (vec!["report", "/nonexistent"], "/nonexistent"),
        (vec!["sing"], "sing"),
    ] {
        let (code, message) = refused(&args);
        assert_eq!(code, 2, "{args:?}: {message}");
        assert!(message.contains(says), "{args:?}: {message}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let out = file.join("run");
    let (code, message) = refused(&["run", "--dataset", "iris", "--batch", "16", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("file"), "{message}");
}

#[test]
fn a_diverging_method_stops_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    fs::write(
        &config,
        "dataset = \"digits\"\nmethods = [\"simclr\", \"pixels\"]\nepochs = 1\nimages = 300\nbatch = 64\nbackend = \"flex\"\n\
         [method.simclr.optimizer]\nkind = \"sgd\"\nlearning_rate = 1e30\nwarmup = 0.0\n",
    )
    .unwrap();
    let out = dir.path().join("run");
    let (code, message) = refused(&["run", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("lower the learning rate"), "{message}");
    let report = report(&out);
    assert_eq!(report["rows"][0]["method"], "pixels");
    assert_eq!(report["failures"][0]["method"], "simclr");
}

#[test]
fn the_list_names_everything() {
    let output = compare(&["list"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in ["triplet", "simsiam", "conv4", "fashion_mnist", "flex", "cuda", "quick"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}
