//! The page as a browser shows it. Screenshots stay in the target folder, under `tmp/page`.

#[path = "page/browser.rs"]
mod browser;
#[path = "common/program.rs"]
mod program;

use browser::Browser;
use program::succeeds;
use serde_json::json;
use std::{env, fs, path::Path};

#[test]
fn the_page_in_a_browser() {
    let Some(program) = browser::find() else {
        let required = env::var_os("NEARFAR_REQUIRE_CHROMIUM").is_some();
        assert!(!required, "no chromium: put it into PATH or name it in NEARFAR_CHROMIUM");
        eprintln!("skipped: no chromium in PATH or NEARFAR_CHROMIUM");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let folders = ["images", "rows", "joint"].map(|name| dir.path().join(name));
    let [images, rows, joint] = folders.each_ref().map(|folder| folder.to_str().unwrap());
    let tiny = ["run", "--backend", "flex", "--epochs", "2", "--batch", "32", "--seeds", "2"];
    let digits = ["--dataset", "digits", "--images", "400", "--width", "8", "--methods", "pixels,triplet,simclr"];
    let wine = ["--dataset", "wine", "--methods", "pixels,triplet"];
    succeeds(&[&tiny[..], &digits[..], &["--out", images][..]].concat());
    succeeds(&[&tiny[..], &wine[..], &["--out", rows][..]].concat());
    succeeds(&["report", images, rows, "--out", joint]);

    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&shots).unwrap();
    let mut browser = Browser::start(&program, dir.path(), include_str!("page/probe.js"));
    let mut counts = Vec::new();
    for name in ["images", "rows", "joint"] {
        let page = dir.path().join(name).join("index.html");
        let bytes = fs::metadata(&page).unwrap().len();
        assert!(bytes < 5_000_000, "{name}: {bytes} bytes");
        for (screen, width, height) in [("desktop", 1280, 800), ("phone", 390, 844)] {
            let place = format!("{name}-{screen}");
            browser.open(&page, width, height);
            let found = browser.evaluate("probe.look()");
            assert_eq!(found["faults"], json!([]), "{place}");
            let maps = found["maps"].as_u64().unwrap();
            hover(&mut browser, maps, &place);
            for scheme in ["light", "dark"] {
                browser.show("screen", scheme);
                let shot = browser.screenshot();
                fs::write(shots.join(format!("{place}-{scheme}.png")), &shot).unwrap();
                // A pixel of the margin.
                let margin = image::load_from_memory(&shot).unwrap().to_luma8().get_pixel(2, 400)[0];
                assert_eq!(margin > 128, scheme == "light", "{place}, {scheme}: {margin}");
            }
            // Printing unfolds, on white.
            browser.show("print", "dark");
            assert_eq!(browser.evaluate("probe.folded()"), json!(0), "{place}");
            assert_eq!(browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
            browser.show("screen", "light");
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{place}");
            counts.push((maps, found["pictures"].as_u64().unwrap(), found["drawings"].as_u64().unwrap()));
        }
    }
    let [images, _, rows, _, joint, _] = counts[..] else { panic!("{counts:?}") };
    // Three methods by t-SNE and by components, on trained and on unseen classes.
    assert_eq!(images.0, 12, "{counts:?}");
    assert!(images.1 > 20 && rows.1 == 0 && joint.1 == images.1, "{counts:?}");
    assert!(rows.0 > 0 && joint.0 == images.0 + rows.0 && joint.2 > images.2, "{counts:?}");
}

/// Points at one mark of each map, and away again.
fn hover(browser: &mut Browser, maps: u64, place: &str) {
    for map in 0..maps {
        let mark = browser.evaluate(&format!("probe.aim({map})"));
        browser.point(&mark);
        let pointed = browser.evaluate("probe.pointed()");
        browser.point(&json!([0, 0]));
        let left = browser.evaluate("probe.left()");
        assert_eq!((pointed, left), (json!([]), json!([])), "{place}, map {map}");
    }
    browser.evaluate("scrollTo(0, 0)");
}
