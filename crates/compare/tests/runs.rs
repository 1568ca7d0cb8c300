//! What the folder of a run allows and refuses, and what small data need no option for.

#[path = "common/program.rs"]
mod program;

use program::{refused, report, succeeds};
use std::{fs, path::Path, process::Stdio};

/// A run of a second on the 128 training rows of wine, but for what is asked for.
fn wine<'a>(command: &'a str, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![command, "--dataset", "wine", "--epochs", "2", "--width", "8", "--backend", "flex"];
    args.extend(["--out", out.to_str().unwrap()]);
    args.extend(more);
    args
}

#[test]
fn a_folder_belongs_to_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let name = out.to_str().unwrap();
    succeeds(&wine("run", &out, &["--methods", "triplet", "--seeds", "1"]));
    let first = fs::read(out.join("report.json")).unwrap();
    for args in [
        wine("run", &out, &["--methods", "triplet", "--seeds", "1", "--labels", "0.1"]),
        wine("sweep", &out, &["--axis", "labels", "--methods", "triplet"]),
        wine("tune", &out, &["--methods", "triplet", "--trials", "2"]),
    ] {
        let (code, message) = refused(&args);
        assert_eq!(code, 2, "{args:?}: {message}");
        assert!(message.contains("holds a run already") && message.contains("--resume"), "{args:?}: {message}");
    }
    for ([option, value], says) in [
        (["--epochs", "3"], "would change epochs:"),
        (["--methods", "triplet,simclr"], "would change methods:"),
        (["--labels", "0.5"], "would change labels:"),
        (["--seed", "7"], "would change seed:"),
    ] {
        let (code, message) = refused(&["run", "--resume", name, option, value]);
        assert_eq!(code, 2, "{option}: {message}");
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(fs::read(out.join("report.json")).unwrap(), first, "nothing was touched");

    // More seeds are the same run, longer.
    succeeds(&["run", "--resume", name, "--seeds", "2"]);
    let whole = dir.path().join("whole");
    succeeds(&wine("run", &whole, &["--methods", "triplet", "--seeds", "2"]));
    let (longer, whole) = (report(&out), report(&whole));
    assert_eq!(longer["rows"].as_array().unwrap().len(), 2);
    assert_eq!(longer["rows"][1]["scores"], whole["rows"][1]["scores"]);
    let command = longer["command"].as_str().unwrap();
    assert!(command.starts_with("compare run --dataset wine") && !command.contains("--resume"), "{command}");

    // Settings that were changed by hand meet the checkpoints of others.
    let config = fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(config.contains("\nepochs = 2\n"), "{config}");
    fs::write(out.join("config.toml"), config.replacen("\nepochs = 2\n", "\nepochs = 3\n", 1)).unwrap();
    fs::remove_file(out.join("report.json")).unwrap();
    let (code, message) = refused(&["run", "--resume", name]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("belongs to other settings, other data or another seed"), "{message}");
}

/// Means over rows of old and of new data would be of neither.
#[test]
fn data_that_changed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (table, out) = (dir.path().join("t.csv"), dir.path().join("run"));
    let row = |i: usize| format!("{},{},{}\n", i % 7, i, ["a", "b", "c"][i % 3]);
    let rows: String = (0..90).map(row).collect();
    fs::write(&table, format!("x,y,kind\n{rows}")).unwrap();
    let (dataset, name) = (table.to_str().unwrap(), out.to_str().unwrap());
    succeeds(&["run", "--dataset", dataset, "--methods", "pixels", "--seeds", "1", "--backend", "flex", "--out", name]);
    let first = fs::read(out.join("report.json")).unwrap();
    fs::write(&table, format!("x,y,kind\n{rows}1,2,a\n")).unwrap();
    let (code, message) = refused(&["run", "--resume", name, "--seeds", "2"]);
    assert!(code == 2 && message.contains("the data of t have changed since"), "{code}: {message}");
    assert_eq!(fs::read(out.join("report.json")).unwrap(), first, "nothing was touched");
    fs::write(&table, format!("x,y,kind\n{rows}")).unwrap();
    succeeds(&["run", "--resume", name, "--seeds", "2"]);
}

/// Values that the axis takes by itself are for more data than there are here.
#[test]
fn a_sweep_of_small_data_leaves_out_what_does_not_suit_them() {
    let dir = tempfile::tempdir().unwrap();
    for (axis, left_out, kept) in [
        ("batch", "batch 256, 512 left out: a batch of 512 is larger than the 128 rows", "[32.0,64.0,128.0]"),
        ("labels", "labels 0.005, 0.01, 0.02 left out: `triplet`", "[0.05,0.1,0.25,0.5,1.0]"),
    ] {
        let out = dir.path().join(axis);
        let methods = ["--axis", axis, "--methods", "pixels,triplet", "--seeds", "1"];
        let (code, message) = refused(&wine("sweep", &out, &methods));
        assert!(code == 0 && message.contains(left_out), "{code}: {message}");
        let found = report(&out);
        assert_eq!(found["settings"]["sweep"]["values"].to_string(), kept);
        assert!(found["notes"].to_string().contains(left_out.split(':').next().unwrap()), "{}", found["notes"]);
        succeeds(&["sweep", "--resume", out.to_str().unwrap(), "--seeds", "2"]);
        assert_eq!(report(&out)["notes"], found["notes"], "what was left out is still said");
    }
    let asked = ["--axis", "batch", "--values", "64,512", "--methods", "triplet", "--seeds", "1"];
    let (code, message) = refused(&wine("sweep", &dir.path().join("asked"), &asked));
    assert!(code == 2 && message.contains("a batch of 512 is larger"), "what was asked for is refused: {message}");
}

/// `compare ... | head` is no reason to stop.
#[test]
fn a_run_goes_on_when_no_one_listens() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut command = program::compare(&wine("run", &out, &["--methods", "triplet", "--seeds", "1"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert!(child.wait().unwrap().success());
    assert_eq!(report(&out)["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn a_search_does_not_go_on_as_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("tune");
    succeeds(&wine("tune", &out, &["--methods", "triplet", "--trials", "1", "--search-only"]));
    let (code, message) = refused(&["run", "--resume", out.to_str().unwrap()]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("compare tune --resume"), "{message}");
    assert!(!out.join("report.json").exists());
    let (code, message) = refused(&["tune", "--resume", out.to_str().unwrap(), "--epochs", "3", "--search-only"]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("would change epochs:"), "{message}");
}

#[test]
fn small_data_need_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    succeeds(&wine("run", &out, &["--methods", "pca,triplet", "--seeds", "1"]));
    let found = report(&out);
    assert_eq!((found["budget"]["batch"].as_u64(), found["settings"]["batch"].as_u64()), (Some(32), Some(32)));
    let notes = found["notes"].to_string();
    assert!(notes.contains("32 items a step, since there are 128 to train on"), "{notes}");
    assert!(notes.contains("of 3 classes none is left unseen"), "{notes}");
    // The settings that were written suit other data too.
    assert!(!fs::read_to_string(out.join("config.toml")).unwrap().contains("\nbatch ="));
    let swept = dir.path().join("sweep");
    let values = ["--axis", "batch", "--values", "16,32", "--methods", "pca,triplet", "--seeds", "1"];
    succeeds(&wine("sweep", &swept, &values));
    assert_eq!(report(&swept)["rows"].as_array().unwrap().len(), 3);
}

/// Digits of one epoch.
fn digits<'a>(methods: &'a str, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["run", "--dataset", "digits", "--images", "400", "--epochs", "1", "--width", "8"];
    args.extend(["--backend", "flex", "--seeds", "1", "--methods", methods, "--out", out.to_str().unwrap()]);
    args.extend(more);
    args
}

#[test]
fn another_seed_on_the_same_splits() {
    let dir = tempfile::tempdir().unwrap();
    let [first, other] = ["first", "other"].map(|name| dir.path().join(name));
    succeeds(&digits("pixels,untrained", &first, &[]));
    succeeds(&digits("pixels,untrained", &other, &["--seed", "100", "--split-seed", "0"]));
    let [first, other] = [report(&first), report(&other)];
    assert_eq!(first["dataset"], other["dataset"]);
    let score = "retrieval.unseen.map_at_r";
    assert_eq!(first["rows"][0]["scores"][score], other["rows"][0]["scores"][score], "pixels: the same images");
    assert_ne!(first["rows"][1]["scores"][score], other["rows"][1]["scores"][score], "untrained: other weights");
    let seeds = [&first, &other].map(|report| report["settings"]["split_seed"].as_u64());
    assert_eq!((seeds, other["rows"][1]["seed"].as_u64()), ([Some(0), Some(0)], Some(100)));
}

#[test]
fn a_row_says_the_share_of_labels_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    succeeds(&digits("triplet", &out, &["--labels", "0.0001"]));
    let row = report(&out)["rows"][0].clone();
    // One of each of the seven seen classes.
    assert_eq!((row["labels_used"].as_u64(), row["axes"]["labels"].as_f64()), (Some(7), Some(7.0 / 400.0)));
    let notes = row["notes"].to_string();
    assert!(notes.contains("trained on 7 images, one a class") && !notes.contains("easier views"), "{notes}");
    // Rows are found again by it.
    let stamp = fs::metadata(out.join("config.toml")).unwrap().len();
    succeeds(&["run", "--resume", out.to_str().unwrap()]);
    assert_eq!(report(&out)["rows"].as_array().unwrap().len(), 1);
    assert_eq!(fs::metadata(out.join("config.toml")).unwrap().len(), stamp);
}
