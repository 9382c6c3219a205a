//! How far a piece of work is: a bar on a terminal, a plain line every few seconds elsewhere.

use super::output::Output;
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(5);
/// A bar younger than this has no rate.
const RATE_AFTER: Duration = Duration::from_secs(1);

/// The progress of one piece of work. It may be shared by threads; what is on the screen goes when it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Bar {
    drawn: ProgressBar,
    label: String,
    unit: &'static str,
    started: Instant,
    lines: Option<Mutex<Instant>>,
}

impl Bar {
    pub(super) fn new(output: &Output, label: &str, unit: &'static str, total: Option<u64>) -> Self {
        let terminal = output.is_terminal() && !output.is_quiet();
        // Complete before it is added, since it is drawn then.
        let bar = ProgressBar::new(total.unwrap_or(0)).with_style(style(unit, total.is_some()));
        let bar = output.bars().add(bar.with_prefix(label.to_owned()));
        if total.is_none() {
            bar.unset_length();
        }
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let lines = (!terminal && !output.is_quiet()).then(|| Mutex::new(Instant::now()));
        Self { drawn: bar, label: label.to_owned(), unit, started: Instant::now(), lines }
    }

    /// Sets the units done so far.
    pub(crate) fn set(&self, position: u64) {
        self.drawn.set_position(position);
        self.line(false);
    }

    /// Sets the units done so far, and the remark behind the numbers.
    pub(crate) fn advance(&self, position: u64, remark: impl Into<String>) {
        self.drawn.set_position(position);
        self.remark(remark);
    }

    /// How long it has been there.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds to the units done.
    pub(crate) fn add(&self, units: u64) {
        self.drawn.inc(units);
        self.line(false);
    }

    /// Sets the units that there are altogether, once that is known.
    pub(crate) fn set_total(&self, total: u64) {
        if self.drawn.length().is_none() {
            self.drawn.set_style(style(self.unit, true));
        }
        self.drawn.set_length(total);
    }

    /// Sets a remark that stands behind the numbers.
    pub(crate) fn remark(&self, text: impl Into<String>) {
        self.drawn.set_message(text.into());
        self.line(false);
    }

    /// Takes the bar off the screen; where there are only lines, writes a last one.
    pub(crate) fn finish(&self) {
        self.line(true);
        self.drawn.finish_and_clear();
    }

    fn line(&self, last: bool) {
        let Some(Ok(mut written)) = self.lines.as_ref().map(Mutex::lock) else { return };
        if !last && written.elapsed() < LINE_EVERY {
            return;
        }
        *written = Instant::now();
        let text = describe(&self.label, self.unit, &self.drawn, self.started.elapsed());
        // That nobody reads the line is no reason to fail.
        std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes()).ok();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

fn describe(label: &str, unit: &str, bar: &ProgressBar, elapsed: Duration) -> String {
    let position = bar.position();
    let count =
        |units: u64| if unit == "bytes" { HumanBytes(units).to_string() } else { HumanCount(units).to_string() };
    let mut text = format!("{label}: {}", count(position));
    // Writing to a String cannot fail.
    if let Some(total) = bar.length() {
        let percent = (position.min(total) * 100).checked_div(total).unwrap_or(100);
        write!(text, " of {} ({percent} %)", count(total)).ok();
    }
    if unit != "bytes" {
        write!(text, " {unit}").ok();
    }
    let per_second = position as f64 / elapsed.as_secs_f64().max(0.001);
    write!(text, ", {}/s, {}", count(per_second as u64), HumanDuration(elapsed)).ok();
    let left = bar.length().map_or(0, |total| total.saturating_sub(position));
    if left > 0 && position > 0 {
        let seconds = (left as f64 / per_second).ceil() as u64;
        write!(text, ", about {} left", HumanDuration(Duration::from_secs(seconds))).ok();
    }
    let remark = bar.message();
    if !remark.is_empty() {
        write!(text, ", {remark}").ok();
    }
    text.push('\n');
    text
}

fn style(unit: &str, bounded: bool) -> ProgressStyle {
    let template = match (unit, bounded) {
        ("bytes", true) => {
            "{prefix:20!} {bar:24} {bytes:>11}/{total_bytes:11} {rate:>13} {left:>5} {wide_msg}".to_owned()
        }
        ("bytes", false) => "{prefix:20!} {spinner} {bytes:>11} {rate:>13} {elapsed:>5} {wide_msg}".to_owned(),
        (_, true) => {
            format!(
                "{{prefix:20!}} {{bar:24}} {{human_pos:>11}}/{{human_len:11}} {{rate:>13}} {unit} {{left:>5}} {{wide_msg}}"
            )
        }
        (_, false) => {
            format!("{{prefix:20!}} {{spinner}} {{human_pos:>11}} {{rate:>13}} {unit} {{elapsed:>5}} {{wide_msg}}")
        }
    };
    // The templates above are fixed, so that the fallback is never seen; the tests draw each.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let is_bytes = unit == "bytes";
    let rate = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let Some(rate) = mean_rate(state.pos(), state.elapsed()) else { return };
        // A failure to write is indicatif's own affair, here and below.
        if is_bytes { write!(text, "{}/s", HumanBytes(rate)) } else { write!(text, "{}/s", HumanCount(rate)) }.ok();
    };
    style.with_key("rate", rate).with_key("left", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let rate = mean_rate(state.pos(), state.elapsed()).filter(|rate| *rate > 0);
        if let (Some(rate), Some(total)) = (rate, state.len()) {
            let left = Duration::from_secs(total.saturating_sub(state.pos()).div_ceil(rate));
            write!(text, "{:#}", HumanDuration(left)).ok();
        }
    })
}

/// Units a second since the bar is there, once that says something: a bar begins where its work already is, which indicatif's own estimate takes for a burst.
fn mean_rate(position: u64, elapsed: Duration) -> Option<u64> {
    (elapsed >= RATE_AFTER).then(|| (position as f64 / elapsed.as_secs_f64()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_bar_has_no_rate() {
        assert_eq!(mean_rate(200_000, Duration::from_millis(3)), None);
        assert_eq!(mean_rate(200_000, Duration::from_secs(4)), Some(50_000));
    }

    #[test]
    fn templates_are_read() {
        for unit in ["bytes", "rows"] {
            for bounded in [true, false] {
                let drawn = style(unit, bounded);
                assert!(!format!("{:?}", drawn.get_tick_str(0)).is_empty());
            }
        }
    }

    #[test]
    fn a_line_says_how_much_of_how_much() {
        let bar = ProgressBar::hidden();
        bar.set_length(2_000);
        bar.set_position(500);
        let line = describe("orders", "rows", &bar, Duration::from_secs(2));
        assert_eq!(line, "orders: 500 of 2,000 (25 %) rows, 250/s, 2 seconds, about 6 seconds left\n");
    }
}
