//! From text to an expression.

use regex::Regex;
use std::cmp::Ordering;

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    /// There is something at the path.
    Is(Path),
    Compare(Path, Comparison, Literal),
    Matches {
        path: Path,
        regex: Regex,
        wanted: bool,
    },
}

/// Where to look: the first word, and the names behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) names: Vec<String>,
}

/// The first word of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Op,
    Table,
    Schema,
    Topic,
    Partition,
    Offset,
    Lsn,
    Xid,
    Key,
    Before,
    After,
    Changed,
    Value,
}

impl Root {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "op" => Self::Op,
            "table" => Self::Table,
            "schema" => Self::Schema,
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "lsn" => Self::Lsn,
            "xid" => Self::Xid,
            "key" => Self::Key,
            "before" => Self::Before,
            "after" => Self::After,
            "changed" => Self::Changed,
            "value" => Self::Value,
            _ => return None,
        })
    }

    /// Whether names have to stand behind it (`Some(true)`), or must not (`Some(false)`).
    fn takes_names(self) -> Option<bool> {
        match self {
            Self::Before | Self::After | Self::Changed => Some(true),
            Self::Key | Self::Value => None,
            _ => Some(false),
        }
    }
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    /// Whether an order of the two meets it.
    pub(super) fn takes(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// A value that is written in the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Null,
    /// Without quotes: a number, where it looks like one.
    Bare(String),
    Quoted(String),
}

impl Literal {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Bare(text) | Self::Quoted(text) => text,
        }
    }
}

/// What is wrong, and at which character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) what: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Operator(&'static str),
    /// Parts between dots, each with whether it was quoted.
    Word(Vec<(String, bool)>),
}

/// Longer ones first.
const OPERATORS: [&str; 10] = ["==", "!=", "<>", "<=", ">=", "!~", "=", "<", ">", "~"];

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Expression, Mistake> {
    let characters: Vec<char> = text.chars().collect();
    let tokens = tokens(&characters)?;
    let mut parser = Parser { tokens: &tokens, end: characters.len() };
    let expression = parser.or(0)?;
    match parser.tokens.first() {
        None => Ok(expression),
        Some((at, Token::Close)) => Err(mistake(*at, "there is no parenthesis for this one to close")),
        Some((at, _)) => Err(mistake(*at, "expected and, or, or the end")),
    }
}

fn mistake(at: usize, what: impl Into<String>) -> Mistake {
    Mistake { at, what: what.into() }
}

fn tokens(text: &[char]) -> Result<Vec<(usize, Token)>, Mistake> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some(c) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        match c {
            c if c.is_whitespace() => at += 1,
            '(' | ')' => {
                found.push((at, if *c == '(' { Token::Open } else { Token::Close }));
                at += 1;
            }
            _ => {
                if let Some(operator) =
                    OPERATORS.iter().find(|operator| rest.iter().take(operator.len()).copied().eq(operator.chars()))
                {
                    found.push((at, Token::Operator(operator)));
                    at += operator.len();
                } else {
                    let (word, length) = word(rest, at)?;
                    found.push((at, Token::Word(word)));
                    at += length;
                }
            }
        }
    }
    Ok(found)
}

/// A word up to a space, a parenthesis or an operator; quoted parts may hold them. A quote is written twice inside of quotes.
fn word(text: &[char], begin: usize) -> Result<(Vec<(String, bool)>, usize), Mistake> {
    let (mut parts, mut at) = (vec![(String::new(), false)], 0);
    while let Some(c) = text.get(at).copied() {
        let Some((part, is_quoted)) = parts.last_mut() else { break };
        match c {
            '\'' | '"' => {
                *is_quoted = true;
                at += 1;
                loop {
                    match (text.get(at).copied(), text.get(at + 1).copied()) {
                        (None, _) => return Err(mistake(begin, "this quote is not closed")),
                        (Some(a), Some(b)) if a == c && b == c => {
                            part.push(c);
                            at += 2;
                        }
                        (Some(a), _) if a == c => break,
                        (Some(a), _) => {
                            part.push(a);
                            at += 1;
                        }
                    }
                }
            }
            '.' => parts.push((String::new(), false)),
            c if c.is_whitespace() || "()=<>~!".contains(c) => break,
            c => part.push(c),
        }
        at += 1;
    }
    if at == 0 {
        return Err(mistake(begin, "expected a path, a value or an operator"));
    }
    Ok((parts, at))
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    end: usize,
}

/// How deep parentheses may be nested.
const DEEPEST: usize = 100;

impl Parser<'_> {
    fn at(&self) -> usize {
        self.tokens.first().map_or(self.end, |(at, _)| *at)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = match self.tokens.first() {
            Some((_, Token::Word(parts))) => {
                matches!(parts.as_slice(), [(word, false)] if word.eq_ignore_ascii_case(keyword))
            }
            _ => false,
        };
        if found {
            self.advance();
        }
        found
    }

    fn advance(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    fn or(&mut self, depth: usize) -> Result<Expression, Mistake> {
        let first = self.and(depth)?;
        let mut parts = vec![first];
        while self.keyword("or") {
            parts.push(self.and(depth)?);
        }
        Ok(one_or(parts, Expression::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Expression, Mistake> {
        let first = self.not(depth)?;
        let mut parts = vec![first];
        while self.keyword("and") {
            parts.push(self.not(depth)?);
        }
        Ok(one_or(parts, Expression::And))
    }

    fn not(&mut self, depth: usize) -> Result<Expression, Mistake> {
        if depth > DEEPEST {
            return Err(mistake(self.at(), "this is nested too deep"));
        }
        if self.keyword("not") {
            return Ok(Expression::Not(Box::new(self.not(depth + 1)?)));
        }
        if !matches!(self.tokens.first(), Some((_, Token::Open))) {
            return self.comparison();
        }
        let opened = self.at();
        self.advance();
        let inner = self.or(depth + 1)?;
        if !matches!(self.tokens.first(), Some((_, Token::Close))) {
            return Err(match self.tokens.first() {
                None => mistake(opened, "this parenthesis is not closed"),
                Some((at, _)) => mistake(*at, "expected and, or, or a closing parenthesis"),
            });
        }
        self.advance();
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Expression, Mistake> {
        let path = self.path()?;
        let operator = match self.tokens.first() {
            Some((_, Token::Operator(operator))) => *operator,
            _ => return Ok(Expression::Is(path)),
        };
        self.advance();
        let at = self.at();
        let literal = self.literal()?;
        let comparison = match operator {
            "=" | "==" => Comparison::Equal,
            "!=" | "<>" => Comparison::Unequal,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            ">=" => Comparison::AtLeast,
            _ => {
                let regex = Regex::new(literal.text()).map_err(|_| {
                    mistake(at, "this is no regular expression; one with spaces or ( ) stands in quotes")
                })?;
                return Ok(Expression::Matches { path, regex, wanted: operator == "~" });
            }
        };
        if path.root == Root::Lsn && super::lsn(literal.text()).is_none() {
            return Err(mistake(at, "expected an LSN, such as 16/B374D848"));
        }
        Ok(Expression::Compare(path, comparison, literal))
    }

    fn path(&mut self) -> Result<Path, Mistake> {
        let at = self.at();
        let words =
            "op, table, schema, topic, partition, offset, lsn, xid, key.x, before.x, after.x, changed.x or value.x";
        let Some((_, Token::Word(parts))) = self.tokens.first() else {
            return Err(mistake(at, format!("expected {words}")));
        };
        let Some(((first, false), names)) = parts.split_first() else {
            return Err(mistake(at, format!("expected {words}")));
        };
        let root = Root::of(first).ok_or_else(|| mistake(at, format!("there is no \"{first}\": expected {words}")))?;
        match (root.takes_names(), names.is_empty()) {
            (Some(true), true) => return Err(mistake(at, format!("needs the name of a column: {first}.x"))),
            (Some(false), false) => return Err(mistake(at, format!("\"{first}\" has nothing below it"))),
            _ => {}
        }
        if names.iter().any(|(name, quoted)| name.is_empty() && !quoted) {
            return Err(mistake(at, "a name between two dots is missing"));
        }
        let names = names.iter().map(|(name, _)| name.clone()).collect();
        self.advance();
        Ok(Path { root, names })
    }

    fn literal(&mut self) -> Result<Literal, Mistake> {
        let Some((_, Token::Word(parts))) = self.tokens.first() else {
            return Err(mistake(self.at(), "expected a value; one with spaces stands in quotes"));
        };
        let quoted = parts.iter().any(|(_, quoted)| *quoted);
        let text = parts.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>().join(".");
        let literal = match text.as_str() {
            "null" | "NULL" if !quoted => Literal::Null,
            _ if quoted => Literal::Quoted(text),
            _ => Literal::Bare(text),
        };
        self.advance();
        Ok(literal)
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.pop(), parts.is_empty()) {
        (Some(one), true) => one,
        (Some(last), false) => {
            parts.push(last);
            many(parts)
        }
        (None, _) => many(parts),
    }
}
