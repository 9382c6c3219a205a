//! `pipectl dead-letters`.

use super::Context;
use super::confirm::confirm;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::HumanBytes;
use pipectl::config;
use pipectl::dead_letters::{self, LetterFilter, StoredLetter};
use pipectl::error::Result;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Letters of an error that the list shows.
const SHOWN: usize = 100;

/// Show, replay or drop the records that could not be carried
///
/// `list` tells what is waiting and why; with `--output json` it shows the records whole. `replay` produces each into the partition that it came from, once its cause
/// is mended, and removes it here: a running `sync` then takes it in like any other record, and sets it aside again where it still cannot be carried. Changes
/// stored since stay as they are. `drop` removes them for good.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pipectl dead-letters list --table public.orders
  pipectl dead-letters list --since 2h --output json
  pipectl dead-letters replay --topic shop.public.orders
  pipectl dead-letters drop --since 2026-11-22T10:00 --yes")]
pub(crate) struct Arguments {
    /// What to do
    action: Action,
    /// Only those of this table, by its name in Postgres
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only those of this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only those set aside since this time, in UTC, such as 2026-11-22T10:00, or a length of time before now, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many `list` shows at most
    #[arg(long, value_name = "N", default_value = "100")]
    limit: u16,
    /// Do not ask before `drop`
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Show what is waiting
    List,
    /// Produce it again
    Replay,
    /// Remove it
    Drop,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    let settings = context.settings()?;
    let filter = LetterFilter {
        topic: arguments.topic.clone(),
        table: arguments.table.clone(),
        since: arguments.since.as_deref().map(since),
    };
    let waiting = dead_letters::count(&settings, &filter).await?;
    match arguments.action {
        Action::List => {
            let whole = context.output.is_json();
            let letters = dead_letters::list(&settings, &filter, usize::from(arguments.limit), whole).await?;
            if whole {
                let letters: Vec<Value> = letters.iter().map(document).collect();
                let pipeline = &settings.pipeline;
                context.output.json(
                    &json!({ "version": 1, "pipeline": pipeline, "waiting": waiting, "dead_letters": letters }),
                )?;
            } else {
                context.output.data(&text(&letters, waiting))?;
            }
        }
        Action::Replay => {
            let bar = context.output.bar("replay", "records", Some(waiting));
            let done = dead_letters::replay(&settings, &filter, |done| bar.set(done)).await;
            drop(bar);
            said(context, "replayed", done?)?;
        }
        Action::Drop => {
            if waiting > 0 {
                confirm(context, &format!("remove {waiting} dead letters for good?"), arguments.yes)?;
            }
            said(context, "dropped", dead_letters::remove(&settings, &filter).await?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn said(context: &Context, what: &str, count: u64) -> Result<()> {
    if context.output.is_json() {
        return context.output.json(&json!({ "version": 1, what: count }));
    }
    context.output.data(&format!("{count} {what}\n"))
}

/// A length of time becomes seconds since 1970; everything else is for ClickHouse to read.
fn since(text: &str) -> String {
    let Ok(length) = config::duration(text) else { return text.to_owned() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(length).as_secs().to_string()
}

fn document(stored: &StoredLetter) -> Value {
    let letter = &stored.letter;
    let headers: Vec<Value> =
        letter.headers.iter().map(|(name, value)| json!([name, readable(value.as_deref())])).collect();
    json!({
        "time": stored.time,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp_ms": letter.timestamp_ms,
        "table": letter.table,
        "error": letter.error,
        "key": readable(letter.key.as_deref()),
        "value": readable(letter.value.as_deref()),
        "headers": headers,
    })
}

/// Bytes as text where they are text, else in hexadecimal.
fn readable(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Value::from(text);
    }
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect();
    json!({ "hex": hex })
}

fn text(letters: &[StoredLetter], waiting: u64) -> String {
    if waiting == 0 {
        return "no dead letters\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["time (UTC)", "topic", "partition", "offset", "table", "value", "error"]);
    for StoredLetter { letter, time, value_bytes } in letters {
        let error: String = letter.error.chars().take(SHOWN).collect();
        table.add_row([
            time.clone(),
            letter.topic.clone(),
            letter.partition.to_string(),
            letter.offset.to_string(),
            letter.table.clone().unwrap_or_else(|| "-".to_owned()),
            HumanBytes(*value_bytes).to_string(),
            error,
        ]);
    }
    let more = waiting.saturating_sub(letters.len() as u64);
    let rest = if more > 0 { format!("\n{more} more; --limit shows them") } else { String::new() };
    format!("{}{rest}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_counted_back_from_now() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let back: u64 = since("2h").parse().unwrap();
        assert!((now - 7_201..=now - 7_199).contains(&back));
        assert_eq!(since("2026-11-22T10:00"), "2026-11-22T10:00");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_what_they_are() {
        assert_eq!(readable(Some("é".as_bytes())), Value::from("é"));
        assert_eq!(readable(Some(&[0xff, 0])), json!({ "hex": "ff00" }));
        assert_eq!((readable(Some(b"")), readable(None)), (Value::from(""), Value::Null));
    }
}
