//! The table and the verdicts on a terminal.

use super::{
    Paradigm, Recommendation, Report, facts,
    format::with_half,
    recommendation, remarks,
    table::{LEGEND, Line, Mark, Table, rank, tables},
    verdict::{Ruling, Verdict},
};
use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, Row, TableStyle};
use std::{env, io::IsTerminal, path::Path};

/// Width of texts where the terminal does not tell its own.
const TEXT_WIDTH: usize = 100;

/// Lines under the heading and under the table, none between rows or columns.
const LINES: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().header_separator(line).bottom_border(line)
};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Characters in a line; `None` where there is no limit, as in a file.
    pub width: Option<usize>,
    /// Whether colour and bold type may be used.
    pub color: bool,
}

impl Style {
    /// The style of standard output: plain unless it is a terminal, where `NO_COLOR` is set, or if it is a dumb one.
    pub fn detect() -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|name| name == "dumb");
        Self {
            width: comfy_table::Table::new().width().map(usize::from).filter(|width| *width > 0),
            color: std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb,
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The table of each run, the recommendation, the verdicts, what went wrong, and where the page lies in `folder`; without
/// a newline at the end.
pub fn render(report: &Report, folder: &Path, style: Style) -> String {
    let mut blocks = Vec::new();
    let tables = tables(report);
    for table in &tables {
        let title = if table.run.is_empty() { facts::title(report) } else { table.run.to_owned() };
        blocks.push(format!("{}\n{}", style.paint("1", &printable(&title)), fit(table, style)));
        if !table.swept.is_empty() {
            let setting = format!("{} The report has every value.", table.standing());
            blocks.push(wrap(&printable(&setting), "", style));
        }
    }
    if tables.is_empty() {
        blocks.push(format!("{}\nNo method came to its end.", style.paint("1", &printable(&facts::title(report)))));
    } else {
        blocks.push(wrap(LEGEND, "", style));
    }
    blocks.extend(report.recommendation.iter().map(|advice| advised(advice, style)));
    if report.recommendation.len() > 1 {
        let heading = style.paint("1", "All runs");
        blocks.push(format!("{heading}\n{}", wrap(&recommendation::joint(&report.recommendation), "  ", style)));
    }
    let verdicts: Vec<_> = report.verdicts.iter().map(|verdict| verdict_text(verdict, style)).collect();
    if !verdicts.is_empty() {
        blocks.push(format!("{}\n{}", style.paint("1", "Verdicts"), verdicts.join("\n")));
    }
    if !report.crossovers.is_empty() {
        let lines = facts::crossovers(report).into_iter().map(|line| wrap(&printable(&line), "  ", style));
        blocks.push(format!("{}\n{}", style.paint("1", "Crossovers"), lines.collect::<Vec<_>>().join("\n")));
    }
    let remarks: Vec<_> = remarks::remarks(report).iter().map(|remark| wrap(&printable(remark), "  ", style)).collect();
    if !remarks.is_empty() {
        blocks.push(format!("{}\n{}", style.paint("1", "Remarks"), remarks.join("\n")));
    }
    blocks.push(format!("Report: {}", printable(&folder.join("index.html").display().to_string())));
    blocks.join("\n\n")
}

/// The table with as many of its columns as the terminal is wide, the most important ones.
fn fit(table: &Table<'_>, style: Style) -> String {
    let mut kept: Vec<usize> = (0..table.columns.len()).collect();
    let width = |kept: &[usize]| {
        let plain = draw(table, kept, Style { color: false, ..style });
        plain.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    };
    while kept.len() > 1 && style.width.is_some_and(|room| width(&kept) > room) {
        let least = kept.iter().copied().max_by_key(|&column| (rank(&table.columns[column]), column));
        kept.retain(|column| Some(*column) != least);
    }
    let drawn = draw(table, &kept, style);
    match table.columns.len() - kept.len() {
        0 => drawn,
        1 => format!("{drawn}\nThe terminal is too narrow for 1 more column; the report has it."),
        hidden => format!("{drawn}\nThe terminal is too narrow for {hidden} more columns; the report has them."),
    }
}

fn draw(table: &Table<'_>, kept: &[usize], style: Style) -> String {
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(LINES);
    drawn.force_no_tty();
    if style.color {
        drawn.enforce_styling();
    }
    let heading = |column: &usize| {
        Cell::new(printable(&table.columns[*column]).replace('.', "\n")).set_alignment(CellAlignment::Right)
    };
    drawn.set_header([Cell::new("method")].into_iter().chain(kept.iter().map(heading)).collect::<Vec<_>>());
    let mut family: Option<Paradigm> = None;
    for line in &table.lines {
        if family != Some(line.paradigm) {
            drawn.add_row([Cell::new(line.paradigm).add_attribute(Attribute::Bold)]);
            family = Some(line.paradigm);
        }
        drawn.add_row(cells(table, line, kept));
    }
    drawn.trim_fmt()
}

fn cells(table: &Table<'_>, line: &Line, kept: &[usize]) -> Row {
    let mut row = Row::new();
    row.add_cell(Cell::new(format!("  {}", printable(&line.label))));
    for &column in kept {
        let cell = match line.cells[column] {
            Some(cell) => {
                let text = with_half(&table.columns[column], cell.mean, cell.half);
                // The mark is a character too, so that it shows without colour.
                let text = format!("{text}{:1}", cell.mark.sign());
                if cell.mark == Mark::Best { Cell::new(text).add_attribute(Attribute::Bold) } else { Cell::new(text) }
            }
            None => Cell::new("- "),
        };
        row.add_cell(cell.set_alignment(CellAlignment::Right));
    }
    row
}

/// The advice and, behind it, what would change it.
fn advised(advice: &Recommendation, style: Style) -> String {
    let run = if advice.run.is_empty() { String::new() } else { format!(" ({})", printable(&advice.run)) };
    let heading = style.paint("1", &format!("Recommendation{run}"));
    let change = format!("What would change it: {}", advice.would_change.join(" "));
    let lines = advice.sentences.iter().chain([&change]).map(|text| wrap(&printable(text), "  ", style));
    format!("{heading}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn verdict_text(verdict: &Verdict, style: Style) -> String {
    let ruling = verdict.verdict.name();
    let color = match verdict.verdict {
        Ruling::Supported => "32",
        Ruling::Refuted => "31",
        Ruling::Undecided => "33",
    };
    let run = if verdict.run.is_empty() { String::new() } else { format!(" ({})", printable(&verdict.run)) };
    let head = format!(
        "  {:<11} {}{} {}{run}",
        verdict.topic(),
        style.paint(color, ruling),
        " ".repeat("undecided".len() - ruling.len().min("undecided".len())),
        verdict.effect_text()
    );
    let texts = [&verdict.claim, &verdict.evidence].map(|text| wrap(&printable(text), "    ", style));
    format!("{head}\n{}", texts.join("\n"))
}

/// Lines no wider than the terminal, broken at spaces; a longer word stands alone.
fn wrap(text: &str, indent: &str, style: Style) -> String {
    let room = style.width.unwrap_or(TEXT_WIDTH).min(TEXT_WIDTH);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

/// Names come from folders and files: control characters in them must not reach the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Failure, fixtures::head_to_head};

    fn shown(width: Option<usize>, color: bool) -> String {
        let mut report = head_to_head();
        report.dataset.name = "shapes\x1b[2J".into();
        report.failures.push(Failure { method: "byol".into(), seed: 1, error: "no memory".into(), run: String::new() });
        report.summarize();
        render(&report, Path::new("runs/1"), Style { width, color })
    }

    #[test]
    fn everything_is_there() {
        let text = shown(None, false);
        let find = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in\n{text}"));
        assert!(find("baseline") < find("pixels") && find("pixels") < find("triplet"));
        assert!(find("triplet") < find("contrastive\n") && find("contrastive\n") < find("simclr"));
        find("0.800 ±0.025*");
        find("0.450 ±0.025 ");
        find("2.0 s");
        assert!(!text.contains("±0.0 s"), "every seed took as long");
        assert!(find("Recommendation") < find("Verdicts"));
        find("  To find items of the trained classes again, use triplet (metric;");
        find("What would change it: Another number of labels");
        find("  goal        supported");
        find("byol, seed 1: failed: no memory");
        assert!(text.ends_with("Report: runs/1/index.html"));
        assert!(!text.contains('\x1b'), "control characters and colours");
    }

    #[test]
    fn color_is_asked_for() {
        let text = shown(None, true);
        assert!(text.contains("\x1b[32msupported\x1b[0m"), "{text}");
        assert!(!text.contains("\x1b[2J"));
    }

    #[test]
    fn narrow_terminals_get_fewer_columns() {
        let wide = shown(Some(200), false);
        assert!(wide.contains("linear_probe") && wide.contains("train_seconds"));
        let narrow = shown(Some(40), false);
        let table = narrow.split("Verdicts").next().unwrap();
        assert!(table.lines().all(|line| line.starts_with("The terminal") || line.chars().count() <= 40), "{table}");
        assert!(table.contains("map_at_r") && !table.contains("train_seconds"), "{table}");
        assert!(table.contains("too narrow for"));
        assert!(shown(Some(1), false).contains("map_at_r"), "one column always stays");
    }

    #[test]
    fn long_words_stand_alone() {
        let style = Style { width: Some(10), color: false };
        assert_eq!(wrap("aa bb cccccccccccc dd", " ", style), " aa bb\n cccccccccccc\n dd");
    }

    #[test]
    fn an_empty_report_says_so() {
        let text = render(&Report::default(), Path::new("x"), Style { width: None, color: false });
        assert!(text.contains("No method came to its end."));
    }
}
