//! The only place that prints: data on stdout, everything else on stderr.

use super::progress::Bar;
use super::{Color, Form};
use indicatif::{MultiProgress, ProgressDrawTarget};
use pipectl::error::{Error, Kind, Result};
use std::io::{IsTerminal, Write};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where and how to print.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    form: Form,
    color: Color,
    quiet: bool,
    terminal: bool,
    bars: MultiProgress,
}

/// Nobody reads stdout any more: a reason to stop, and no failure.
#[derive(Debug)]
pub(crate) struct ClosedStdout;

impl std::fmt::Display for ClosedStdout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stdout was closed")
    }
}

impl std::error::Error for ClosedStdout {}

impl Output {
    pub(super) fn new(form: Form, color: Color, quiet: bool) -> Self {
        let bars = MultiProgress::new();
        let terminal = std::io::stderr().is_terminal();
        if quiet || !terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { form, color, quiet, terminal, bars }
    }

    /// Writes a text and a line end to stdout.
    ///
    /// # Errors
    /// Where stdout was closed ([`ClosedStdout`], which `main` takes for a quiet success) or cannot be written.
    pub(crate) fn data(&self, text: &str) -> Result<()> {
        if text.ends_with('\n') { self.bytes(text.as_bytes()) } else { self.bytes(format!("{text}\n").as_bytes()) }
    }

    /// Writes bytes to stdout as they are.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let written = self.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        });
        written.map_err(|error| {
            let wrapped = Error::new(Kind::Unexpected, "could not write to stdout");
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                wrapped.because(ClosedStdout)
            } else {
                wrapped.because(error)
            }
        })
    }

    /// Writes a JSON document to stdout: on lines of its own, indented.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub(crate) fn json(&self, document: &serde_json::Value) -> Result<()> {
        self.data(&format!("{document:#}"))
    }

    /// Writes a JSON object on one line of stdout, for streams.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub(crate) fn json_line(&self, object: &serde_json::Value) -> Result<()> {
        self.data(&object.to_string())
    }

    /// Writes a line to stderr, unless `--quiet`.
    pub(crate) fn message(&self, text: &str) {
        if !self.quiet {
            self.error_line(text);
        }
    }

    /// Writes a line to stderr, whatever was asked for. That nobody reads it is no reason to fail.
    pub(crate) fn error_line(&self, text: &str) {
        self.suspend(|| writeln!(std::io::stderr().lock(), "{text}")).ok();
    }

    /// Whether stdout is to hold JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Whether `--quiet` was given.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether messages go to a terminal: bars instead of lines, questions are possible.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether stdout may hold colours.
    pub(crate) fn color_stdout(&self) -> bool {
        !self.is_json() && self.color(std::io::stdout().is_terminal())
    }

    /// Whether stderr may hold colours.
    pub(crate) fn color_stderr(&self) -> bool {
        !self.is_json() && self.color(self.is_terminal())
    }

    fn color(&self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            // https://no-color.org: set and not empty.
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// A bar for work whose end may be known; drawn on a terminal, a plain line every few seconds elsewhere.
    pub(crate) fn bar(&self, label: &str, unit: &'static str, total: Option<u64>) -> Bar {
        Bar::new(self, label, unit, total)
    }

    /// The bars on the screen.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }
}

/// Sends the log to stderr, above the bars: warnings, or errors alone with `--quiet`; `-v` adds what is being done, `-vv` the
/// details, `-vvv` those of the libraries too.
pub(super) fn start_log(output: &Output, verbose: u8) {
    let bars = output.bars.clone();
    let level = match (output.quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => LevelFilter::WARN,
        (_, 1) => LevelFilter::INFO,
        (_, 2) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let others = if verbose > 2 { LevelFilter::DEBUG } else { LevelFilter::ERROR };
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(output.color_stderr())
        .with_target(verbose > 2)
        .with_writer(move || AboveBars(bars.clone()));
    // The replication library logs each failure that it also returns, and who called it says it.
    let replication = if verbose > 2 { LevelFilter::DEBUG } else { LevelFilter::OFF };
    let filter = Targets::new()
        .with_target("pipectl", level)
        .with_target("pgwire_replication", replication)
        .with_default(others);
    // It fails only where a log was set up before.
    tracing_subscriber::registry().with(layer).with(filter).try_init().ok();
}

/// Stderr, with the bars out of the way while a line is written.
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}
