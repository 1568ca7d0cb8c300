//! What the text of a report holds.

use super::*;
use crate::report::{
    Paradigm,
    fixtures::{at, head_to_head, seeds, tuning},
};

fn small() -> Report {
    let mut rows = seeds("triplet", Paradigm::Metric, "transfer.seen.knn", &[0.80, 0.82, 0.84]);
    rows.extend(seeds("simclr", Paradigm::Contrastive, "retrieval.seen.map_at_r", &[0.5]));
    let mut report = Report { rows, ..Report::default() };
    report.summarize();
    report
}

#[test]
fn the_head_to_head() {
    assert_eq!(
        scores(&small()).lines().take(6).collect::<Vec<_>>(),
        [
            "## Scores",
            "",
            "| method | family | retrieval.seen.map_at_r | transfer.seen.knn | train_seconds |",
            "| --- | --- | ---: | ---: | ---: |",
            "| triplet | metric | - | **0.820 ±0.050** \\* | 2.0 s |",
            "| simclr | contrastive | 0.500 | - | 2.0 s |",
        ]
    );
}

#[test]
fn all_scores() {
    assert_eq!(
        summary(&small()),
        "## All scores\n\n\
         | method | score | mean | 95 % interval | seeds |\n\
         | --- | --- | ---: | ---: | ---: |\n\
         | triplet | images_per_second | 300/s | - | 3 |\n\
         | triplet | train_seconds | 2.0 s | - | 3 |\n\
         | triplet | transfer.seen.knn | 0.820 | 0.770 to 0.870 | 3 |\n\
         | simclr | images_per_second | 300/s | - | 1 |\n\
         | simclr | retrieval.seen.map_at_r | 0.500 | - | 1 |\n\
         | simclr | train_seconds | 2.0 s | - | 1 |"
    );
}

#[test]
fn the_whole_page() {
    let mut report = head_to_head();
    report.summarize();
    let page = render(&report);
    let sections: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(
        sections,
        [
            "# Metric or contrastive learning: &lt;script&gt;alert('x')&lt;/script&gt; &amp; \\| \"shapes\"/conv4",
            "## Recommendation",
            "## Verdicts",
            "## Scores",
            "## Who is ahead",
            "## All scores",
            "## What was run",
            "## Definitions",
        ]
    );
    assert!(!page.contains("<script"));
    assert!(page.contains("- **goal: supported**, +0.200 [+0.175, +0.225]."), "{page}");
    let line =
        "| retrieval.seen.map_at_r | triplet | siamese | +0.100 | [+0.081, +0.119] | 0.004 | best is ahead | - |";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("Average ranks, retrieval.seen.map_at_r over 3 seeds: triplet 1.00, siamese 2.00,"));
    assert!(page.contains("- Another number of labels: not measured"));
    assert!(page.contains("- Classes: 10 (7 seen, 3 unseen); unseen: cat, &lt;script&gt;dog, ship"));
    assert!(page.contains("- data.images: 1000"));
    assert!(page.contains("- retrieval.\\*.map_at_r: Mean average precision at R"));
    assert!(page.ends_with('\n') && !page.contains("\n\n\n"));
}

#[test]
fn crossovers_have_a_section() {
    let score = "transfer.seen.linear_probe";
    let mut rows = Vec::new();
    for (share, metric, contrastive, more) in [(0.01, 0.2, 0.4, 0.412), (1.0, 0.8, 0.6, 0.608)] {
        rows.extend(at("labels", share, seeds("triplet", Paradigm::Metric, score, &[metric, metric + 0.01])));
        rows.extend(at("labels", share, seeds("simclr", Paradigm::Contrastive, score, &[contrastive, more])));
    }
    let mut report = Report { rows, ..Report::default() };
    report.summarize();
    let line = "## Crossovers\n\n- transfer.seen.linear_probe: Metric learning overtakes at about 10 % of the labels";
    assert!(render(&report).contains(line), "{}", render(&report));
}

#[test]
fn markup_in_names_is_escaped() {
    assert_eq!(escape("a|b*c_d_ [x](y)\n`z`"), "a\\|b\\*c_d\\_ \\[x\\](y) `z`");
}

#[test]
fn a_tuned_run_shows_its_search() {
    let mut report = small();
    assert!(!render(&report).contains("searched"));
    report.tuning = Some(tuning());
    let page = render(&report);
    for part in [
        "## Settings that were searched\n\nEqual effort: every method has 20 trials.\n\n| method | trials |",
        "| simclr | 20 | 0.500 | 0.625 | 7 | 0.125 |",
        "| simclr | optimizer.learning_rate | log-uniform, 0.0001 to 0.01 | 0.001 | 0.004 |",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    assert!(!page.contains("\n\n\n"));
}
