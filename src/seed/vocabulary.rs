//! Names, places and words, made once by the `fake` crate and then combined: its generators build a new text for each call, which
//! is too slow for every cell of millions of rows.

use super::random::{pick, row_rng};
use fake::Fake;
use fake::faker::address::raw::{BuildingNumber, CityName, PostCode, StreetName};
use fake::faker::company::raw::{Bs, CatchPhrase, CompanyName, Industry};
use fake::faker::impls::address::CityNameGenFn;
use fake::faker::internet::raw::{UserAgent, Username};
use fake::faker::job::raw::Title;
use fake::faker::lorem::raw::{Sentence, Word};
use fake::faker::name::raw::{FirstName, LastName, Name};
use fake::faker::phone_number::raw::CellNumber;
use fake::locales::{AR_SA, DE_DE, EN, FR_FR, IT_IT, JA_JP, PT_BR, ZH_CN};
use rand::Rng;
use rand::rngs::SmallRng;

const NAMES: usize = 600;
const PLACES: usize = 200;
const TEXTS: usize = 1000;
const VOCABULARY_STREAM: u64 = 0x766f_6361;

/// What a country's people and places are called.
#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub(super) code: &'static str,
    /// ISO 4217.
    pub(super) currency: &'static str,
    pub(super) first_names: Vec<String>,
    pub(super) last_names: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) streets: Vec<String>,
    pub(super) cities: Vec<String>,
    pub(super) postcodes: Vec<String>,
    pub(super) phones: Vec<String>,
}

/// All the lists.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The countries; those that come oftener stand there more than once.
    pub(super) countries: Vec<Country>,
    /// Letters, digits and some signs of ASCII alone.
    pub(super) usernames: Vec<String>,
    pub(super) companies: Vec<String>,
    pub(super) phrases: Vec<String>,
    pub(super) slogans: Vec<String>,
    pub(super) industries: Vec<String>,
    pub(super) jobs: Vec<String>,
    pub(super) user_agents: Vec<String>,
    pub(super) sentences: Vec<String>,
    /// Single words of several languages, so many that a text of them hardly compresses.
    pub(super) words: Vec<String>,
}

impl Vocabulary {
    /// The lists of a seed: the same seed makes the same ones.
    pub(super) fn new(seed: u64) -> Self {
        let rng = &mut row_rng(seed, VOCABULARY_STREAM, 0);
        let countries = vec![
            country(EN, "US", "USD", rng),
            country(EN, "GB", "GBP", rng),
            country(DE_DE, "DE", "EUR", rng),
            country(FR_FR, "FR", "EUR", rng),
            country(IT_IT, "IT", "EUR", rng),
            country(PT_BR, "BR", "BRL", rng),
            country(JA_JP, "JP", "JPY", rng),
            country(ZH_CN, "CN", "CNY", rng),
            country(AR_SA, "SA", "SAR", rng),
        ];
        let usernames = many(TEXTS, rng, |rng| Username(EN).fake_with_rng::<String, _>(rng));
        let usernames = usernames.iter().map(|name| address_part(name)).collect();
        let mut words = many(TEXTS, rng, |rng| Word(EN).fake_with_rng(rng));
        for country in &countries {
            words.extend(country.first_names.iter().chain(&country.last_names).cloned());
        }
        Self {
            usernames,
            words,
            companies: many(TEXTS, rng, |rng| CompanyName(EN).fake_with_rng(rng)),
            phrases: many(TEXTS, rng, |rng| CatchPhrase(EN).fake_with_rng(rng)),
            slogans: many(TEXTS, rng, |rng| Bs(EN).fake_with_rng(rng)),
            industries: many(PLACES, rng, |rng| Industry(EN).fake_with_rng(rng)),
            jobs: many(PLACES, rng, |rng| Title(EN).fake_with_rng(rng)),
            user_agents: many(PLACES, rng, |rng| UserAgent(EN).fake_with_rng(rng)),
            sentences: many(TEXTS, rng, |rng| Sentence(EN, 4..12).fake_with_rng(rng)),
            countries,
        }
    }

    /// A country: the first of the list for four of ten, any for the others.
    pub(super) fn country(&self, rng: &mut SmallRng) -> Option<&Country> {
        let any = rng.random_range(0..self.countries.len().max(1));
        let index = if rng.random_range(0..10) < 4 { 0 } else { any };
        self.countries.get(index)
    }

    /// A text of words, at least so many bytes long.
    pub(super) fn text(&self, rng: &mut SmallRng, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 32);
        let mut words = 0;
        while text.len() < bytes {
            if words > 0 {
                text.push_str(if rng.random_range(0..12) == 0 { ". " } else { " " });
            }
            text.push_str(pick(rng, &self.words));
            words += 1;
        }
        text.push('.');
        text
    }
}

fn country<L: CityNameGenFn>(locale: L, code: &'static str, currency: &'static str, rng: &mut SmallRng) -> Country {
    Country {
        code,
        currency,
        first_names: many(NAMES, rng, |rng| FirstName(locale).fake_with_rng(rng)),
        last_names: many(NAMES, rng, |rng| LastName(locale).fake_with_rng(rng)),
        names: many(NAMES, rng, |rng| Name(locale).fake_with_rng(rng)),
        streets: many(PLACES, rng, |rng| {
            let street: String = StreetName(locale).fake_with_rng(rng);
            let number: String = BuildingNumber(locale).fake_with_rng(rng);
            format!("{number} {street}")
        }),
        cities: many(PLACES, rng, |rng| CityName(locale).fake_with_rng(rng)),
        postcodes: many(PLACES, rng, |rng| PostCode(locale).fake_with_rng(rng)),
        phones: many(PLACES, rng, |rng| CellNumber(locale).fake_with_rng(rng)),
    }
}

fn many(count: usize, rng: &mut SmallRng, make: impl Fn(&mut SmallRng) -> String) -> Vec<String> {
    (0..count).map(|_| make(rng)).collect()
}

/// What may stand before the @ of an address without quotes.
fn address_part(name: &str) -> String {
    name.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_repeat_with_the_seed() {
        let (one, same, other) = (Vocabulary::new(7), Vocabulary::new(7), Vocabulary::new(8));
        assert_eq!(format!("{one:?}"), format!("{same:?}"));
        assert_ne!(one.companies, other.companies);
        assert!(one.usernames.iter().all(|name| !name.is_empty() && name.is_ascii()));
    }

    #[test]
    fn texts_have_their_length() {
        let vocabulary = Vocabulary::new(7);
        let text = vocabulary.text(&mut row_rng(1, 1, 1), 3000);
        assert!((3000..3100).contains(&text.len()), "{}", text.len());
    }
}
