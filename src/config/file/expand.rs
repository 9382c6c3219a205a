//! `${VAR}` and `${VAR:-default}` in a text; `$${` is a `${` that stays.

use std::collections::BTreeMap;

/// A text with its variables filled in.
pub(super) struct Expanded {
    pub(super) text: String,
    /// The text as written, each variable replaced by one NUL; a default stays, since it stands in the file.
    pub(super) literal: String,
}

/// Fills the variables in. As in a shell, a default takes the place of an empty variable too; says which are unset.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> Result<Expanded, Vec<String>> {
    let mut out = Expanded { text: String::new(), literal: String::new() };
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.both(before);
            out.both("${");
            rest = after;
            continue;
        }
        out.both(before);
        let Some((inside, after)) = after.split_once('}') else {
            problems.push("a \"${\" has no \"}\" behind it ($${ is a plain ${)".to_owned());
            return Err(problems);
        };
        rest = after;
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        match (variables.get(name), default) {
            _ if !is_name(name) => {
                problems.push(format!("\"${{{name}}}\" is no variable: letters, digits and _ ($${{ is a plain ${{)"));
            }
            (Some(value), default) if !value.is_empty() || default.is_none() => {
                out.text.push_str(value);
                out.literal.push('\0');
            }
            (_, Some(default)) => out.both(default),
            (_, None) => problems.push(format!("the variable {name} is not set (${{{name}:-…}} gives a default)")),
        }
    }
    out.both(rest);
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

impl Expanded {
    fn both(&mut self, text: &str) {
        self.text.push_str(text);
        self.literal.push_str(text);
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Vec<String>> {
        let variables = BTreeMap::from([("A".into(), "1".into()), ("EMPTY".into(), String::new())]);
        expand(text, &variables).map(|it| it.text)
    }

    #[test]
    fn fills_variables_in() {
        assert_eq!(expanded("x${A}y${B:-2}z${EMPTY:-3}${EMPTY}").unwrap(), "x1y2z3");
        assert_eq!(expanded("$A $${A} $").unwrap(), "$A ${A} $");
    }

    #[test]
    fn says_every_unset_one() {
        let problems = expanded("${B} ${C}").err().unwrap();
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("the variable B is not set"));
        assert!(expanded("${").is_err());
        assert!(expanded("${A-b}").is_err());
    }
}
