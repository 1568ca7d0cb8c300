//! The program as a person uses it: a small run end to end, and what it says to bad input.

mod common;
#[path = "common/program.rs"]
mod program;

use program::{compare, refused, report, succeeds};
use serde_json::Value;
use std::{fs, path::Path};

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
    let mut args = vec!["run", "--dataset", "digits", "--seeds", "1", "--epochs", "2", "--batch", "64", "--width", "8"];
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
    let all = "pixels,pca,untrained,supervised,mahalanobis,siamese,triplet,supcon,simclr,simclr+lmnn,moco,byol,simsiam";
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

    // The report can be written again, and joined with another, though not in the place of one.
    let joint = dir.path().join("joint");
    let a = dir.path().join("a");
    let before = fs::read(a.join("report.json")).unwrap();
    let (code, message) =
        refused(&["report", a.to_str().unwrap(), again.to_str().unwrap(), "--out", a.join(".").to_str().unwrap()]);
    assert!(code == 2 && message.contains("choose another --out"), "{code}: {message}");
    assert_eq!(fs::read(a.join("report.json")).unwrap(), before);
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
    let mut args = vec!["run", "--dataset", data, "--seeds", "1", "--epochs", "3", "--batch", "100", "--width", "16"];
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
    let mut args =
        vec!["run", "--dataset", "wine", "--seeds", "1", "--methods", methods, "--epochs", "5", "--batch", "32"];
    args.extend(["--backend", "flex", "--width", "64", "--out", out.to_str().unwrap()]);
    succeeds(&args);
    let report = report(&out);
    assert_eq!(report["encoder"], "mlp width 64", "a width alone keeps the encoder that suits rows");
    assert!(report["rows"][1]["scores"]["transfer.seen.linear_probe"].as_f64().unwrap() > 0.8);
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

/// The same numbers, up to the last digit that reading and writing JSON may cost.
fn same(a: &Value, b: &Value) {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| same(a, b));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
            a.values().zip(b.values()).for_each(|(a, b)| same(a, b));
        }
        _ => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-12 * a.abs(), "{a} {b}");
        }
    }
}

/// A run that stopped between the two stages of a hybrid, and one that has no trace of it: both end as the whole run.
#[test]
fn hybrids_resume_between_their_stages() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    succeeds(&tiny("flex", "simclr-then-triplet,simclr-with-triplet+lmnn", "400", &whole));
    let rows = report(&whole)["rows"].clone();
    let folder = whole.join("checkpoints/simclr-then-triplet-seed0");
    for stage in ["pre-training", "fine-tuning"] {
        assert!(folder.join(stage).is_dir(), "{stage}");
    }
    for (index, what) in [(0, folder.join("fine-tuning")), (1, whole.join("checkpoints"))] {
        fs::remove_dir_all(what).unwrap();
        let mut stopped = report(&whole);
        stopped["rows"].as_array_mut().unwrap().truncate(index);
        fs::write(whole.join("report.json"), stopped.to_string()).unwrap();
        succeeds(&["run", "--resume", whole.to_str().unwrap()]);
        let again = report(&whole)["rows"].clone();
        for (a, b) in rows.as_array().unwrap().iter().zip(again.as_array().unwrap()) {
            assert_eq!((&a["method"], &a["cost"]["steps"]), (&b["method"], &b["cost"]["steps"]));
            same(&a["curve"], &b["curve"]);
            same(&a["scores"], &b["scores"]);
        }
        assert_eq!(again.as_array().unwrap().len(), 2);
    }
}

#[test]
fn fine_tuning_is_scored_where_there_is_an_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut args = tiny("flex", "pixels,untrained,simclr,simclr+lmnn", "400", &out);
    args.push("--fine-tune");
    succeeds(&args);
    let report = report(&out);
    for row in report["rows"].as_array().unwrap() {
        let trainable = ["untrained", "simclr"].contains(&row["method"].as_str().unwrap());
        for score in ["seen.fine_tune_1", "seen.fine_tune_10", "unseen.fine_tune_1", "unseen.fine_tune_10"] {
            assert_eq!(row["scores"][format!("transfer.{score}")].is_f64(), trainable, "{score}: {row}");
        }
        let noted =
            row["notes"].as_array().is_some_and(|notes| notes.iter().any(|n| n.to_string().contains("fine_tune")));
        assert_eq!(noted, !trainable, "{row}");
        assert!(row["scores"]["transfer.seen.prototypes"].is_f64(), "{row}");
    }
    let definitions = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(definitions.contains("trained on with 10 % of the training labels"));
}

#[test]
fn bad_arguments_are_refused_with_the_way_out() {
    for (args, says) in [
        (vec!["run", "--methods", "tripplet"], "did you mean `triplet`?"),
        (vec!["run", "--methods", "triplet-then-simclr"], "simclr-then-triplet"),
        (vec!["run", "--methods", "simclr-then-tripplet"], "did you mean `triplet`?"),
        (vec!["run", "--encoder", "conv5"], "did you mean `conv4`?"),
        (vec!["run", "--dataset", "fashion_mnits"], "did you mean `fashion_mnist`?"),
        (vec!["run", "--backend", "wpgu"], "did you mean `wgpu`?"),
        (vec!["run", "--backend", "cuda"], "--features cuda"),
        (vec!["run", "--dataset", "iris", "--batch", "4096"], "rows to train on: lower --batch"),
        (vec!["run", "--images", "0"], "or `all`"),
        (vec!["run", "--epochs", "-3"], "'-3' for '--epochs"),
        (vec!["run", "--dataset", "wine", "--width", "100000000"], "lower --width"),
        (vec!["run", "--methods", "lmnn+simclr"], "for example simclr+lmnn"),
        (vec!["run", "--labels", "2"], "--labels must be in (0, 1]"),
        (vec!["run", "--supervision", "pair"], "did you mean `pairs`?"),
        (vec!["run", "--supervision", "pairs", "--methods", "arcface,itml"], "`arcface` cannot learn from pairs"),
        (vec!["run", "--supervision", "chunks", "--methods", "triplet,itml"], "with --unsaid different"),
        (vec!["run", "--supervision", "triplets", "--unsaid", "different"], "which rows belong together"),
        (vec!["run", "--unsaid", "different"], "--unsaid needs --supervision pairs or chunks"),
        (vec!["run", "--supervision", "pairs", "--unsaid", "unknwon"], "did you mean `unknown`?"),
        (vec!["run", "--constraints", "9"], "--supervision"),
        (vec!["run", "--label-noise", "1"], "--label-noise must be in [0, 1)"),
        (vec!["sweep"], "--axis"),
        (vec!["sweep", "--axis", "lables"], "did you mean `labels`?"),
        (vec!["sweep", "--axis", "batch", "--values", "64,many"], "`many` is not a number"),
        (vec!["sweep", "--axis", "queue", "--methods", "triplet", "--dataset", "digits"], "depends on `queue`"),
        (vec!["sweep", "--axis", "batch", "--values", "64,9000", "--dataset", "digits"], "lower --batch"),
        (vec!["sweep", "--axis", "labels", "--values", "0.5,0.5"], "two different values"),
        (vec!["sweep", "--axis", "labels", "--values", "0,0.5", "--dataset", "wine"], "--values: labels 0, "),
        (vec!["run", "--dataset", "digits", "--unseen-classes", "9"], "--unseen-classes"),
        (vec!["run", "--dataset", "digits", "--unseen-classes", "3,eleven"], "eleven"),
        (vec!["run", "--dataset", "digits", "--unseen-classes", "3,3"], "at least 2 of them"),
        (vec!["run", "--dataset", "iris", "--batch", "16", "--encoder", "conv4"], "--encoder mlp"),
        (vec!["run", "--config", "/nonexistent/config.toml"], "/nonexistent/config.toml"),
        (vec!["run", "--epochs", "0"], "--epochs"),
        (vec!["run", "--dataset", "digits", "--monitor", "liner"], "did you mean `linear`?"),
        (
            vec!["run", "--dataset", "digits", "--methods", "byol,simclr", "--accumulate", "4"],
            "gradient caching (`chunk`)",
        ),
        (vec!["run", "--dataset", "digits", "--methods", "triplet,byol", "--chunk", "64"], "byol offers no"),
        (vec!["run", "--dataset", "digits", "--methods", "byol", "--chunk", "64", "--accumulate", "2"], "choose one"),
        // All that cannot are named.
        (
            vec!["run", "--dataset", "digits", "--methods", "byol,simclr,simsiam", "--chunk", "64"],
            "keeps its meaning here; simsiam offers no",
        ),
        (
            vec!["tune", "--dataset", "digits", "--methods", "simclr,supcon", "--accumulate", "2"],
            "or a smaller batch; the loss of supcon",
        ),
        (vec!["report", "/nonexistent"], "/nonexistent"),
        (vec!["sing"], "sing"),
    ] {
        let (code, message) = refused(&args);
        assert_eq!(code, 2, "{args:?}: {message}");
        assert!(message.contains(says), "{args:?}: {message}");
    }
}

#[test]
fn monitors_stand_in_the_row_and_change_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [None, Some("knn,linear")].map(|monitor| {
        let out = dir.path().join(monitor.unwrap_or("none"));
        let mut args = tiny("flex", "simclr,byol", "400", &out);
        args.extend(monitor.map(|list| ["--monitor", list]).into_iter().flatten());
        succeeds(&args);
        report(&out)["rows"].clone()
    });
    for (without, with) in rows[0].as_array().unwrap().iter().zip(rows[1].as_array().unwrap()) {
        assert_eq!((&without["scores"], &without["curve"]), (&with["scores"], &with["curve"]));
        assert!(without["monitors"].is_null());
        for name in ["knn.validation", "linear.batches", "linear.validation"] {
            let values = with["monitors"][name].as_array().unwrap();
            assert_eq!(values.len(), 2, "{name}");
            assert!(values.iter().all(|v| (0.0..=1.0).contains(&v.as_f64().unwrap())), "{name}: {values:?}");
        }
    }
}

#[test]
fn batches_pass_in_chunks_or_parts() {
    let dir = tempfile::tempdir().unwrap();
    for (methods, way) in
        [("simclr,moco,supcon,triplet,arcface,swav,dino", "--chunk"), ("byol,simsiam", "--accumulate")]
    {
        let out = dir.path().join(way);
        let mut args = tiny("flex", methods, "400", &out);
        args.extend([way, "4"]);
        succeeds(&args);
        let report = report(&out);
        assert_eq!(report["rows"].as_array().unwrap().len(), methods.split(',').count());
        assert_eq!(report["budget"]["batch"], 64, "a batch keeps its size");
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
fn crops_too_small_for_the_encoder_are_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("crops.toml");
    fs::write(
        &config,
        "dataset = \"digits\"\nmethods = [\"pixels\", \"dino\"]\nepochs = 1\nimages = 300\nbatch = 64\n\
         backend = \"flex\"\nviews = \"dino_cifar\"\n[method.dino.settings.small_crops]\ncount = 2\n",
    )
    .unwrap();
    let out = dir.path().join("run");
    let (code, message) = refused(&["run", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(code, 2, "{message}");
    // 0.43 of 8 pixels are 3.
    assert!(message.contains("views of dino") && message.contains("view 2"), "{message}");
    assert!(message.contains("at least 8 x 8, the input is 3 x 3"), "{message}");
    assert!(!out.join("report.json").exists(), "nothing has run");
}

#[test]
fn a_diverging_method_stops_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    fs::write(
        &config,
        "dataset = \"digits\"\nmethods = [\"simclr\", \"pixels\"]\nseeds = 1\nepochs = 1\nimages = 300\nbatch = 64\nbackend = \"flex\"\n\
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
    let names =
        ["triplet", "simsiam", "A-then-B", "A-with-B", "conv4", "fashion_mnist", "flex", "cuda", "quick", "per_class"];
    for name in names {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    for (settings, says) in [
        (
            "methods = [\"circle\"]\n[method.losses.circle.settings.distance.euclidean]\nnormalized = true\nsquared = false",
            "the circle loss is defined for the cosine",
        ),
        ("methods = [\"siamese\"]\n[method.siamese.settings.sampling.cross_groups]\ngroups = 2", "--group-column"),
        (
            "methods = [\"siamese\"]\n[method.siamese.settings.loss.reducer.class_weighted]\nweights = [1.0, 2.0]",
            "class 2 has no weight",
        ),
        ("methods = [\"siamese\"]\nsupervision = \"pairs\"\nconstraints = \"none.csv\"", "none.csv"),
    ] {
        let file = dir.path().join("settings.toml");
        fs::write(&file, format!("dataset = \"digits\"\nbatch = 64\nbackend = \"flex\"\n{settings}\n")).unwrap();
        let (code, message) = refused(&["run", "--config", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert_eq!(code, 2, "{settings}: {message}");
        assert!(message.contains(says), "{settings}: {message}");
        assert!(!out.exists(), "{settings}");
    }
}

#[test]
fn methods_learn_from_pairs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut args = tiny("flex", "siamese,itml,simclr", "400", &out);
    args.extend(["--supervision", "pairs", "--constraints", "300"]);
    succeeds(&args);
    let report = report(&out);
    for (row, used) in report["rows"].as_array().unwrap().iter().zip([Some(300), Some(300), None]) {
        assert_eq!(row["labels_used"], used.unwrap_or(0), "{row}");
        assert_eq!(row["axes"]["constraints"].as_f64(), used.map(f64::from), "{row}");
        let notes = row["notes"].to_string();
        assert_eq!(notes.contains("trained on 300 pairs drawn from the labels"), used.is_some(), "{row}");
    }
    assert_eq!(report["settings"]["supervision"], "pairs");
}

#[test]
fn chunks_that_are_classes_train_methods_of_class_labels() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut args = tiny("flex", "supcon,arcface,rca,itml,simclr-then-triplet", "400", &out);
    args.extend(["--supervision", "chunks", "--constraints", "60", "--unsaid", "different", "--monitor", "linear,knn"]);
    succeeds(&args);
    let report = report(&out);
    for row in report["rows"].as_array().unwrap() {
        assert_eq!(row["labels_used"], 60, "{row}");
        let notes = row["notes"].to_string();
        assert!(notes.contains("60 classes of 120 images") && notes.contains("% are of one class"), "{notes}");
        // Monitors read the classes of the data, of which there are as many as ever.
        assert!(!notes.contains("monitors ended"), "{notes}");
    }
    assert_eq!(report["settings"]["unsaid"], "different");
}

#[test]
fn groups_of_a_table_make_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (table, settings, out) = (dir.path().join("t.csv"), dir.path().join("s.toml"), dir.path().join("run"));
    let rows = (0..240).map(|i| {
        let (class, camera, noise) = (i % 3, i / 3 % 4, f64::from(i * 37 % 19) / 19.0);
        format!("{},{},{camera},c{class}\n", f64::from(class) + noise, noise - f64::from(class))
    });
    fs::write(&table, format!("x,y,camera,kind\n{}", rows.collect::<String>())).unwrap();
    fs::write(&settings, "methods = [\"siamese\"]\n[method.siamese.settings.sampling.cross_groups]\ngroups = 4\n")
        .unwrap();
    let mut args = vec!["run", "--config", settings.to_str().unwrap(), "--dataset", table.to_str().unwrap()];
    args.extend(["--label-column", "kind", "--group-column", "camera", "--batch", "32", "--epochs", "2"]);
    args.extend(["--backend", "flex", "--out", out.to_str().unwrap()]);
    succeeds(&args);
    let row = report(&out)["rows"][0].clone();
    let notes = row["notes"].to_string();
    assert!(notes.contains("batches visited 3 of 3 classes") && notes.contains("3.0 classes a batch"), "{notes}");
}
