//! `report.csv`: one line for each value of each row.

use super::{Report, ReportError, Status};

/// The columns of every file. Joined reports and sweeps have more behind them.
const COLUMNS: [&str; 6] = ["method", "paradigm", "seed", "labels_used", "metric", "value"];

/// The values of every seed in long form. A joined report has the column `run` too, a sweep one column for each axis,
/// and a report with stopped rows the column `status`. Values are written with all their digits.
pub(super) fn render(report: &Report) -> Result<String, ReportError> {
    let defect = |reason: String| ReportError::Render { file: "report.csv", reason };
    let text = write(report).map_err(|error| defect(error.to_string()))?;
    String::from_utf8(text).map_err(|error| defect(error.to_string()))
}

fn write(report: &Report) -> Result<Vec<u8>, ::csv::Error> {
    let rows = &report.rows;
    let mut axes: Vec<&str> = rows.iter().flat_map(|row| row.axes.keys().map(String::as_str)).collect();
    axes.sort_unstable();
    axes.dedup();
    let runs = rows.iter().any(|row| !row.run.is_empty());
    let stopped = rows.iter().any(|row| row.status != Status::Ok);

    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let more = [(runs, "run"), (stopped, "status")].into_iter().filter(|(shown, _)| *shown).map(|(_, name)| name);
    writer.write_record(COLUMNS.into_iter().chain(more).chain(axes.iter().copied()))?;
    for row in rows {
        let status = if row.status == Status::Ok { "ok" } else { "stopped" };
        let axes: Vec<String> =
            axes.iter().map(|axis| row.axes.get(*axis).map_or_else(String::new, f64::to_string)).collect();
        for metric in row.metrics() {
            let Some(value) = row.value(metric) else { continue };
            writer.write_field(&row.method)?;
            writer.write_field(row.paradigm.name())?;
            writer.write_field(row.seed.to_string())?;
            writer.write_field(row.labels_used.to_string())?;
            writer.write_field(metric)?;
            writer.write_field(value.to_string())?;
            let more = [(runs, row.run.as_str()), (stopped, status)];
            for (_, field) in more.into_iter().filter(|(shown, _)| *shown) {
                writer.write_field(field)?;
            }
            // An empty rest ends the record.
            writer.write_record(&axes)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Paradigm, fixtures::row};

    #[test]
    fn one_run_has_six_columns() {
        let mut rows = vec![row("triplet", Paradigm::Metric, 1, &[("retrieval.seen.map_at_r", 0.1 + 0.2)])];
        rows.push(row("a \"b\", c", Paradigm::Baseline, 2, &[]));
        rows[1].cost.peak_memory_bytes = Some(4096);
        let text = render(&Report { rows, ..Report::default() }).unwrap();
        assert_eq!(
            text,
            "method,paradigm,seed,labels_used,metric,value\n\
             triplet,metric,1,600,retrieval.seen.map_at_r,0.30000000000000004\n\
             triplet,metric,1,600,train_seconds,2\n\
             triplet,metric,1,600,images_per_second,300\n\
             \"a \"\"b\"\", c\",baseline,2,0,train_seconds,2\n\
             \"a \"\"b\"\", c\",baseline,2,0,images_per_second,300\n\
             \"a \"\"b\"\", c\",baseline,2,0,peak_memory_bytes,4096\n"
        );
    }

    #[test]
    fn runs_axes_and_status_have_columns_where_they_occur() {
        let mut rows = vec![row("simclr", Paradigm::Contrastive, 1, &[("transfer.seen.knn", 0.5)]); 2];
        rows[0].run = "cifar10/conv4".into();
        rows[0].axes.insert("labels".into(), 0.1);
        rows[0].status = Status::Stopped;
        rows[1].axes.insert("batch".into(), 64.0);
        let text = render(&Report { rows, ..Report::default() }).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "method,paradigm,seed,labels_used,metric,value,run,status,batch,labels");
        assert_eq!(lines[1], "simclr,contrastive,1,0,transfer.seen.knn,0.5,cifar10/conv4,stopped,,0.1");
        assert_eq!(lines[4], "simclr,contrastive,1,0,transfer.seen.knn,0.5,,ok,64,");
    }

    #[test]
    fn an_empty_report_has_its_heading() {
        assert_eq!(render(&Report::default()).unwrap(), "method,paradigm,seed,labels_used,metric,value\n");
    }
}
