//! The programs as a person runs them.

use serde_json::Value;
use std::process::{Command, Output};

const TRAIN_STEP: &str = env!("CARGO_BIN_EXE_train_step");
const LOSSES: &str = env!("CARGO_BIN_EXE_losses");
const MAHALANOBIS: &str = env!("CARGO_BIN_EXE_mahalanobis");
const RETRIEVAL: &str = env!("CARGO_BIN_EXE_retrieval");
const SIMCLR_EPOCH: &str = env!("CARGO_BIN_EXE_simclr_epoch");

const KEYS: [&str; 11] = [
    "work",
    "backend",
    "seconds",
    "encoder",
    "batch",
    "steps",
    "median_images_per_s",
    "mean_images_per_s",
    "min_step_ms",
    "median_step_ms",
    "threads",
];

fn run(program: &str, arguments: &str) -> Output {
    Command::new(program).args(arguments.split_whitespace()).output().expect("the program starts")
}

fn lines(program: &str, arguments: &str) -> Vec<Value> {
    let output = run(program, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn line(program: &str, arguments: &str) -> Value {
    let mut lines = lines(program, arguments);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn refused(program: &str, arguments: &str, expected: &str) {
    let output = run(program, arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
    assert!(message.contains(expected), "{arguments}: {message}");
    assert!(output.stdout.is_empty(), "{arguments}");
}

#[test]
fn prints_one_line_of_json_for_training_and_for_inference() {
    for backend in ["flex", "ndarray"] {
        for mode in ["", "--inference"] {
            let sizes = "--batch 4 --steps 3 --warmup 1 --width 4 --size 8 --channels 1";
            let arguments = format!("--encoder conv4 {sizes} --backend {backend} {mode}");
            let line = line(TRAIN_STEP, &arguments);
            let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(keys, KEYS);
            assert_eq!(line["work"], if mode.is_empty() { "conv4.train" } else { "conv4.inference" });
            assert_eq!(line["encoder"], "conv4");
            assert_eq!(line["backend"], backend);
            assert_eq!(line["batch"], 4);
            assert_eq!(line["steps"], 3);
            let value = |key: &str| line[key].as_f64().unwrap();
            assert!(value("min_step_ms") > 0.0 && value("min_step_ms") <= value("median_step_ms"), "{line}");
            assert!((1e3 * value("seconds") - value("median_step_ms")).abs() < 1e-9, "{line}");
            let product = value("median_images_per_s") * value("median_step_ms");
            assert!((product - 4000.0).abs() < 1e-6, "{line}");
            assert!(value("mean_images_per_s") > 0.0 && value("threads") >= 1.0, "{line}");
        }
    }
}

#[test]
fn bad_arguments_exit_with_2_and_say_what_is_wrong() {
    let cases = [
        ("--encoder resnt18 --batch 4 --steps 1 --backend flex", "did you mean `resnet18`?"),
        ("--encoder conv4 --batch 4 --steps 1 --backend flux", "did you mean `flex`?"),
        ("--encoder conv4 --batch 0 --steps 1 --backend flex", "--batch"),
        ("--encoder conv4 --batch 4 --steps 1 --backend flex --size 4", "--encoder mlp"),
        ("--encoder conv4 --batch 4 --steps 1 --backend cuda", "has no cuda backend"),
        ("--encoder conv4 --batch 4 --backend flex", "--steps"),
    ];
    for (arguments, expected) in cases {
        refused(TRAIN_STEP, arguments, expected);
    }
    refused(LOSSES, "--batch 8 --classes 5", "two embeddings of each");
    refused(LOSSES, "--only loss.triplets", "loss.triplet_semihard");
    refused(MAHALANOBIS, "--rows 601", "as many of each");
    refused(MAHALANOBIS, "--only mahalanobis.lda", "mahalanobis.nca");
    refused(RETRIEVAL, "--references 10 --top 11", "--top 11");
    refused(RETRIEVAL, "--only rank", "scores");
    refused(SIMCLR_EPOCH, "--images 8 --batch 9", "--batch 9");
}

#[test]
fn losses_print_the_peers_values() {
    // Printed by `losses.py --batch 64 --classes 16`, pytorch-metric-learning 2.9.0 and lightly 1.6.0.
    let expected = [
        ("loss.triplet_semihard", 0.134_796_54),
        ("loss.triplet_batch_hard", 0.414_303_81),
        ("loss.contrastive", 1.412_460_68),
        ("loss.multi_similarity", 1.111_310_36),
        ("loss.supcon", 4.554_462_91),
        ("loss.nt_xent", 4.917_738_44),
    ];
    let only: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    for backend in ["flex", "ndarray"] {
        let arguments = format!("--batch 64 --classes 16 --rounds 2 --backend {backend} --only {}", only.join(","));
        let lines = lines(LOSSES, &arguments);
        assert_eq!(lines.len(), expected.len());
        for (line, (name, value)) in lines.iter().zip(expected) {
            assert_eq!((line["work"].as_str(), line["backend"].as_str()), (Some(name), Some(backend)));
            let error = line["check"].as_f64().unwrap() / value - 1.0;
            assert!(error.abs() < 1e-4 && line["seconds"].as_f64().unwrap() > 0.0, "{line}");
        }
    }
}

#[test]
fn retrieval_prints_the_peers_values() {
    // Printed by `retrieval.py --queries 200 --references 500 --top 20`: faiss 1.15.1, pytorch-metric-learning 2.9.0.
    let lines = lines(RETRIEVAL, "--queries 200 --references 500 --top 20 --rounds 2");
    for (line, (name, value)) in lines.iter().zip([("search.500", 68.247_932_01), ("scores.200", 0.026_896_165_9)]) {
        assert_eq!(line["work"], name);
        let error = line["check"].as_f64().unwrap() / value - 1.0;
        assert!(error.abs() < 1e-4 && line["seconds"].as_f64().unwrap() > 0.0, "{line}");
        if cfg!(target_os = "linux") {
            assert!(line["peak_bytes"].as_u64().unwrap() > 1 << 20, "{line}");
        }
    }
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["scores"]["recall_at"][0][1], 0.07);
    let one = line(RETRIEVAL, "--queries 20 --references 30 --top 3 --only search --warmup 0 --rounds 1");
    assert_eq!(one["work"], "search.30");
}

#[test]
fn mahalanobis_prints_the_peers_values() {
    // Printed by `mahalanobis.py --rows 600`, metric-learn 0.7.0: two objectives before the first step, and a trace.
    let expected =
        [("mahalanobis.lmnn", 81_475.228_33), ("mahalanobis.nca", 555.083_841_87), ("mahalanobis.itml", 41.505_806_06)];
    let lines = lines(MAHALANOBIS, "--rows 600 --rounds 1 --warmup 0");
    assert_eq!(lines.len(), expected.len());
    for (line, (name, value)) in lines.iter().zip(expected) {
        assert_eq!((line["work"].as_str(), line["rows"].as_u64()), (Some(name), Some(600)));
        let error = line["check"].as_f64().unwrap() / value - 1.0;
        assert!(error.abs() < 1e-6 && line["seconds"].as_f64().unwrap() > 0.0, "{line}");
    }
    // Ten steps of metric-learn reach 80,821.7 (falling) and 595.67 (rising).
    let objective = |at: usize| lines[at]["objective"].as_f64().unwrap();
    assert!(objective(0) < 80_821.7 && objective(1) > 590.0, "{} {}", objective(0), objective(1));
}

#[test]
fn an_epoch_of_simclr_prints_its_steps() {
    let line = line(SIMCLR_EPOCH, "--images 100 --batch 32 --width 4 --rounds 1");
    assert_eq!((line["work"].as_str(), line["steps"].as_u64()), (Some("simclr.epoch"), Some(3)));
    let (loss, seconds) = (line["loss"].as_f64().unwrap(), line["seconds"].as_f64().unwrap());
    assert!((0.0..10.0).contains(&loss) && seconds > 0.0, "{line}");
    let output = run(SIMCLR_EPOCH, "--images 70000");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("60000"));
}
