//! A task's failure on one line.

/// What a Java stack trace says, on one line: what failed, and the innermost cause; class names and frames are left out.
pub fn readable(trace: &str) -> String {
    let messages: Vec<String> =
        headers(trace).iter().map(|header| without_class(header)).filter(|it| !it.is_empty()).collect();
    let Some(first) = messages.first() else { return one_line(trace) };
    let Some(last) = messages.last().filter(|last| !first.contains(last.as_str())) else { return first.clone() };
    // The outermost text of Debezium says only that something happened; the one above the cause says what was tried.
    let above =
        messages.iter().rev().skip(1).find(|message| !is_empty_talk(message) && !message.contains(last.as_str()));
    match above {
        Some(above) => format!("{above}: {last}"),
        None => last.clone(),
    }
}

/// The head of the trace and of each `Caused by:`, with the lines that go on with it.
fn headers(trace: &str) -> Vec<String> {
    let mut headers: Vec<String> = Vec::new();
    let mut open = true;
    for line in trace.lines() {
        let text = line.trim();
        if text.starts_with("at ") && line.starts_with(char::is_whitespace) || text.starts_with("... ") {
            open = false;
        } else if let Some(cause) = text.strip_prefix("Caused by: ") {
            headers.push(cause.to_owned());
            open = true;
        } else if text.starts_with("Suppressed: ") {
            open = false;
        } else if headers.is_empty() {
            headers.push(text.to_owned());
        } else if open && let Some(last) = headers.last_mut() {
            last.push(' ');
            last.push_str(text);
        }
    }
    headers
}

/// Takes the exceptions' classes off, of which a message may begin with several: `java.lang.A: b.C: text`.
fn without_class(header: &str) -> String {
    let mut text = header.trim();
    loop {
        let (class, rest) = text.split_once(": ").unwrap_or((text.trim_end_matches(':'), ""));
        let is_class = class.contains('.') && !class.contains(' ') && class.ends_with(|c: char| c.is_alphanumeric());
        let name = class.rsplit('.').next().unwrap_or_default();
        if !is_class || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return one_line(text);
        }
        if rest.is_empty() {
            // Nothing but a class: its name is the message, such as UnknownHostException.
            return name.to_owned();
        }
        text = rest.trim();
    }
}

fn is_empty_talk(message: &str) -> bool {
    message.starts_with("An exception occurred in the change event producer")
        || message == "ExecutionException"
        || message.starts_with("Tolerance exceeded in error handler")
        || message.starts_with("Unrecoverable exception from producer send callback")
}

/// A text on one line, of a length that can be read.
pub(super) fn one_line(text: &str) -> String {
    const MOST: usize = 600;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_and_the_frames_are_not() {
        let trace = "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. This connector will be stopped.\n\
            \tat io.debezium.pipeline.ErrorHandler.setProducerThrowable(ErrorHandler.java:67)\n\
            Caused by: io.debezium.DebeziumException: Couldn't obtain encoding for database shop\n\
            \tat io.debezium.connector.postgresql.X.y(X.java:1)\n\t... 7 more\n\
            Caused by: org.postgresql.util.PSQLException: FATAL: password authentication failed for user \"pipectl\"\n\
            \tat org.postgresql.core.v3.C.d(C.java:2)\n";
        assert_eq!(
            readable(trace),
            "Couldn't obtain encoding for database shop: FATAL: password authentication failed for user \"pipectl\""
        );
    }

    #[test]
    fn several_lines_of_a_message_become_one() {
        let trace = "java.lang.RuntimeException: org.postgresql.util.PSQLException: ERROR: syntax error\n  Position: 3\n\tat a.B.c(D.java:1)\n";
        assert_eq!(readable(trace), "ERROR: syntax error Position: 3");
        assert_eq!(readable("java.net.UnknownHostException\n\tat a.b\n"), "UnknownHostException");
        assert_eq!(readable("plain words"), "plain words");
        assert_eq!(readable(""), "");
    }
}
