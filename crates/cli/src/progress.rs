//! How far long work is: a bar for each file and one for all, on a terminal only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::output::{Output, is_terminal};

/// The bars of one command. Cloning it shares them.
#[derive(Clone)]
pub struct Progress {
    bars: MultiProgress,
    total: ProgressBar,
    /// Whether there is a bar for all.
    counted: bool,
    shown: bool,
    output: Output,
    /// Bytes of files that went or came.
    moved: Arc<AtomicU64>,
}

impl Progress {
    pub fn new(output: Output) -> Progress {
        let shown = is_terminal() && !output.quiet;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let total = ProgressBar::hidden();
        Progress { bars, total, counted: false, shown, output, moved: Arc::default() }
    }

    /// Shows how many of `things` are done.
    pub fn start(&mut self, things: u64, what: &str) {
        let style = ProgressStyle::with_template("{msg} {pos}/{len} {bar:30} {elapsed}  {prefix}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        self.total = self.bars.add(ProgressBar::new(things));
        self.total.set_style(style);
        self.total.set_message(what.to_owned());
        self.counted = true;
        self.total.enable_steady_tick(Duration::from_millis(250));
    }

    /// A count of lines whose number is not known before.
    pub fn lines(&self, what: &str) -> ProgressBar {
        let style =
            ProgressStyle::with_template("{pos} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        self.bars.add(ProgressBar::no_length().with_style(style).with_message(what.to_owned()))
    }

    pub fn one_done(&self) {
        self.total.inc(1);
    }

    /// A bar for one file; it goes away when it is dropped.
    pub fn file(&self, name: &str, bytes: u64) -> FileBar {
        let style = ProgressStyle::with_template(
            "  {bar:20} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12}  {msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        // It must be among the others before it is drawn for the first time.
        let bar = ProgressBar::new(bytes);
        let bar = match (self.shown, self.counted) {
            (false, _) => ProgressBar::hidden(),
            (true, true) => self.bars.insert_before(&self.total, bar),
            (true, false) => self.bars.add(bar),
        };
        bar.set_style(style);
        bar.set_message(crate::output::shown(name).into_owned());
        FileBar(Arc::new(Bar(bar)), self.moved.clone())
    }

    /// Grows while bytes of files go or come.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Says for how long and why nothing moves.
    pub fn waiting(&self, seconds: u64, why: &str) {
        if self.shown && !self.total.is_hidden() {
            self.total.set_prefix(format!("{why}: waiting {seconds} s"));
        } else if !self.output.quiet {
            self.output.warn(format!("{why}: waiting {seconds} s"));
        }
    }

    /// Something that people should know, above the bars.
    pub fn warn(&self, text: &str) {
        self.bars.suspend(|| self.output.warn(text));
    }

    /// What was done, above the bars.
    pub fn said(&self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        self.bars.suspend(|| self.output.said(text))
    }

    pub fn going_on(&self) {
        self.total.set_prefix("");
    }

    /// Takes the bars away, so that what is printed next stands alone.
    pub fn finish(&self) {
        self.total.finish_and_clear();
    }
}

/// The bar of one file. The last of its clones takes it away.
#[derive(Clone)]
pub struct FileBar(Arc<Bar>, Arc<AtomicU64>);

struct Bar(ProgressBar);

impl FileBar {
    pub fn moved(&self, bytes: u64) {
        self.0.0.inc(bytes);
        self.1.fetch_add(bytes, Ordering::Relaxed);
    }

    /// From the beginning: the file is sent again.
    pub fn again(&self) {
        self.0.0.set_position(0);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
