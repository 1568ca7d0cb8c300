//! What the page holds, whatever the report.

use super::*;
use crate::report::{
    Bootstrap, Png, Shown,
    fixtures::{figures, head_to_head, row, tuning},
};

fn page_of(change: impl FnOnce(&mut Report)) -> String {
    let mut report = head_to_head();
    change(&mut report);
    report.summarize();
    render(&report, &Figures::default()).unwrap()
}

/// Every link goes to a place of the page that is there once.
fn links_stay_inside(page: &str) {
    let links: Vec<&str> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!links.is_empty());
    for link in links {
        let id = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leads away"));
        assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[test]
fn the_first_screen_answers() {
    let page = page_of(|report| report.rows[0].notes.push("collapsed".into()));
    let first = &page[..page.find("id=\"scores\"").unwrap()];
    for part in [
        "To find items of the trained classes again",
        "use <b>triplet</b> <span class=\"chip\">metric</span>",
        "use <b>simclr</b> <span class=\"chip\">contrastive</span>",
        "<b class=\"ruling supported\">sure:</b> it is ahead of every other method.",
        "0.700 ±0.025",
        "pixels <small class=\"quiet\">baseline</small></th><td>0.300 ±0.025",
        "This rests on ",
        "<a href=\"#remarks\">1 remark</a>",
    ] {
        assert!(first.contains(part), "no {part} in\n{first}");
    }
    let single = page_of(|report| report.rows.retain(|row| row.seed == 1));
    assert!(single.contains("<b class=\"ruling undecided\">not sure:</b> fewer than three seeds, so that"), "{single}");
    let none = page_of(|report| report.rows.iter_mut().for_each(|row| row.scores.clear()));
    assert!(none.contains("Retrieval was not measured."));
}

#[test]
fn names_are_escaped_everywhere() {
    let page = page_of(|report| {
        let hostile = "\"><script>alert(1)</script>";
        report.rows.push(row(hostile, Paradigm::Hybrid, 1, &[("retrieval.seen.map_at_r", 0.5)]));
        report.rows[0].notes.push(hostile.into());
        report.rows[0].axes.insert(hostile.into(), 1.0);
        report.rows[0].scores.insert(format!("transfer.{hostile}.linear_probe"), 0.5);
        report.settings.insert(hostile.into(), hostile.into());
        report.notes.push("see https://example.org/ and `compare run`".into());
        report.command = hostile.into();
    });
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(page.contains("&lt;script&gt;alert(&#x27;x&#x27;)&lt;&#x2f;script&gt; &amp; | &quot;shapes&quot;"));
    assert!(page.contains("&lt;script&gt;dog"));
    assert!(page.contains("<code>compare run</code>"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page_of(|_| ());
    for foreign in [" src=", "url(", "@import", "http:", "https:", "<link", "<script"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    links_stay_inside(&page);
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains("prefers-color-scheme: dark"));
    // What slipped in all the same would be stopped by the browser.
    assert!(page.contains("content=\"default-src 'none'; img-src data:;"));
}

#[test]
fn the_parts_of_the_page() {
    let page = page_of(|_| ());
    for part in [
        "<b class=\"ruling supported\">supported</b>",
        "0.800 ±0.025",
        "<title id=\"chart-1-title\">",
        "<desc id=\"chart-1-desc\">",
        "class=\"series-0\"",
        "class=\"interval\"",
        "Mean average precision at R",
        "data.images",
        "compare run --seeds 3",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    // Bars, two rankings, two drawings of cost.
    assert_eq!(page.matches("<svg").count(), 5);
    assert_eq!(page.matches("class=\"interval\"").count(), 10);
    assert_eq!(page.matches("<figure>").count(), page.matches("<figcaption>").count());
    assert!(!page.contains("id=\"answers\""), "one run has one answer");
    // Where things are stands above them, and the answer comes first.
    assert!(page.find("<nav").unwrap() < page.find("use <b>triplet</b>").unwrap());
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part}"));
    assert!(at("use <b>triplet</b>") < at("id=\"scores\"") && at("id=\"scores\"") < at("id=\"verdicts\""));
}

#[test]
fn pictures_are_shown_and_escaped() {
    let mut report = head_to_head();
    let found = Bootstrap { queries: [0.75, 0.85], classes: Some([0.6, 0.9]) };
    report.rows[3].bootstrap.insert("retrieval.seen.map_at_r".into(), found);
    report.summarize();
    let page = render(&report, &figures()).unwrap();
    for part in [
        ".t0-3{background-image:url(\"data:image/png;base64,AQID\")}",
        "data-item=\"0-7\" data-name=\"&lt;script&gt;dog\"",
        "<span class=\"shown wrong\"><span class=\"thumb t0-7\" role=\"img\" aria-label=\"wrong: &lt;script&gt;",
        "<span class=\"shown right\"><span class=\"thumb \" role=\"img\" aria-label=\"right: cat\">",
        "worst, average precision 0.500",
        "<td>25 %</td><td>3 of 12</td>",
        "<td>0.750 to 0.850</td><td>0.600 to 0.900</td>",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    assert_eq!(page.matches("<script").count(), 1);
    for foreign in [" src=", "@import", "http:", "https:", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    links_stay_inside(&page);
    assert_eq!(page.matches("url(").count(), page.matches("url(\"data:image/png;base64,").count());
    assert_eq!(page.matches("<figure>").count(), page.matches("<figcaption>").count());
}

/// However many pictures there are, the page takes as many as fit into it, those of the galleries first.
#[test]
fn many_pictures_leave_the_page_below_its_limit() {
    let mut pictures = figures();
    let set = &mut pictures.sets[0];
    set.points = (0..1_000).map(|item| Shown { item, class: 0 }).collect();
    set.thumbnails = (0..1_000).map(|item| (item, Png::new(&[0; 6_000]))).collect();
    let page = render(&head_to_head(), &pictures).unwrap();
    assert!((PAGE - 16_000..=PAGE).contains(&page.len()), "{} bytes", page.len());
    for item in [3, 7, 9] {
        assert!(page.contains(&format!(".t0-{item}{{background-image:")), "{item}");
    }
    assert!(page.contains(".t0-0{") && !page.contains(".t0-999{"));
}

#[test]
fn an_empty_report_is_a_page() {
    let page = render(&Report::default(), &Figures::default()).unwrap();
    assert!(page.contains("No method came to its end"));
}

#[test]
fn one_seed_draws_no_interval() {
    let page = page_of(|report| report.rows.retain(|row| row.seed == 1));
    assert!(!page.contains("class=\"interval\"") && page.contains("0.790"));
}

#[test]
fn a_tuned_run_shows_its_search() {
    assert!(!page_of(|_| ()).contains("id=\"search\""));
    let page = page_of(|report| report.tuning = Some(tuning()));
    links_stay_inside(&page);
    for part in [
        "<h2 id=\"search\">Settings that were searched</h2>",
        "Equal effort: every method has 20 trials.",
        "<th class=\"name\" scope=\"row\">simclr</th><td>20</td><td>0.500</td><td>0.625</td><td>7</td><td>0.125</td>",
        "<td class=\"name\">log-uniform, 0.0001 to 0.01</td><td>0.001</td><td class=\"best\">0.004</td>",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    // Of two runs each shows its own.
    let named = |name: &str| {
        let mut report = head_to_head();
        report.dataset.name = name.into();
        (report, Figures::default())
    };
    let mut parts = vec![named("cats"), named("dogs")];
    parts[1].0.tuning = Some(tuning());
    let (joined, _) = crate::report::join(parts).unwrap();
    let page = render(&joined, &Figures::default()).unwrap();
    let search = &page[page.find("id=\"search\"").unwrap()..];
    // Both answers stand together at the top.
    let top = &page[..page.find("id=\"scores\"").unwrap()];
    assert!(top.contains("<h2 id=\"answers\">All runs at a glance</h2>"), "{top}");
    assert_eq!(top.matches("<td class=\"name\">triplet</td>").count(), 2, "{top}");
    assert!(top.contains("Retrieval: of 2 runs the best is metric 2; 2 of these for sure."), "{top}");
    assert!(search.contains("<h3>dogs&#x2f;conv4</h3>") && !search.contains("<h3>cats"), "{search}");
}
