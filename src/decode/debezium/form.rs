//! How a column's values are spelled in records: decided once a column, from its type at the source, the record's schema and the connector's
//! settings.
//!
//! What each type becomes in which mode: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-data-types>.

use super::connect::{ConnectField, ConnectType, Kind};
use super::forms::{BinaryMode, DecimalMode, Forms, IntervalMode, TimeMode};
use super::json::Json;
use super::target::{self, Base, Target, base};
use super::value::{Decoder, Placeholder, Put, Unit, Work};
use crate::change::Column;
use crate::decode::Malformed;
use std::sync::Arc;

/// How a column's JSON becomes the field that its type has on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    decoder: Decoder,
    placeholder: Option<Arc<Placeholder>>,
    loss: Option<&'static str>,
}

/// How a column is spelled cannot be known: the records have no schema, and a setting of the connector decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guesswork {
    /// The setting, such as `decimal.handling.mode`.
    pub setting: &'static str,
}

impl Form {
    /// The form of a field that nobody wants: its value is passed over, and NULL.
    pub fn ignored() -> Self {
        Self { decoder: Decoder::Ignored, placeholder: None, loss: None }
    }

    /// What the connector lost of the column's values before they came here, if anything.
    pub fn loss(&self) -> Option<&'static str> {
        self.loss
    }

    /// Reads a value; what has to be spelled anew goes to `out`.
    #[inline]
    pub(super) fn read<'a>(&self, json: Json<'a>, out: &mut Vec<u8>, work: &mut Work) -> Result<Put<'a>, Malformed> {
        if let Some(placeholder) = &self.placeholder
            && placeholder.is(json)
        {
            return Ok(Put::Unchanged);
        }
        self.decoder.read(json, out, work)
    }
}

/// The form of a column. `connect` is its type in the record's schema, where records carry one. `text` asks for Postgres' own text of every
/// value; otherwise any form will do that the column's type is read from
/// (`!`[`needs_text`](crate::batch::needs_text)), which is faster.
///
/// # Errors
/// [`Guesswork`].
pub fn form(column: &Column, connect: Option<&ConnectType>, forms: &Forms, text: bool) -> Result<Form, Guesswork> {
    let base = base(column);
    let (decoder, loss) = match connect {
        Some(connect) => Spelling { forms, text }.by_schema(&base, connect),
        None => Spelling { forms, text }.by_settings(&base),
    }?;
    let loss = if column.toastable { loss.or(hidden(&decoder)) } else { loss };
    let placeholder = column.toastable.then(|| Arc::new(Placeholder::new(&forms.placeholder)));
    Ok(Form { decoder, placeholder, loss })
}

/// These modes have no placeholder for bytes.
fn hidden(decoder: &Decoder) -> Option<&'static str> {
    match decoder {
        Decoder::Bytes { mode: BinaryMode::Base64 | BinaryMode::Base64UrlSafe, .. } => Some(HIDDEN),
        _ => None,
    }
}

/// The column that a field of a schema tells of, where there is no source to ask: for pipelines that see Kafka alone. Its number is 0.
pub fn column(field: &ConnectField) -> Column {
    let (type_name, source_type) = target::by_schema(&field.connect_type);
    Column {
        name: field.name.clone(),
        number: 0,
        type_oid: 0,
        type_modifier: -1,
        type_name,
        source_type,
        output_function: String::new(),
        not_null: !field.optional,
        generated: false,
        toastable: true,
        missing_value: None,
    }
}

type Spelled = Result<(Decoder, Option<&'static str>), Guesswork>;

const DOUBLE: &str = "decimal.handling.mode=double keeps about 16 digits";
const PRECISE: &str =
    "decimal.handling.mode=precise sends NaN, Infinity and -Infinity as NULL, and drops zeros at the end";
const CONNECT: &str = "time.precision.mode=connect keeps milliseconds";
const NANOS: &str = "time.precision.mode=nanoseconds sends times before 1677 and after 2262 as NULL";
const ISO_TIME: &str = "time.precision.mode=isostring sends 24:00:00 as 00:00:00";
const TIME_TZ: &str = "times with a zone are shifted to UTC";
const NUMERIC_INTERVAL: &str = "interval.handling.mode=numeric turns years, months and days into microseconds";
const VARBIT: &str = "zeros at the head of a bit varying are dropped";
const ARRAY_TIME: &str = "times in arrays keep milliseconds";
const NAME: &str = "values of the type name arrive as NULL unless include.unknown.datatypes is true";
const STRUCTURED_TIME: &str = "time.precision.mode=structured sends 24:00:00 as NULL";
const HIDDEN: &str =
    "binary.handling.mode=base64 and base64-url-safe send long bytes that an update left alone as NULL";
const DIMENSIONS: &str = "arrays of several dimensions arrive without their values, and are stored as NULL";

struct Spelling<'f> {
    forms: &'f Forms,
    text: bool,
}

impl Spelling<'_> {
    fn by_settings(&self, base: &Base) -> Spelled {
        let plain = |decoder| Ok((decoder, None));
        match &base.target {
            Target::Bool => plain(Decoder::Bool),
            Target::Integer => plain(Decoder::Integer),
            Target::Float { double } => plain(Decoder::Float { double: *double, text: self.text }),
            Target::Numeric { scale } => self.numeric(*scale),
            Target::Money => match self.forms.decimal {
                None => Err(Guesswork { setting: "decimal.handling.mode" }),
                Some(DecimalMode::Precise) => {
                    plain(Decoder::Decimal { scale: i32::from(self.forms.money_digits), money: true })
                }
                Some(DecimalMode::String) => plain(Decoder::AnyDecimal { money: true, scale: None }),
                Some(DecimalMode::Double) => Ok((Decoder::AnyDecimal { money: true, scale: None }, Some(DOUBLE))),
            },
            Target::Text => plain(Decoder::Text),
            Target::Name => Ok((Decoder::Text, (self.forms.unknown != Some(true)).then_some(NAME))),
            Target::Bytea => plain(Decoder::Bytes { mode: self.binary()?, text: self.text }),
            Target::Opaque => plain(Decoder::TextOfBytes { mode: self.binary()? }),
            Target::Bits { length } => Ok((Decoder::Bits { length: *length }, length.is_none().then_some(VARBIT))),
            Target::Date => plain(Decoder::Date { text: self.text }),
            Target::Time => self.time(base),
            Target::Timestamp => self.timestamp(base),
            Target::TimeTz => Ok((Decoder::TimeTz, self.time_tz_loss())),
            Target::TimestampTz => plain(Decoder::TimestampTz { text: self.text }),
            Target::Interval => Ok((Decoder::Interval, self.interval_loss())),
            Target::Hstore => plain(Decoder::Hstore),
            Target::Geometry => plain(Decoder::Geometry),
            Target::Vector => plain(Decoder::Vector),
            Target::SparseVector => plain(Decoder::SparseVector),
            Target::Nested => Ok((Decoder::Lost, Some(DIMENSIONS))),
            Target::Array(element) => {
                let (decoder, loss) = Spelling { forms: self.forms, text: true }.by_settings(&base.element(element))?;
                Ok((Decoder::Array(Box::new(decoder)), array_loss(element, loss)))
            }
        }
    }

    fn by_schema(&self, base: &Base, connect: &ConnectType) -> Spelled {
        let plain = |decoder| Ok((decoder, None));
        if base.target == Target::Nested {
            return Ok((Decoder::Lost, Some(DIMENSIONS)));
        }
        let money = base.target == Target::Money;
        match connect.logical() {
            "org.apache.kafka.connect.data.Decimal" => {
                let scale = connect.parameters.get("scale").and_then(|scale| scale.parse().ok());
                return Ok((Decoder::Decimal { scale: scale.unwrap_or(0), money }, precise_loss(&base.target)));
            }
            "io.debezium.data.VariableScaleDecimal" => {
                return Ok((Decoder::AnyDecimal { money, scale: None }, Some(PRECISE)));
            }
            "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => {
                return Ok((Decoder::Time { unit: Unit::Milli }, connect_loss(connect, base)));
            }
            "io.debezium.time.MicroTime" => return plain(Decoder::Time { unit: Unit::Micro }),
            "io.debezium.time.NanoTime" => return plain(Decoder::Time { unit: Unit::Nano }),
            "io.debezium.time.IsoTime" => return Ok((Decoder::Time { unit: Unit::Micro }, Some(ISO_TIME))),
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => {
                return Ok((Decoder::Timestamp { unit: Unit::Milli, text: self.text }, connect_loss(connect, base)));
            }
            "io.debezium.time.MicroTimestamp" => {
                return plain(Decoder::Timestamp { unit: Unit::Micro, text: self.text });
            }
            "io.debezium.time.NanoTimestamp" => {
                return Ok((Decoder::Timestamp { unit: Unit::Nano, text: self.text }, Some(NANOS)));
            }
            "io.debezium.data.Bits" if base.target != (Target::Bits { length: None }) => {
                let length = connect.parameters.get("length").and_then(|length| length.parse().ok());
                return plain(Decoder::Bits { length });
            }
            _ => {}
        }
        self.by_kind(base, connect)
    }

    /// A type whose logical name decides nothing that its tokens do not show.
    fn by_kind(&self, base: &Base, connect: &ConnectType) -> Spelled {
        match (&connect.kind, &base.target) {
            (Kind::Boolean, Target::Bits { .. }) => Ok((Decoder::Bits { length: None }, None)),
            (Kind::Boolean, _) => Ok((Decoder::Bool, None)),
            (Kind::Integer { .. }, Target::Date) => self.by_settings(base),
            (Kind::Integer { .. }, Target::Interval) => Ok((Decoder::Interval, Some(NUMERIC_INTERVAL))),
            (Kind::Integer { .. }, _) => Ok((Decoder::Integer, None)),
            (Kind::Float | Kind::Double, target) => Ok(match target {
                Target::Numeric { scale } => (Decoder::AnyDecimal { money: false, scale: *scale }, Some(DOUBLE)),
                Target::Money => (Decoder::AnyDecimal { money: true, scale: None }, Some(DOUBLE)),
                _ => (Decoder::Float { double: connect.kind == Kind::Double, text: self.text }, None),
            }),
            (Kind::Bytes, Target::Opaque | Target::Text) => {
                Ok((Decoder::TextOfBytes { mode: BinaryMode::Bytes }, None))
            }
            (Kind::Bytes, Target::Bits { .. }) => self.by_settings(base),
            (Kind::Bytes, _) => Ok((Decoder::Bytes { mode: BinaryMode::Bytes, text: self.text }, None)),
            (Kind::String, Target::Numeric { scale }) => {
                Ok((Decoder::AnyDecimal { money: false, scale: *scale }, None))
            }
            (Kind::String, Target::Money) => Ok((Decoder::AnyDecimal { money: true, scale: None }, None)),
            // The column was text when the record was written.
            (Kind::String, Target::Bool | Target::Integer | Target::Float { .. }) => Ok((Decoder::Text, None)),
            (Kind::Array(items), Target::Array(element)) => {
                let inner = Spelling { forms: self.forms, text: true };
                let (decoder, loss) = inner.by_schema(&base.element(element), items)?;
                Ok((Decoder::Array(Box::new(decoder)), array_loss(element, loss)))
            }
            (Kind::Array(items), Target::Text | Target::Opaque) => {
                let inner = Spelling { forms: self.forms, text: true };
                let (decoder, loss) = inner.by_schema(&target::of_schema(items), items)?;
                Ok((Decoder::Array(Box::new(decoder)), loss))
            }
            (Kind::String, Target::Time) => Ok((Decoder::Time { unit: Unit::Micro }, None)),
            (Kind::Struct, Target::Time) => Ok((Decoder::Time { unit: Unit::Micro }, Some(STRUCTURED_TIME))),
            (Kind::String | Kind::Struct, Target::Timestamp) => {
                Ok((Decoder::Timestamp { unit: Unit::Micro, text: self.text }, None))
            }
            (Kind::String | Kind::Struct, Target::Interval) => Ok((Decoder::Interval, None)),
            (Kind::Struct, Target::TimeTz) => Ok((Decoder::TimeTz, None)),
            (Kind::Struct, Target::Text | Target::Opaque) => self.by_settings(&target::of_schema(connect)),
            _ => self.by_settings(base),
        }
    }

    fn numeric(&self, scale: Option<i16>) -> Spelled {
        let any = Decoder::AnyDecimal { money: false, scale };
        match (self.forms.decimal, scale) {
            // A number, a text and an object cannot be taken for each other.
            (None, None) => Ok((any, None)),
            (None, Some(_)) => Err(Guesswork { setting: "decimal.handling.mode" }),
            (Some(DecimalMode::String), _) => Ok((any, None)),
            (Some(DecimalMode::Double), _) => Ok((any, Some(DOUBLE))),
            (Some(DecimalMode::Precise), None) => Ok((any, Some(PRECISE))),
            // What scale Debezium takes for a negative one is not known.
            (Some(DecimalMode::Precise), Some(..0)) => Err(Guesswork { setting: "decimal.handling.mode" }),
            (Some(DecimalMode::Precise), Some(scale)) => {
                Ok((Decoder::Decimal { scale: i32::from(scale), money: false }, None))
            }
        }
    }

    fn binary(&self) -> Result<BinaryMode, Guesswork> {
        self.forms.binary.ok_or(Guesswork { setting: "binary.handling.mode" })
    }

    fn interval_loss(&self) -> Option<&'static str> {
        (self.forms.interval == Some(IntervalMode::Numeric)).then_some(NUMERIC_INTERVAL)
    }

    fn time_tz_loss(&self) -> Option<&'static str> {
        (self.forms.time != Some(TimeMode::Structured)).then_some(TIME_TZ)
    }

    fn time(&self, base: &Base) -> Spelled {
        let (unit, loss) = match self.forms.time.ok_or(TIME_MODE)? {
            TimeMode::Adaptive => (base.adaptive_unit()?, None),
            TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => (Unit::Micro, None),
            TimeMode::Structured => (Unit::Micro, Some(STRUCTURED_TIME)),
            TimeMode::IsoString => (Unit::Micro, Some(ISO_TIME)),
            TimeMode::Nanoseconds => (Unit::Nano, None),
            TimeMode::Connect => (Unit::Milli, base.finer_than_millis().then_some(CONNECT)),
        };
        Ok((Decoder::Time { unit }, loss))
    }

    fn timestamp(&self, base: &Base) -> Spelled {
        let (unit, loss) = match self.forms.time.ok_or(TIME_MODE)? {
            TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds => (base.adaptive_unit()?, None),
            TimeMode::Microseconds | TimeMode::Structured | TimeMode::IsoString => (Unit::Micro, None),
            TimeMode::Nanoseconds => (Unit::Nano, Some(NANOS)),
            TimeMode::Connect => (Unit::Milli, base.finer_than_millis().then_some(CONNECT)),
        };
        Ok((Decoder::Timestamp { unit, text: self.text }, loss))
    }
}

/// The setting that decides over times and timestamps.
pub(super) const TIME_MODE: Guesswork = Guesswork { setting: "time.precision.mode" };

fn precise_loss(target: &Target) -> Option<&'static str> {
    matches!(target, Target::Numeric { scale: None }).then_some(PRECISE)
}

fn connect_loss(connect: &ConnectType, base: &Base) -> Option<&'static str> {
    (connect.logical().starts_with("org.apache") && base.finer_than_millis()).then_some(CONNECT)
}

fn array_loss(element: &Target, loss: Option<&'static str>) -> Option<&'static str> {
    if *element == Target::Time { Some(ARRAY_TIME) } else { loss }
}
