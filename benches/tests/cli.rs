//! The timer as a person runs it.

use serde_json::Value;
use std::process::{Command, Output};

const KEYS: [&str; 9] = [
    "encoder",
    "batch",
    "steps",
    "backend",
    "median_images_per_s",
    "mean_images_per_s",
    "min_step_ms",
    "median_step_ms",
    "threads",
];

fn train_step(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train_step"));
    command.args(arguments.split_whitespace()).output().expect("the timer starts")
}

fn line(arguments: &str) -> Value {
    let output = train_step(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn prints_one_line_of_json_for_training_and_for_inference() {
    for backend in ["flex", "ndarray"] {
        for mode in ["", "--inference"] {
            let sizes = "--batch 4 --steps 3 --warmup 1 --width 4 --size 8 --channels 1";
            let arguments = format!("--encoder conv4 {sizes} --backend {backend} {mode}");
            let line = line(&arguments);
            let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(keys, KEYS);
            assert_eq!(line["encoder"], "conv4");
            assert_eq!(line["backend"], backend);
            assert_eq!(line["batch"], 4);
            assert_eq!(line["steps"], 3);
            let value = |key: &str| line[key].as_f64().unwrap();
            assert!(value("min_step_ms") > 0.0 && value("min_step_ms") <= value("median_step_ms"), "{line}");
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
        let output = train_step(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.contains(expected), "{arguments}: {message}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}
