//! How the connector's settings spell values, for records that do not carry a schema.

use std::collections::BTreeMap;

/// What Debezium writes for a value that the write-ahead log does not hold, unless `unavailable.value.placeholder` says otherwise.
pub const DEFAULT_PLACEHOLDER: &str = "__debezium_unavailable_value";

/// `decimal.handling.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalMode {
    /// `precise`: the unscaled number in base64.
    Precise,
    /// `string`
    String,
    /// `double`: about 16 digits.
    Double,
}

/// `time.precision.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeMode {
    /// `adaptive`: milliseconds up to a precision of 3, else microseconds.
    Adaptive,
    /// `adaptive_time_microseconds`: the same for timestamps; times in microseconds.
    AdaptiveTimeMicroseconds,
    /// `connect`: milliseconds.
    Connect,
    /// `isostring`
    IsoString,
    /// `microseconds`
    Microseconds,
    /// `nanoseconds`
    Nanoseconds,
    /// `structured`: an object of year, month and so on.
    Structured,
}

/// `binary.handling.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryMode {
    /// `bytes`, which JSON has as base64.
    Bytes,
    /// `base64`: a string even where the records have a schema.
    Base64,
    /// `base64-url-safe`
    Base64UrlSafe,
    /// `hex`
    Hex,
}

/// `interval.handling.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalMode {
    /// `numeric`: microseconds, months and years being taken for their mean length.
    Numeric,
    /// `string`: ISO 8601
    String,
}

/// What is known of the connector's settings. `None` where nothing is: a column whose spelling rests on it is then refused as
/// [`Guesswork`](super::Guesswork), unless the record's schema tells.
///
/// `hstore.handling.mode` is not among them: its two forms cannot be taken for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forms {
    /// `decimal.handling.mode`
    pub decimal: Option<DecimalMode>,
    /// `time.precision.mode`
    pub time: Option<TimeMode>,
    /// `binary.handling.mode`
    pub binary: Option<BinaryMode>,
    /// `interval.handling.mode`
    pub interval: Option<IntervalMode>,
    /// `include.unknown.datatypes`
    pub unknown: Option<bool>,
    /// `money.fraction.digits`: digits after the point of `money`.
    pub money_digits: u8,
    /// `unavailable.value.placeholder`
    pub placeholder: Vec<u8>,
}

impl Default for Forms {
    /// Nothing is known; the placeholder is the default one.
    fn default() -> Self {
        Self {
            decimal: None,
            time: None,
            binary: None,
            interval: None,
            unknown: None,
            money_digits: 2,
            placeholder: DEFAULT_PLACEHOLDER.as_bytes().to_vec(),
        }
    }
}

impl Forms {
    /// The settings of a connector, as `GET /connectors/NAME/config` tells them. A setting that is not there has Debezium's default; a
    /// value that pipectl does not know leaves the setting unknown.
    pub fn from_connector(config: &BTreeMap<String, String>) -> Self {
        let setting = |name: &str, default: &'static str| {
            config.get(name).map_or(default.to_owned(), |value| value.trim().to_ascii_lowercase())
        };
        let digits = config.get("money.fraction.digits").and_then(|digits| digits.trim().parse().ok());
        Self {
            decimal: match &*setting("decimal.handling.mode", "precise") {
                "precise" => Some(DecimalMode::Precise),
                "string" => Some(DecimalMode::String),
                "double" => Some(DecimalMode::Double),
                _ => None,
            },
            time: match &*setting("time.precision.mode", "adaptive") {
                "adaptive" => Some(TimeMode::Adaptive),
                "adaptive_time_microseconds" => Some(TimeMode::AdaptiveTimeMicroseconds),
                "connect" => Some(TimeMode::Connect),
                "isostring" => Some(TimeMode::IsoString),
                "microseconds" => Some(TimeMode::Microseconds),
                "nanoseconds" => Some(TimeMode::Nanoseconds),
                "structured" => Some(TimeMode::Structured),
                _ => None,
            },
            binary: match &*setting("binary.handling.mode", "bytes") {
                "bytes" => Some(BinaryMode::Bytes),
                "base64" => Some(BinaryMode::Base64),
                "base64-url-safe" => Some(BinaryMode::Base64UrlSafe),
                "hex" => Some(BinaryMode::Hex),
                _ => None,
            },
            interval: match &*setting("interval.handling.mode", "numeric") {
                "numeric" => Some(IntervalMode::Numeric),
                "string" => Some(IntervalMode::String),
                _ => None,
            },
            unknown: match &*setting("include.unknown.datatypes", "false") {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            money_digits: digits.unwrap_or(2),
            placeholder: placeholder(config.get("unavailable.value.placeholder").map(String::as_str)),
        }
    }
}

/// A placeholder that begins with `hex:` is given by its bytes.
fn placeholder(setting: Option<&str>) -> Vec<u8> {
    let text = setting.unwrap_or(DEFAULT_PLACEHOLDER);
    text.strip_prefix("hex:").and_then(unhex).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let bytes = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    rest.is_empty().then_some(bytes)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_not_there_have_the_connectors_defaults() {
        let forms = Forms::from_connector(&BTreeMap::new());
        assert_eq!(forms.decimal, Some(DecimalMode::Precise));
        assert_eq!(forms.time, Some(TimeMode::Adaptive));
        assert_eq!(forms.binary, Some(BinaryMode::Bytes));
        assert_eq!(forms.interval, Some(IntervalMode::Numeric));
        assert_eq!(forms.placeholder, DEFAULT_PLACEHOLDER.as_bytes());
    }

    #[test]
    fn reads_settings_and_owns_to_what_it_does_not_know() {
        let set =
            |name: &str, value: &str| Forms::from_connector(&BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(set("decimal.handling.mode", "STRING ").decimal, Some(DecimalMode::String));
        assert_eq!(set("decimal.handling.mode", "other").decimal, None);
        assert_eq!(set("time.precision.mode", "isostring").time, Some(TimeMode::IsoString));
        assert_eq!(set("binary.handling.mode", "base64-url-safe").binary, Some(BinaryMode::Base64UrlSafe));
        assert_eq!(set("money.fraction.digits", "4").money_digits, 4);
        assert_eq!(set("unavailable.value.placeholder", "hex:00ff").placeholder, [0, 0xff]);
        assert_eq!(set("unavailable.value.placeholder", "gone").placeholder, b"gone");
        assert_eq!(set("unavailable.value.placeholder", "hex:0").placeholder, b"hex:0");
    }
}
