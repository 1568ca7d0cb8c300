//! `index.html`: one page that loads nothing from elsewhere. Its only script shows the picture of a point of a map.

use super::{
    Figures, Paradigm, Recommendation, Report, ReportError, Summary, Tuned, Tuning, Verdict,
    chart::{Chart, chart},
    choice::{Certainty, Choice, Scored},
    definitions,
    facts::{self, Facts},
    format::{interval, labelled, number, probability, signed, with_half},
    gallery, recommendation, remarks,
    table::{LEGEND, Line, Mark, Table, tables},
    verdict::Part,
};
use minijinja::{Environment, UndefinedBehavior, Value, context};

/// The template's name ends in `.html`, so that everything put into it is escaped.
const NAME: &str = "page.html";

/// Bytes of a page. Small pictures take what the rest of it leaves.
const PAGE: usize = 4_900_000;

/// The whole report as a page.
pub(super) fn render(report: &Report, pictures: &Figures) -> Result<String, ReportError> {
    page(report, pictures).map_err(|error| ReportError::Render { file: "index.html", reason: format!("{error:#}") })
}

fn page(report: &Report, pictures: &Figures) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template(NAME, include_str!("page.html.jinja"))?;
    let tables: Vec<Value> = tables(report).iter().map(table).collect();
    let runs: Vec<Value> = facts::runs(report)
        .into_iter()
        .map(|(label, facts, settings)| {
            context! { label => label, facts => pairs(&facts), settings => pairs(&settings) }
        })
        .collect();
    let meanings: Facts = report.definitions.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
    let remarks: Vec<Value> = remarks::remarks(report).iter().map(|remark| marked(remark)).collect();
    let all = context! {
        title => facts::title(report),
        maps => !pictures.sets.is_empty(),
        answers => answers(report),
        joint => recommendation::joint(&report.recommendation),
        recommendation => report.recommendation.iter().map(advice).collect::<Vec<_>>(),
        comparisons => gallery::comparisons(report),
        bootstraps => gallery::bootstraps(report),
        figures => gallery::figures(report, pictures),
        galleries => gallery::galleries(pictures),
        confusions => gallery::confusions(pictures),
        verdicts => report.verdicts.iter().map(verdict).collect::<Vec<_>>(),
        tables => tables,
        legend => LEGEND,
        remarks => remarks,
        joined => report.summary.iter().any(|summary| !summary.run.is_empty()),
        summary => report.summary.iter().map(summary).collect::<Vec<_>>(),
        runs => runs,
        tunings => facts::tunings(report).iter().map(|(run, found)| tuning(run, found)).collect::<Vec<_>>(),
        definitions => pairs(&meanings),
    };
    let template = environment.get_template(NAME)?;
    let page = |thumbnails: Vec<Value>| template.render(context! { thumbnails, ..all.clone() });
    let room = PAGE.saturating_sub(page(Vec::new())?.len());
    page(gallery::thumbnails(pictures, room))
}

fn advice(advice: &Recommendation) -> Value {
    let cards = advice.choices.iter().zip(&advice.sentences).map(|(choice, sentence)| match choice {
        Some(choice) => card(choice),
        None => context! { missing => sentence.as_str() },
    });
    context! {
        run => advice.run.as_str(),
        cards => cards.collect::<Vec<_>>(),
        basis => advice.sentences.last().map_or("", String::as_str),
        would_change => advice.would_change.iter().map(|reason| marked(reason)).collect::<Vec<_>>(),
    }
}

/// The choices of all runs, one line each; nothing in the report of one run.
fn answers(report: &Report) -> Vec<Value> {
    if report.recommendation.len() < 2 {
        return Vec::new();
    }
    let line = |run: &str, choice: &Choice| {
        context! {
            run => run,
            score => choice.score.as_str(),
            method => choice.best.method.as_str(),
            family => choice.best.family.name(),
            certainty => choice.certainty.name(),
            value => with_half(&choice.score, choice.best.mean, choice.best.half),
        }
    };
    let of_run = |advice: &Recommendation| {
        advice.choices.iter().flatten().map(|choice| line(&advice.run, choice)).collect::<Vec<_>>()
    };
    report.recommendation.iter().flat_map(of_run).collect()
}

/// What to use for one goal, how sure that is, and what the families reach.
fn card(choice: &Choice) -> Value {
    let scored = |own: &Scored| {
        let value = with_half(&choice.score, own.mean, own.half);
        context! { method => own.method.as_str(), family => own.family.name(), value => value }
    };
    let others = choice.families.iter().chain(&choice.baseline).filter(|own| own.method != choice.best.method);
    context! {
        missing => "",
        purpose => choice.purpose.as_str(),
        best => scored(&choice.best),
        others => others.map(scored).collect::<Vec<_>>(),
        score => choice.score.as_str(),
        certainty => choice.certainty.name(),
        sure => choice.certainty == Certainty::Sure,
        reason => choice.reason.as_str(),
    }
}

fn verdict(verdict: &Verdict) -> Value {
    context! {
        topic => verdict.topic(),
        run => verdict.run.as_str(),
        ruling => verdict.verdict.name(),
        effect => verdict.effect_text(),
        p => verdict.p_holm.map(probability),
        claim => verdict.claim.as_str(),
        evidence => marked(&verdict.evidence),
        parts => verdict.parts.iter().map(part).collect::<Vec<_>>(),
    }
}

fn part(part: &Part) -> Value {
    context! {
        name => part.name.as_str(),
        scores => part.scores.join(", "),
        ruling => part.verdict.name(),
        effect => part.effect.map_or_else(|| "-".to_owned(), signed),
        interval => part.ci95_low.zip(part.ci95_high).map_or_else(|| "-".to_owned(), |(low, high)| interval(low, high)),
    }
}

/// Text in which backquotes mark commands, as a list of pieces.
fn marked(text: &str) -> Value {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return Value::from(vec![context! { code => false, text => text }]);
    }
    let piece = |(i, text): (usize, &str)| context! { code => i % 2 == 1, text => text };
    Value::from(pieces.into_iter().enumerate().map(piece).collect::<Vec<_>>())
}

fn table(table: &Table<'_>) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|name| {
            let metric = definitions::metric(name);
            context! { place => name.strip_suffix(metric).unwrap_or_default(), metric => metric }
        })
        .collect();
    context! {
        run => table.run,
        columns => columns,
        families => families(table, &table.lines),
        standing => table.standing(),
        swept => families(table, &table.swept),
        chart => chart(table).map(|drawn| drawing(&drawn, table)),
    }
}

/// Lines of a table, family by family.
fn families(table: &Table<'_>, lines: &[Line]) -> Vec<Value> {
    let of = |paradigm: Paradigm| -> Vec<Value> {
        lines.iter().filter(|line| line.paradigm == paradigm).map(|own| line(own, &table.columns)).collect()
    };
    [Paradigm::Baseline, Paradigm::Metric, Paradigm::Contrastive, Paradigm::Hybrid]
        .into_iter()
        .map(|paradigm| (paradigm, of(paradigm)))
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(paradigm, lines)| context! { name => paradigm.name(), lines => lines })
        .collect()
}

fn line(line: &Line, columns: &[String]) -> Value {
    let cells = columns.iter().zip(&line.cells).map(|(column, cell)| match cell {
        Some(cell) => {
            let text = with_half(column, cell.mean, cell.half);
            context! { text => text, best => cell.mark == Mark::Best, mark => cell.mark.sign() }
        }
        None => context! { text => "-", best => false, mark => "" },
    });
    context! { label => line.label.as_str(), cells => cells.collect::<Vec<_>>() }
}

fn drawing(chart: &Chart, table: &Table<'_>) -> Value {
    let unit = |value: f64| format!("{value:.1}");
    let names: Vec<&str> = chart.series.iter().map(|series| series.name.as_str()).collect();
    let bars = chart.bars.iter().map(|bar| {
        let middle = bar.y + bar.height / 2.0;
        context! {
            series => bar.series,
            y => unit(bar.y),
            width => unit(bar.width),
            height => unit(bar.height),
            middle => unit(middle),
            low => bar.interval.map(|(low, _)| unit(low)),
            high => bar.interval.map(|(_, high)| unit(high)),
            text => unit(bar.text),
            value => number(names[bar.series], bar.value),
        }
    });
    let series = chart.series.iter().map(|own| context! { name => own.name.as_str(), x => unit(own.x) });
    let place = |(at, name): &(f64, String)| context! { at => unit(*at), name => name.as_str() };
    context! {
        run => table.run,
        names => names.join(" and "),
        width => unit(chart.width),
        height => unit(chart.height),
        left => unit(chart.left),
        bottom => unit(chart.bottom),
        series => series.collect::<Vec<_>>(),
        ticks => chart.ticks.iter().map(place).collect::<Vec<_>>(),
        labels => chart.labels.iter().map(place).collect::<Vec<_>>(),
        bars => bars.collect::<Vec<_>>(),
    }
}

fn summary(summary: &Summary) -> Value {
    let end = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| number(&summary.metric, value));
    context! {
        run => summary.run.as_str(),
        method => labelled(&summary.method, &summary.axes),
        metric => summary.metric.as_str(),
        mean => number(&summary.metric, summary.mean),
        low => end(summary.ci95_low),
        high => end(summary.ci95_high),
        seeds => summary.seeds,
    }
}

fn tuning(run: &str, tuning: &Tuning) -> Value {
    let method = |own: &Tuned| {
        let settings = own.settings.iter().map(|setting| {
            context! {
                name => setting.name.as_str(),
                prior => setting.prior.as_str(),
                given => setting.given.as_str(),
                chosen => setting.chosen.as_str(),
            }
        });
        context! { cells => own.cells().to_vec(), name => own.method.as_str(), settings => settings.collect::<Vec<_>>() }
    };
    context! {
        run => run,
        statement => tuning.statement.clone(),
        methods => tuning.methods.iter().map(method).collect::<Vec<_>>(),
    }
}

fn pairs(facts: &Facts) -> Vec<Value> {
    facts.iter().map(|(name, value)| context! { name => name.as_str(), value => value.as_str() }).collect()
}

#[cfg(test)]
mod tests;
