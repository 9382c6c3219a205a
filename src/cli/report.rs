//! What a failure looks like: what was tried, what caused it, what to do. On stderr, in the same form whatever `--output` says.

use super::Context;
use super::output::ClosedStdout;
use pipectl::error::Error;
use std::error::Error as _;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Prints an error and says the exit code that follows from its kind. That nobody reads stdout any more is a quiet success.
pub(crate) fn report(error: &Error, context: &Context) -> ExitCode {
    let mut cause = error.source();
    while let Some(next) = cause {
        if next.is::<ClosedStdout>() {
            return ExitCode::SUCCESS;
        }
        cause = next.source();
    }
    context.output.error_line(&render(error, context.output.color_stderr()));
    ExitCode::from(error.kind().policy().exit_code)
}

/// The error and its causes, each said once: many libraries repeat the cause in their own text.
pub(crate) fn render(error: &Error, color: bool) -> String {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let mut text = format!("{} {error}", paint("1;31", "error:"));
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !said.contains(&words) {
            // Writing to a String cannot fail.
            write!(text, "\n  caused by: {words}").ok();
            said = words;
        }
        cause = next.source();
    }
    if let Some(hint) = error.hint_text() {
        write!(text, "\n{} {hint}", paint("1;36", "hint:")).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipectl::error::Kind;

    #[test]
    fn says_what_why_and_what_to_do() {
        let cause = std::io::Error::other("connection refused");
        let error =
            Error::new(Kind::Source, "could not connect").because(cause).hint("start it").during("could not seed");
        let text = render(&error, false);
        assert_eq!(
            text,
            "error: could not seed\n  caused by: could not connect\n  caused by: connection refused\nhint: start it"
        );
        assert!(render(&error, true).starts_with("\x1b[1;31merror:\x1b[0m"));
    }
}
