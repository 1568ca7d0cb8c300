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
    for id in ["cost", "curves", "maps", "similarities", "spectra", "galleries", "confusions"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("data-thumb=\"t0-") && page.contains("url(\"data:image/png;base64,"));
    for foreign in ["src=", "href=", "@import", "http:", "https:", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
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

/// A search of seconds.
fn tuning<'a>(dataset: &'a str, methods: &'a str, trials: &'a str, out: &'a Path) -> Vec<&'a str> {
    let mut args = vec!["tune", "--dataset", dataset, "--epochs", "2", "--backend", "flex", "--width", "8"];
    args.extend(["--methods", methods, "--trials", trials, "--out", out.to_str().unwrap()]);
    args
}

/// The trials of a folder, without their times.
fn trials(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("trials.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|mut trial| {
            trial["seconds"] = Value::Null;
            trial
        })
        .collect()
}

#[test]
fn every_method_gets_as_many_trials_on_validation_and_the_tuned_settings_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("tune");
    let mut args = tuning("digits", "pixels,triplet,simclr+lmnn", "2", &out);
    args.extend(["--images", "400", "--batch", "64", "--seeds", "1", "--folds", "2", "--objective", "retrieval"]);
    succeeds(&args);
    let done = trials(&out);
    let order: Vec<&str> = done.iter().map(|trial| trial["method"].as_str().unwrap()).collect();
    assert_eq!(order, ["triplet", "simclr", "lmnn", "triplet", "simclr", "lmnn"]);
    for trial in &done {
        let folds = trial["folds"].as_array().unwrap();
        let mean = folds.iter().map(|fold| fold["retrieval"].as_f64().unwrap()).sum::<f64>() / 2.0;
        assert!(folds.len() == 2 && (trial["value"].as_f64().unwrap() - mean).abs() < 1e-9, "{trial}");
    }
    let tuning: Value = serde_json::from_slice(&fs::read(out.join("tuning.json")).unwrap()).unwrap();
    let [held, others] = [0, 1].map(|fold| tuning["held_out"][fold].as_array().unwrap().clone());
    assert!(held.len() == 2 && others.len() == 2 && held.iter().all(|class| !others.contains(class)), "{tuning}");
    for method in tuning["methods"].as_array().unwrap() {
        let (best, given) = (method["best"].as_f64().unwrap(), method["given"].as_f64().unwrap());
        assert!(best >= given && method["best_so_far"][1].as_f64() == Some(best), "{method}");
    }
    assert!(fs::read_to_string(out.join("tuning.md")).unwrap().contains("Equal effort: every method has 2 trials"));
    // The run with the tuned settings has every row.
    let report = report(&out.join("final-2"));
    let rows: Vec<&str> = report["rows"].as_array().unwrap().iter().map(|r| r["method"].as_str().unwrap()).collect();
    assert_eq!(rows, ["pixels", "triplet", "simclr+lmnn"]);
    let best = &tuning["methods"][0];
    let chosen = &best["trials"][best["best_trial"].as_u64().unwrap() as usize - 1]["settings"];
    let rate = |value: &Value| value.as_f64().unwrap();
    let used = rate(&report["settings"]["method"]["triplet"]["optimizer"]["learning_rate"]);
    assert!((used / rate(&chosen["optimizer.learning_rate"]) - 1.0).abs() < 1e-3, "{used} {chosen}");
}

#[test]
fn a_search_that_was_cut_off_goes_on_as_if_it_had_not_been() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let mut args = tuning("iris", "triplet,itml", "7", &whole);
    args.extend(["--batch", "16", "--search-only"]);
    succeeds(&args);
    let expected = trials(&whole);
    assert_eq!(expected.len(), 14);
    let origins: Vec<&str> = expected.iter().step_by(2).map(|trial| trial["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["given", "prior", "prior", "prior", "prior", "tpe", "tpe"]);
    assert!(!whole.join("final-7").exists());

    // Killed while it wrote its twelfth trial, of what was then a shorter search.
    let part = dir.path().join("part");
    fs::create_dir(&part).unwrap();
    fs::copy(whole.join("config.toml"), part.join("config.toml")).unwrap();
    let search = fs::read_to_string(whole.join("search.toml")).unwrap();
    fs::write(part.join("search.toml"), search.replace("trials = 7", "trials = 6")).unwrap();
    let text = fs::read_to_string(whole.join("trials.jsonl")).unwrap();
    let end = text.match_indices('\n').nth(10).unwrap().0 + 20;
    fs::write(part.join("trials.jsonl"), &text[..end]).unwrap();
    let part_name = part.to_str().unwrap();
    let (code, message) = refused(&["tune", "--resume", part_name, "--trials", "7", "--search-only"]);
    assert_eq!(code, 0, "{message}");
    assert!(message.contains("cut off"), "{message}");
    assert_eq!(trials(&part), expected);
    let tuned = |dir: &Path| fs::read_to_string(dir.join("tuned.toml")).unwrap();
    assert_eq!(tuned(&part), tuned(&whole));

    // What would be another search is refused, and so is a second one in its folder.
    for (args, says) in [
        (vec!["tune", "--resume", part_name, "--trials", "3"], "only more --trials"),
        (vec!["tune", "--resume", part_name, "--objective", "transfer"], "--objective mean"),
        (vec!["tune", "--dataset", "iris", "--batch", "16", "--out", part_name], "--resume"),
        (vec!["tune", "--resume", "/nonexistent"], "/nonexistent"),
        (vec!["tune", "--dataset", "iris", "--batch", "16", "--folds", "2"], "--folds"),
        (vec!["tune", "--dataset", "iris", "--batch", "16", "--trials", "0"], "--trials"),
        (vec!["tune", "--dataset", "iris", "--batch", "16", "--methods", "pixels,pca"], "nothing to set"),
    ] {
        let (code, message) = refused(&args);
        assert_eq!(code, 2, "{args:?}: {message}");
        assert!(message.contains(says), "{args:?}: {message}");
    }
}

#[test]
fn a_trial_that_fails_counts_and_is_the_worst() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    let text = "dataset = \"digits\"\nmethods = [\"simclr\"]\nepochs = 1\nimages = 300\nbatch = 64\nbackend = \"flex\"\n\
                [method.simclr.optimizer]\nkind = \"sgd\"\nlearning_rate = 1e30\nwarmup = 0.0\n";
    fs::write(&config, text).unwrap();
    let out = dir.path().join("tune");
    let args = ["tune", "--config", config.to_str().unwrap(), "--trials", "2", "--search-only"];
    let (code, message) = refused(&[&args[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("every trial failed of simclr"), "{message}");
    for trial in trials(&out) {
        assert!(trial["value"].is_null() && trial["failure"].is_string(), "{trial}");
    }
    assert!(fs::read_to_string(out.join("tuning.md")).unwrap().contains("failed: "));
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
