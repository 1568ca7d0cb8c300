//! Progress bars, warnings and Ctrl-C.

use indicatif::{ProgressBar, ProgressStyle};
use nearfar_core::train::{EpochEvent, Observer, StepEvent, Warning};
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
            eprintln!("stopping behind the next step; Ctrl-C again stops at once");
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

/// One method's bar. Hidden by indicatif where standard error is no terminal; then each epoch is a line.
pub struct Bar {
    bar: ProgressBar,
    name: String,
}

impl Bar {
    /// A bar for `name`.
    pub fn new(name: &str, steps: usize) -> Self {
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {pos}/{len} {msg} {eta} left")
            .expect("the template is fixed")
            .progress_chars("=> ");
        let bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(name.to_owned());
        Self { bar, name: name.to_owned() }
    }
}

impl Observer for Bar {
    fn step(&mut self, event: &StepEvent) -> ControlFlow<()> {
        count_step();
        self.bar.set_position(event.step as u64);
        self.bar.set_message(format!("loss {:.4} {:.0} images/s", event.loss, event.images_per_second));
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, event: &EpochEvent) {
        if self.bar.is_hidden() {
            eprintln!(
                "{:>12} epoch {} loss {:.4} spread {:.2} {:.1} s",
                self.name,
                event.epoch,
                event.loss,
                event.health.spread,
                event.elapsed.as_secs_f64()
            );
        }
    }

    fn warning(&mut self, warning: &Warning) {
        self.bar.suspend(|| eprintln!("warning: {}: {warning}", self.name));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
