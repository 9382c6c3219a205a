//! Asking before something goes that cannot be brought back.

use super::Context;
use pipectl::error::{Error, Kind, Result};
use std::io::{BufRead, IsTerminal};

/// Asks on the terminal whether to go on, unless `--yes` was given.
///
/// # Errors
/// [`Kind::Usage`] where nobody can be asked, or where the answer is not yes.
pub(crate) fn confirm(context: &Context, question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && context.output.is_terminal()) {
        return Err(Error::new(Kind::Usage, format!("this needs a yes: {question}")).hint("pass `--yes`"));
    }
    context.output.message(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Error::new(Kind::Unexpected, "could not read the answer").because(error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(Kind::Usage, "given up: the answer was no")),
    }
}
