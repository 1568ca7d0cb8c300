//! `compare tune` as a person uses it.

#[path = "common/program.rs"]
mod program;

use program::{refused, report, succeeds};
use serde_json::Value;
use std::{fs, path::Path};

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
    // It says what was searched and chosen.
    let told = report["tuning"]["methods"].as_array().unwrap();
    let names: Vec<&str> = told.iter().map(|method| method["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["triplet", "simclr", "lmnn"]);
    assert!(told.iter().all(|method| method["trials"] == 2 && !method["settings"].as_array().unwrap().is_empty()));
    let page = fs::read_to_string(out.join("final-2").join("index.html")).unwrap();
    assert!(page.contains("Settings that were searched") && page.contains("Equal effort: every method has 2 trials"));
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
    args.extend(["--encoder", "mlp", "--batch", "16", "--search-only"]);
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

    // Trials on other data are of another search.
    let search = fs::read_to_string(part.join("search.toml")).unwrap();
    fs::write(part.join("search.toml"), search.replace("data = \"", "data = \"0")).unwrap();
    let (code, message) = refused(&["tune", "--resume", part_name, "--trials", "8", "--search-only"]);
    assert!(code == 2 && message.contains("the data of iris have changed since"), "{code}: {message}");
    assert_eq!(trials(&part), expected);
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
