//! Encoders that a run leaves behind, used on other data.

mod common;
#[path = "common/program.rs"]
mod program;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

fn compare(args: &[&str]) -> Output {
    program::compare(args).output().unwrap()
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output of a command that succeeds.
fn succeeds(args: &[&str]) -> String {
    let output = compare(args);
    assert!(output.status.success(), "{args:?}: {}", error_of(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Settings of a small encoder.
const SMALL: [&str; 6] = ["--seeds", "1", "--batch", "64", "--width", "8"];

/// A run of seconds.
fn run(dataset: &str, methods: &str, more: &[&str], out: &Path) {
    let mut args = vec!["run", "--dataset", dataset, "--methods", methods, "--epochs", "1", "--images", "400"];
    args.extend(["--backend", "flex", "--out", text(out)]);
    args.extend(more);
    succeeds(&args);
}

/// Embeds on Flex and returns the file's bytes.
fn embed(checkpoint: &Path, input: &str, out: &Path, more: &[&str]) -> Vec<u8> {
    let mut args = vec!["embed", "--checkpoint", text(checkpoint), "--input", input, "--out", text(out)];
    args.extend(more);
    succeeds(&args);
    fs::read(out).unwrap()
}

/// Rows of a `.npy` file of version 1.0 that holds a matrix of little-endian 32-bit floats.
fn matrix(bytes: &[u8]) -> Vec<Vec<f32>> {
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let [n, d]: [usize; 2] =
        shape.split(", ").map(|side| side.parse().unwrap()).collect::<Vec<usize>>().try_into().unwrap();
    let values: Vec<f32> = bytes[end..].as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    assert_eq!((values.len(), bytes.len() - end), (n * d, 4 * n * d));
    values.chunks(d).map(<[f32]>::to_vec).collect()
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((x - y).abs() <= tolerance * (1.0 + x.abs()), "{x} {y}");
    }
}

#[test]
fn every_row_leaves_an_encoder_that_embeds_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let methods = "pixels,pca,untrained,simclr,deep_mahalanobis,lmnn,simclr+lmnn";
    run("digits", methods, &SMALL, &out);
    for row in json(&out.join("report.json"))["rows"].as_array().unwrap() {
        let method = row["method"].as_str().unwrap();
        assert_eq!(row["checkpoint"], format!("encoders/{method}-seed0.safetensors"));
        let encoder = out.join(row["checkpoint"].as_str().unwrap());
        let file = dir.path().join(format!("{method}.npy"));
        let flex = ["--backend", "flex"];
        let bytes = embed(&encoder, "digits", &file, &flex);
        let rows = matrix(&bytes);
        assert_eq!(rows.len(), 1_797, "{method}");
        assert!(rows.iter().flatten().all(|value| value.is_finite()), "{method}");
        let table = fs::read_to_string(dir.path().join(format!("{method}.npy.csv"))).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1]), (1_798, "path,label", "digits/0,0"));

        assert_eq!(embed(&encoder, "digits", &file, &flex), bytes, "{method}");
        close(&matrix(&embed(&encoder, "digits", &file, &["--backend", "flex", "--batch", "7"])), &rows, 1e-4);
        if method == "pixels" {
            assert_eq!(rows[0].len(), 64);
            assert!(first_neighbour_accuracy(&rows[..300], &lines[1..301]) > 0.8);
        }
        if method == "simclr" {
            assert_eq!(rows[0].len(), 8);
            close(&matrix(&embed(&encoder, "digits", &file, &["--backend", "ndarray"])), &rows, 1e-3);
        }
    }
}

/// Share of rows whose nearest other row has the same label, the second cell of its line.
fn first_neighbour_accuracy(rows: &[Vec<f32>], lines: &[&str]) -> f64 {
    let label = |i: usize| lines[i].split_once(',').unwrap().1;
    let distance = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    let nearest = |i: usize| {
        let others = (0..rows.len()).filter(|j| *j != i);
        others.min_by(|a, b| distance(i, *a).total_cmp(&distance(i, *b))).unwrap()
    };
    (0..rows.len()).filter(|i| label(*i) == label(nearest(*i))).count() as f64 / rows.len() as f64
}

#[test]
fn a_query_out_of_the_gallery_finds_itself() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("images");
    common::images(&data);
    let out = dir.path().join("run");
    run(text(&data), "triplet,triplet+lmnn", &["--batch", "60", "--width", "8"], &out);
    let ask = |method: &str, query: &Path, top: &str, file: &str| {
        let encoder = out.join(format!("encoders/{method}-seed0.safetensors"));
        let file = dir.path().join(file);
        let mut args = vec!["query", "--checkpoint", text(&encoder), "--gallery", text(&data), "--backend", "flex"];
        args.extend(["--query", text(query), "--top", top, "--out", text(&file)]);
        (succeeds(&args), file)
    };

    // The learnt distance of a row to its copy is exactly zero.
    let answers = json(&ask("triplet+lmnn", &data, "2", "all.json").1);
    assert_eq!(
        (answers["gallery_items"].as_u64(), answers["measure"].as_str()),
        (Some(180), Some("the distance learnt"))
    );
    let queries = answers["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 180);
    for query in queries {
        let [nearest, next] = &query["neighbors"].as_array().unwrap()[..] else { panic!("{query}") };
        assert_eq!((&nearest["path"], &nearest["label"]), (&query["path"], &query["label"]));
        assert_eq!(nearest["distance"], 0.0);
        assert!(next["distance"].as_f64().unwrap() > 0.0);
    }

    let one = data.join("class1/07.pgm");
    let (shown, file) = ask("triplet", &one, "3", "one.json");
    let answer = &json(&file)["queries"][0];
    assert_eq!(answer["neighbors"].as_array().unwrap().len(), 3);
    let similarity = answer["neighbors"][0]["similarity"].as_f64().unwrap();
    assert!((similarity - 1.0).abs() < 1e-4, "{similarity}");
    // One image without its folder has no class.
    assert!(answer.get("label").is_none() && shown.contains("07.pgm\n    1 "), "{shown}");

    let (_, file) = ask("triplet", &data.join("class2"), "3", "page.html");
    let page = fs::read_to_string(file).unwrap();
    assert!(page.matches("<section>").count() == 60 && page.contains("url(\"data:image/png;base64,"));
    for foreign in ["src=", "href=", "http:", "https:", "<script", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn rows_and_images_of_another_size() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    run("iris", "lmnn,triplet", &["--batch", "16"], &out);
    let table = dir.path().join("new.csv");
    fs::write(&table, "a,b,c,d\n5.1,3.5,1.4,0.2\n6.2,2.9,4.3,1.3\n").unwrap();
    for method in ["lmnn", "triplet"] {
        let encoder = out.join(format!("encoders/{method}-seed0.safetensors"));
        let file = dir.path().join(format!("{method}.npy"));
        let rows = matrix(&embed(&encoder, text(&table), &file, &["--backend", "flex"]));
        let all = matrix(&embed(&encoder, "iris", &dir.path().join("iris.npy"), &["--backend", "flex"]));
        // The first row is the first of Iris.
        close(&rows[..1], &all[..1], 1e-4);
        assert_eq!((rows.len(), all.len()), (2, 150));
        let parquet = embed(&encoder, text(&table), &dir.path().join("new.parquet"), &["--backend", "flex"]);
        assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
        assert!(!dir.path().join("new.parquet.csv").exists());
    }

    let (images, out) = (dir.path().join("images"), dir.path().join("digits"));
    common::images(&images);
    run("digits", "untrained", &SMALL, &out);
    let encoder = out.join("encoders/untrained-seed0.safetensors");
    let mut args = vec!["embed", "--checkpoint", text(&encoder), "--input", text(&images), "--backend", "flex"];
    let file = dir.path().join("images.npy");
    args.extend(["--out", text(&file)]);
    let output = compare(&args);
    assert!(output.status.success());
    let note = error_of(&output);
    assert!(note.contains("180 of 180 images") && note.contains("grey images of 8 x 8 pixels"), "{note}");
    assert_eq!(matrix(&fs::read(&file).unwrap()).len(), 180);
}

#[test]
fn bad_arguments_are_refused_with_the_way_out_and_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let run_folder = dir.path().join("run");
    run("digits", "pixels,untrained", &SMALL, &run_folder);
    let encoder = run_folder.join("encoders/untrained-seed0.safetensors");
    let damaged = dir.path().join("damaged.safetensors");
    let bytes = fs::read(&encoder).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() - 9]).unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let out = |name: &str| files.join(name);
    let embed = |checkpoint: &Path, input: &str, name: &str, more: &[&str]| {
        let file: PathBuf = out(name);
        let mut args = vec!["embed", "--checkpoint", text(checkpoint), "--input", input, "--out", text(&file)];
        args.extend(more);
        compare(&args)
    };
    let query = |more: &[&str]| {
        let mut args = vec!["query", "--checkpoint", text(&encoder), "--gallery", "digits", "--query", "digits"];
        args.extend(more);
        compare(&args)
    };
    let page = out("page.csv");
    let flex: &[&str] = &["--backend", "flex"];
    for (output, says) in [
        (embed(&run_folder, "digits", "e.npy", flex), "encoders/untrained-seed0.safetensors"),
        (embed(&dir.path().join("none"), "digits", "e.npy", flex), "cannot read the encoder"),
        (embed(&damaged, "digits", "e.npy", flex), "is damaged"),
        (embed(&encoder, "iris", "e.npy", flex), "holds rows of 4 numbers, but the encoder takes grey images of 8 x 8"),
        (embed(&encoder, "digitts", "e.npy", flex), "did you mean `digits`?"),
        (embed(&encoder, "digits", "e.txt", flex), ".npy"),
        (embed(&encoder, "digits", "e.npy", &["--batch", "0"]), "--batch"),
        (embed(&encoder, "digits", "e.npy", &["--backend", "flexx"]), "did you mean `flex`?"),
        (query(&["--top", "0", "--backend", "flex"]), "--top"),
        (query(&["--top", "1798", "--backend", "flex"]), "1797 items"),
        (query(&["--out", text(&page)]), ".html"),
    ] {
        let message = error_of(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(says), "{says}: {message}");
    }
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
}
