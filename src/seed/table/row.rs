//! A row of made-up values, as the text format of COPY writes it.

use super::meaning::{When, Words};
use super::moment::{date, time, timestamp};
use super::recipe::{RangeOf, Recipe, TimeForm, UNLIMITED};
use crate::decode::time::MICROS_PER_DAY;
use crate::seed::random::{percent, pick, uuid};
use crate::seed::vocabulary::{Country, Vocabulary};
use rand::Rng;
use rand::rngs::SmallRng;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Digits of the mark that makes a text unique.
pub(super) const MARK_WIDTH: u32 = 10;
/// Marks lie below 2^51, which ten digits of 36 can write.
const MARK_BITS: u32 = 51;
const LANGUAGES: [&str; 8] = ["en", "de", "fr", "it", "pt-BR", "ja", "zh-CN", "ar"];
const COLORS: [&str; 8] = ["black", "white", "red", "navy", "olive", "grey", "sand", "turquoise"];
const COUNTRIES: [(&str, &str); 8] = [
    ("US", "United States"),
    ("GB", "United Kingdom"),
    ("DE", "Germany"),
    ("FR", "France"),
    ("IT", "Italy"),
    ("BR", "Brazil"),
    ("JP", "Japan"),
    ("CN", "China"),
];

/// What the values of one row have in common, so that a name, a city and a country go together.
pub(super) struct Row<'a> {
    pub(super) rng: SmallRng,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) country: Option<&'a Country>,
    /// The row's own moment, microseconds since 1970.
    pub(super) moment: i64,
    /// Counted from 0.
    pub(super) index: u64,
    /// Changes with what is in the table, so that another run makes other marks.
    pub(super) salt: u64,
}

/// Writes a number in the digits 0-9a-z, with so many of them.
pub(super) fn base36(mut number: u64, width: u32) -> String {
    let mut digits = vec![b'0'; width as usize];
    for digit in digits.iter_mut().rev() {
        let value = (number % 36) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 36;
    }
    digits.into_iter().map(char::from).collect()
}

impl Row<'_> {
    /// Writes a value. Drawn groups, and values of other columns, are the caller's.
    pub(super) fn write(&mut self, recipe: &Recipe, out: &mut String) {
        // Writing to a String cannot fail.
        match recipe {
            Recipe::Group { .. } | Recipe::SameAs(_) => {}
            Recipe::OneOf(values) => out.push_str(pick(&mut self.rng, values)),
            Recipe::Count { first } => write!(out, "{}", first + i128::from(self.index)).unwrap_or_default(),
            Recipe::Ticks { first, form } => {
                let step = if *form == TimeForm::Date { MICROS_PER_DAY } else { 1_000_000 };
                write_moment(*form, first + step * self.index as i64, out);
            }
            Recipe::Codes { first, width } => out.push_str(&base36(first + self.index, *width)),
            Recipe::Marked { words, limit } => self.marked(*words, *limit, out),
            Recipe::Text { words, limit } => {
                let text = self.words(*words);
                push_limited(&text, *limit, out);
            }
            Recipe::Number { low, high, decimals } => {
                let number = low + (high - low) * self.rng.random::<f64>();
                let number = if *decimals == 0 { number.floor() } else { number };
                write!(out, "{number:.*}", usize::from(*decimals)).unwrap_or_default();
            }
            Recipe::Time { form, when } => {
                let moment = self.moment(*when);
                write_moment(*form, moment, out);
            }
            Recipe::Array(element) => self.array(element, out),
            Recipe::Range(of) => self.range(*of, out),
            other => out.push_str(&self.special(other)),
        }
    }

    /// Types whose text has a form of its own.
    fn special(&mut self, recipe: &Recipe) -> String {
        let rng = &mut self.rng;
        match recipe {
            Recipe::Uuid => format!("{:032x}", u128::from_be_bytes(uuid(rng))),
            Recipe::Host { unique: false } => Ipv4Addr::from(rng.random::<[u8; 4]>()).to_string(),
            // fd00::/8 belongs to nobody (RFC 4193).
            Recipe::Host { unique: true } => Ipv6Addr::from(rng.random::<u128>() >> 8 | 0xFD << 120).to_string(),
            Recipe::Network => format!("10.{}.{}.0/24", rng.random::<u8>(), rng.random::<u8>()),
            Recipe::Hardware { bytes } => {
                let octets: Vec<String> = (0..*bytes).map(|_| format!("{:02x}", rng.random::<u8>())).collect();
                octets.join(":")
            }
            Recipe::Bytes => format!("\\x{:032x}", rng.random::<u128>()),
            Recipe::Bits { length } => (0..*length).map(|_| if rng.random() { '1' } else { '0' }).collect(),
            Recipe::Interval => {
                format!("{} days {}", rng.random_range(0..60), time(rng.random_range(0..MICROS_PER_DAY)))
            }
            Recipe::Point => format!("({:.4},{:.4})", degrees(rng, 180.0), degrees(rng, 90.0)),
            Recipe::Circle => {
                format!("<({:.4},{:.4}),{:.2}>", degrees(rng, 180.0), degrees(rng, 90.0), degrees(rng, 9.0).abs())
            }
            Recipe::Box => {
                let (x, y) = (degrees(rng, 90.0), degrees(rng, 45.0));
                format!("({:.4},{:.4}),({x:.4},{y:.4})", x + 1.0, y + 1.0)
            }
            Recipe::Vector { length } => {
                let numbers: Vec<String> = (0..*length).map(|_| format!("{:.4}", degrees(rng, 1.0))).collect();
                format!("[{}]", numbers.join(","))
            }
            other => self.of_words(other),
        }
    }

    /// Types that are made of words.
    fn of_words(&mut self, recipe: &Recipe) -> String {
        let rng = &mut self.rng;
        let (word, number) = (pick(rng, &self.vocabulary.usernames), rng.random_range(0..10_000));
        let plain: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        match recipe {
            Recipe::Json => {
                let reference = u128::from_be_bytes(uuid(rng));
                format!(
                    r#"{{"id": "{reference:032x}", "source": "{word}", "value": {number}, "ok": {}, "tags": ["a", null]}}"#,
                    number % 2 == 0
                )
            }
            Recipe::Xml => format!("<item id=\"{number}\">{plain}</item>"),
            Recipe::SearchWords => format!("'{plain}':1 'n{number}':2"),
            Recipe::Hstore => format!("\"source\"=>\"{word}\", \"value\"=>\"{number}\""),
            Recipe::LabelPath => format!("top.{plain}.n{number}"),
            _ => String::new(),
        }
    }

    fn marked(&mut self, words: Words, limit: usize, out: &mut String) {
        // An odd factor permutes the numbers below a power of two: as long as they do not run out, no mark comes twice.
        let scattered = self.index.wrapping_mul(0x5_DEEC_E66D).wrapping_add(self.salt) & ((1 << MARK_BITS) - 1);
        let mark = base36(scattered, MARK_WIDTH);
        let room = limit.saturating_sub(MARK_WIDTH as usize + 1);
        let domain = "@example.com";
        let (text, joint) = match words {
            Words::Email => (pick(&mut self.rng, &self.vocabulary.usernames).to_owned(), '.'),
            Words::Title | Words::Sentence | Words::Paragraph | Words::FullName => (self.words(words), ' '),
            _ => (self.words(words), '-'),
        };
        let as_address = words == Words::Email && limit >= MARK_WIDTH as usize + domain.len();
        push_limited(&text, if as_address { room.saturating_sub(domain.len()) } else { room }, out);
        if !out.is_empty() {
            out.push(joint);
        }
        out.push_str(&mark);
        if as_address {
            out.push_str(domain);
        }
    }

    fn words(&mut self, words: Words) -> String {
        let Some(country) = self.country else { return String::new() };
        let (rng, vocabulary) = (&mut self.rng, self.vocabulary);
        let from = |rng: &mut SmallRng, list: &[String]| pick(rng, list).to_owned();
        match words {
            Words::FirstName => from(rng, &country.first_names),
            Words::LastName => from(rng, &country.last_names),
            Words::FullName => from(rng, &country.names),
            Words::Phone => from(rng, &country.phones),
            Words::Street => from(rng, &country.streets),
            Words::City => from(rng, &country.cities),
            Words::Postcode => from(rng, &country.postcodes),
            Words::Country => COUNTRIES
                .iter()
                .find(|(code, _)| *code == country.code)
                .map_or("Saudi Arabia", |found| found.1)
                .to_owned(),
            Words::CountryCode => country.code.to_owned(),
            Words::Currency => country.currency.to_owned(),
            Words::Username => from(rng, &vocabulary.usernames),
            Words::Company => from(rng, &vocabulary.companies),
            Words::Job => from(rng, &vocabulary.jobs),
            Words::Industry => from(rng, &vocabulary.industries),
            Words::UserAgent => from(rng, &vocabulary.user_agents),
            Words::Title => from(rng, &vocabulary.phrases),
            Words::Sentence => from(rng, &vocabulary.sentences),
            _ => self.technical(words),
        }
    }

    fn technical(&mut self, words: Words) -> String {
        let rng = &mut self.rng;
        let word = pick(rng, &self.vocabulary.usernames);
        match words {
            Words::Email => format!("{word}@example.com"),
            Words::Url => format!("https://www.example.com/{word}/{}", rng.random_range(1..10_000)),
            Words::Domain => format!("{}.example.com", slug(word)),
            Words::Slug => format!("{}-{}", slug(pick(rng, &self.vocabulary.slogans)), rng.random_range(1..1000)),
            Words::Address => Ipv4Addr::from(rng.random::<[u8; 4]>()).to_string(),
            Words::Hash => format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>()),
            Words::Language => pick(rng, &LANGUAGES).to_owned(),
            Words::File => format!("/files/{word}.pdf"),
            Words::Color => pick(rng, &COLORS).to_owned(),
            Words::Code => base36(rng.random::<u64>(), 8).to_uppercase(),
            _ => {
                let bytes = if percent(rng, 10) { rng.random_range(2500..6000) } else { rng.random_range(80..900) };
                self.vocabulary.text(rng, bytes)
            }
        }
    }

    fn moment(&mut self, when: When) -> i64 {
        match when {
            // Between 1940 and 2005.
            When::Birth => self.rng.random_range(-10_957..12_783) * MICROS_PER_DAY,
            When::Then => self.moment,
            When::Later => self.moment + self.rng.random_range(0..30 * MICROS_PER_DAY),
            When::Future => self.moment + self.rng.random_range(365 * MICROS_PER_DAY..1460 * MICROS_PER_DAY),
        }
    }

    fn array(&mut self, element: &Recipe, out: &mut String) {
        out.push('{');
        for place in 0..self.rng.random_range(0..4) {
            let mut value = String::new();
            self.write(element, &mut value);
            out.push_str(if place == 0 { "\"" } else { ",\"" });
            for char in value.chars() {
                if matches!(char, '"' | '\\') {
                    out.push('\\');
                }
                out.push(char);
            }
            out.push('"');
        }
        out.push('}');
    }

    fn range(&mut self, of: RangeOf, out: &mut String) {
        let low = self.rng.random_range(0..10_000);
        let high = low + self.rng.random_range(1..500);
        let text = match of {
            RangeOf::Whole => format!("[{low},{high})"),
            RangeOf::Decimal => format!("[{low}.25,{high}.5]"),
            RangeOf::Date => format!("[{},{})", date(low + 10_957), date(high + 10_957)),
            RangeOf::Moment => {
                format!(
                    "[\"{}\",\"{}\")",
                    timestamp(self.moment + low * 1_000_000),
                    timestamp(self.moment + high * 1_000_000)
                )
            }
        };
        out.push_str(&text);
    }
}

fn write_moment(form: TimeForm, micros: i64, out: &mut String) {
    match form {
        TimeForm::Date => out.push_str(&date(micros.div_euclid(MICROS_PER_DAY))),
        TimeForm::Timestamp => out.push_str(&timestamp(micros)),
        TimeForm::TimestampTz => {
            out.push_str(&timestamp(micros));
            out.push_str("+00");
        }
        TimeForm::Time => out.push_str(&time(micros)),
        TimeForm::TimeTz => {
            out.push_str(&time(micros));
            out.push_str("+00");
        }
    }
}

fn push_limited(text: &str, limit: usize, out: &mut String) {
    if limit == UNLIMITED {
        out.push_str(text);
    } else {
        out.extend(text.chars().take(limit));
    }
}

fn slug(text: &str) -> String {
    let dashed: String =
        text.to_lowercase().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn degrees(rng: &mut SmallRng, limit: f64) -> f64 {
    rng.random_range(-limit..limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::random::row_rng;
    use std::collections::HashSet;

    #[test]
    fn codes_count_up() {
        assert_eq!(base36(0, 3), "000");
        assert_eq!(base36(35, 2), "0z");
        assert_eq!(base36(36 * 36 - 1, 2), "zz");
    }

    #[test]
    fn marked_texts_differ_and_fit() {
        let vocabulary = Vocabulary::new(1);
        let mut row = Row {
            rng: row_rng(1, 1, 1),
            vocabulary: &vocabulary,
            country: vocabulary.countries.first(),
            moment: 0,
            index: 0,
            salt: 12345,
        };
        for limit in [10, 11, 22, 30, UNLIMITED] {
            for words in [Words::Email, Words::Title, Words::Code] {
                let texts: HashSet<String> = (0..2000)
                    .map(|index| {
                        row.index = index;
                        let mut text = String::new();
                        row.write(&Recipe::Marked { words, limit }, &mut text);
                        assert!(text.chars().count() <= limit, "{limit} {text}");
                        text
                    })
                    .collect();
                assert_eq!(texts.len(), 2000, "{words:?} {limit}");
            }
        }
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("  24/7 B2B Ünits!"), "24-7-b2b-nits");
    }
}
