//! Progress bars, warnings and Ctrl-C.

use super::monitor::Monitor;
use indicatif::{ProgressBar, ProgressStyle};
use nearfar_core::{
    encoder::Encoder,
    train::{Batch, EpochEvent, Observer, StepEvent, Warning},
};
use std::{
    ops::ControlFlow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

static STOP: AtomicBool = AtomicBool::new(false);

/// Training steps done by this process.
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// Makes the first Ctrl-C end the run behind a checkpoint; the second ends the program.
pub fn catch_interrupt() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // A handler that cannot be set leaves the default: Ctrl-C ends the program at once.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(1);
            }
            tell!("stopping behind the next step; Ctrl-C again stops at once");
        });
    });
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Counts a training step. After as many as `NEARFAR_STOP_AFTER` says, it is as if Ctrl-C had been pressed: for tests, and
/// for machines that are lent for so long.
fn count_step() {
    static LIMIT: OnceLock<Option<usize>> = OnceLock::new();
    let limit = LIMIT.get_or_init(|| std::env::var("NEARFAR_STOP_AFTER").ok()?.parse().ok());
    let done = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    if *limit == Some(done) {
        STOP.store(true, Ordering::SeqCst);
    }
}

/// One method's bar, and the monitors that watch it. Hidden by indicatif where standard error is no terminal; then each
/// epoch is a line.
pub struct Bar<'a> {
    bar: ProgressBar,
    name: String,
    monitor: Option<Monitor<'a>>,
    /// What the monitors said last.
    newest: String,
}

impl<'a> Bar<'a> {
    /// A bar for `name`.
    pub fn new(name: &str, steps: usize, monitor: Option<Monitor<'a>>) -> Self {
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {pos}/{len} {msg} {eta} left")
            .expect("the template is fixed")
            .progress_chars("=> ");
        let bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(name.to_owned());
        Self { bar, name: name.to_owned(), monitor, newest: String::new() }
    }

    /// Clears the bar and gives the monitors back.
    pub fn finish(mut self) -> Option<Monitor<'a>> {
        self.monitor.take()
    }
}

impl Observer for Bar<'_> {
    fn step(&mut self, event: &StepEvent) -> ControlFlow<()> {
        count_step();
        self.bar.set_position(event.step as u64);
        let newest = &self.newest;
        self.bar.set_message(format!("loss {:.4}{newest} {:.0} images/s", event.loss, event.images_per_second));
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, event: &EpochEvent<'_>) {
        if let Some(monitor) = &mut self.monitor {
            monitor.epoch(event);
            self.newest = monitor.newest();
        }
        if self.bar.is_hidden() {
            tell!(
                "{:>12} epoch {} loss {:.4} spread {:.2}{} {:.1} s",
                self.name,
                event.epoch,
                event.loss,
                event.health.spread,
                self.newest,
                event.elapsed.as_secs_f64()
            );
        }
    }

    fn warning(&mut self, warning: &Warning) {
        self.bar.suspend(|| tell!("warning: {}: {warning}", self.name));
    }

    fn watches_batches(&self) -> bool {
        self.monitor.as_ref().is_some_and(Monitor::watches_batches)
    }

    fn batch(&mut self, batch: &Batch, encoder: &Encoder) {
        if let Some(monitor) = &mut self.monitor {
            monitor.batch(batch, encoder);
        }
    }

    fn save(&self) -> serde_json::Value {
        self.monitor.as_ref().map(Monitor::save).unwrap_or_default()
    }

    fn restore(&mut self, saved: &serde_json::Value) {
        if let Some(monitor) = &mut self.monitor {
            monitor.restore(saved);
        }
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
