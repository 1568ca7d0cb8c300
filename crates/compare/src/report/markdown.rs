//! `report.md`.

use super::{
    Comparison, Ranking, Recommendation, Report, Summary, TunedSetting, Tuning, Verdict,
    facts::{self, Facts},
    format::{labelled, number, probability, signed, with_half},
    remarks,
    table::{Cell, LEGEND, Line, Mark, Table, tables},
};

/// The whole report: recommendation, verdicts, head-to-head, all scores, what was run, definitions.
pub(super) fn render(report: &Report) -> String {
    let title = format!("# Metric or contrastive learning: {}", escape(&facts::title(report)));
    let sections = [
        title,
        recommendation(report),
        verdicts(report),
        crossovers(report),
        scores(report),
        comparisons(report),
        remarks(report),
        summary(report),
        tunings(report),
        setup(report),
        definitions(report),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn recommendation(report: &Report) -> String {
    let item = |advice: &Recommendation| {
        let run = if advice.run.is_empty() { String::new() } else { format!("**{}** ", escape(&advice.run)) };
        let change: Vec<_> = advice.would_change.iter().map(|reason| format!("- {}", escape(reason))).collect();
        let sentences = escape(&advice.sentences.join(" "));
        format!("{run}{sentences}\n\nWhat would change it:\n\n{}", change.join("\n"))
    };
    let mut items: Vec<_> = report.recommendation.iter().map(item).collect();
    if items.len() > 1 {
        items.push(escape(&super::recommendation::joint(&report.recommendation)));
    }
    if items.is_empty() { String::new() } else { format!("## Recommendation\n\n{}", items.join("\n\n")) }
}

/// The best of each goal against every other, and the average ranks.
fn comparisons(report: &Report) -> String {
    if report.comparisons.is_empty() {
        return String::new();
    }
    let joined = report.comparisons.iter().any(|comparison| !comparison.run.is_empty());
    let line = |comparison: &Comparison| {
        let cells = [
            escape(&comparison.score),
            escape(&comparison.best),
            escape(&comparison.method),
            signed(comparison.lead),
            comparison.interval_text(),
            comparison.p_holm.map_or_else(|| "-".to_owned(), probability),
            comparison.outcome.name().to_owned(),
            comparison.seeds_needed.map_or_else(|| "-".to_owned(), |seeds| seeds.to_string()),
        ];
        joined.then(|| escape(&comparison.run)).into_iter().chain(cells).collect::<Vec<_>>()
    };
    let heading = ["score", "best", "against", "lead", "95 % interval", "p (Holm)", "outcome", "seeds needed"];
    let mut rows = vec![joined.then_some("run").into_iter().chain(heading).map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(report.comparisons.iter().map(line));
    let ranks: Vec<_> = report.rankings.iter().map(ranking).collect();
    let ranks = if ranks.is_empty() { String::new() } else { format!("\n\n{}", ranks.join("\n")) };
    format!("## Who is ahead\n\n{}{ranks}", grid(&rows, if joined { 4 } else { 3 }))
}

fn ranking(ranking: &Ranking) -> String {
    let names: Vec<_> =
        ranking.methods.iter().map(|ranked| format!("{} {:.2}", escape(&ranked.method), ranked.rank)).collect();
    let run = if ranking.run.is_empty() { String::new() } else { format!("{}, ", escape(&ranking.run)) };
    format!(
        "- Average ranks, {run}{} over {} {}: {}; critical difference {:.2} (Nemenyi), Friedman's p {}.",
        escape(&ranking.score),
        ranking.blocks,
        ranking.over,
        names.join(", "),
        ranking.critical_difference,
        probability(ranking.p_value)
    )
}

fn verdicts(report: &Report) -> String {
    let item = |verdict: &Verdict| {
        let run = if verdict.run.is_empty() { String::new() } else { format!(" ({})", escape(&verdict.run)) };
        format!(
            "- **{}{run}: {}**, {}. *{}* {}",
            verdict.topic(),
            verdict.verdict,
            verdict.effect_text(),
            escape(&verdict.claim),
            escape(&verdict.evidence)
        )
    };
    section("Verdicts", report.verdicts.iter().map(item).collect())
}

fn scores(report: &Report) -> String {
    let tables = tables(report);
    if tables.is_empty() {
        return "## Scores\n\nNo method came to its end.".to_owned();
    }
    let blocks: Vec<_> = tables.iter().map(block).collect();
    format!("## Scores\n\n{}\n\n{}", blocks.join("\n\n"), escape(LEGEND))
}

fn block(table: &Table<'_>) -> String {
    let run = if table.run.is_empty() { String::new() } else { format!("### {}\n\n", escape(table.run)) };
    let usual = run + &lines(table, &table.lines);
    if table.swept.is_empty() {
        return usual;
    }
    let setting = format!("{} At every value:", escape(&table.standing()));
    [usual, setting, lines(table, &table.swept)].join("\n\n")
}

fn lines(table: &Table<'_>, lines: &[Line]) -> String {
    let heading =
        ["method", "family"].into_iter().map(str::to_owned).chain(table.columns.iter().map(|name| escape(name)));
    let mut rows = vec![heading.collect::<Vec<_>>()];
    for line in lines {
        let cell = |(column, cell): (&String, &Option<Cell>)| match cell {
            Some(cell) => {
                let text = with_half(column, cell.mean, cell.half);
                match cell.mark {
                    Mark::None => text,
                    Mark::Tie => format!("{text} {}", escape(cell.mark.sign())),
                    Mark::Best => format!("**{text}** {}", escape(cell.mark.sign())),
                }
            }
            None => "-".to_owned(),
        };
        let cells = table.columns.iter().zip(&line.cells).map(cell);
        rows.push([escape(&line.label), line.paradigm.to_string()].into_iter().chain(cells).collect());
    }
    grid(&rows, 2)
}

fn summary(report: &Report) -> String {
    if report.summary.is_empty() {
        return String::new();
    }
    let joined = report.summary.iter().any(|summary| !summary.run.is_empty());
    let line = |summary: &Summary| {
        let interval = match summary.ci95_low.zip(summary.ci95_high) {
            Some((low, high)) => format!("{} to {}", number(&summary.metric, low), number(&summary.metric, high)),
            None => "-".to_owned(),
        };
        let run = joined.then(|| escape(&summary.run));
        let cells = [
            escape(&labelled(&summary.method, &summary.axes)),
            escape(&summary.metric),
            number(&summary.metric, summary.mean),
            interval,
            summary.seeds.to_string(),
        ];
        run.into_iter().chain(cells).collect::<Vec<_>>()
    };
    let heading = ["method", "score", "mean", "95 % interval", "seeds"].map(str::to_owned);
    let mut rows = vec![joined.then(|| "run".to_owned()).into_iter().chain(heading).collect::<Vec<_>>()];
    rows.extend(report.summary.iter().map(line));
    format!("## All scores\n\n{}", grid(&rows, if joined { 3 } else { 2 }))
}

fn setup(report: &Report) -> String {
    let item = |(name, value): &(String, String)| format!("- {}: {}", escape(name), escape(value));
    let list = |facts: &Facts| facts.iter().map(item).collect::<Vec<_>>().join("\n");
    let mut blocks = vec!["## What was run".to_owned()];
    for (label, facts, settings) in facts::runs(report) {
        if !label.is_empty() {
            blocks.push(format!("### {}", escape(&label)));
        }
        blocks.push(list(&facts));
        if !settings.is_empty() {
            blocks.push(format!("Settings:\n\n{}", list(&settings)));
        }
    }
    blocks.join("\n\n")
}

/// How the settings were searched, and what was chosen.
fn tunings(report: &Report) -> String {
    let line = |cells: &[&str]| cells.iter().map(|cell| escape(cell)).collect::<Vec<_>>();
    let block = |(run, tuning): &(String, Tuning)| {
        let mut found = vec![line(&["method", "trials", "given settings", "chosen settings", "at trial", "gain"])];
        let mut settings = vec![line(&["method", "setting", "searched", "given", "chosen"])];
        for own in &tuning.methods {
            found.push(line(&own.cells().each_ref().map(String::as_str)));
            let cells = |setting: &TunedSetting| {
                let TunedSetting { name, prior, given, chosen } = setting;
                line(&[own.method.as_str(), name, prior, given, chosen])
            };
            settings.extend(own.settings.iter().map(cells));
        }
        let run = if run.is_empty() { String::new() } else { format!("### {}\n\n", escape(run)) };
        let statement = escape(&tuning.statement.join(" "));
        format!("{run}{statement}\n\n{}\n\n{}", grid(&found, 1), grid(&settings, 3))
    };
    let blocks: Vec<_> = facts::tunings(report).iter().map(block).collect();
    if blocks.is_empty() { String::new() } else { format!("## Settings that were searched\n\n{}", blocks.join("\n\n")) }
}

fn remarks(report: &Report) -> String {
    section("Remarks", remarks::remarks(report).iter().map(|remark| format!("- {}", escape(remark))).collect())
}

fn crossovers(report: &Report) -> String {
    section("Crossovers", facts::crossovers(report).iter().map(|line| format!("- {}", escape(line))).collect())
}

fn definitions(report: &Report) -> String {
    let line = |(name, text): (&String, &String)| format!("- {}: {}", escape(name), escape(text));
    section("Definitions", report.definitions.iter().map(line).collect())
}

/// A heading and its items; nothing without items.
fn section(name: &str, items: Vec<String>) -> String {
    if items.is_empty() { String::new() } else { format!("## {name}\n\n{}", items.join("\n")) }
}

/// A table whose first row is the heading; the first `left` columns are aligned to the left, the others to the right.
fn grid(rows: &[Vec<String>], left: usize) -> String {
    let line = |cells: &Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    let rule: String = (0..rows[0].len()).map(|i| if i < left { " --- |" } else { " ---: |" }).collect();
    lines.insert(1, format!("|{rule}"));
    lines.join("\n")
}

/// Text without markup: names come from folders and files. Backquotes stay, as they mark commands.
fn escape(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let in_word = |i: usize| {
        let word = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|char| char.is_alphanumeric());
        word(i.checked_sub(1)) && word(i.checked_add(1))
    };
    let mut escaped = String::with_capacity(text.len());
    for (i, &char) in chars.iter().enumerate() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '_' if in_word(i) => escaped.push('_'),
            '\\' | '|' | '*' | '_' | '[' | ']' | '~' | '#' | '$' => escaped.extend(['\\', char]),
            char if char.is_control() => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
