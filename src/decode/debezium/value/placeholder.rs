//! What Debezium writes for a value that is stored out of line and did not change.

use super::super::json::{Json, Text};
use super::binary;
use md5::{Digest, Md5};

/// The placeholder, in each of the forms that it takes by a column's type.
#[derive(Debug, PartialEq)]
pub(in crate::decode::debezium) struct Placeholder {
    /// Of texts, and of JSON and XML; of bytes where they are sent in hexadecimal, which the placeholder is not.
    text: Vec<u8>,
    /// Of bytes.
    base64: Vec<u8>,
    base64_url: Vec<u8>,
    hex: Vec<u8>,
    /// As hstore in its form of JSON.
    hstore: Vec<u8>,
    /// Of an array of UUIDs, whose one element is made of the placeholder's name: version 3 of RFC 9562, without a name space.
    uuid: Vec<u8>,
}

impl Placeholder {
    pub(in crate::decode::debezium) fn new(text: &[u8]) -> Self {
        let base64 = binary::encode(text);
        let swap = |byte: &u8| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        };
        let quoted = serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
        Self {
            text: text.to_vec(),
            base64_url: base64.iter().map(swap).collect(),
            hex: text.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
            hstore: format!("{{{quoted}:{quoted}}}").into_bytes(),
            uuid: named_uuid(text),
            base64,
        }
    }

    /// Whether a value is the placeholder.
    #[inline]
    pub(in crate::decode::debezium) fn is(&self, json: Json<'_>) -> bool {
        match json {
            Json::String(text) => self.is_text(text),
            Json::Array(array) => {
                let mut elements = array.elements();
                match (elements.next(), elements.next()) {
                    (Some(Ok(Json::String(text))), None) => {
                        self.is_text(text) || text.plain() == Some(self.uuid.as_slice())
                    }
                    (Some(Ok(Json::Number(_))), Some(Ok(Json::Number(_)))) => self.is_numbers(array),
                    _ => false,
                }
            }
            Json::Object(object) => {
                let mut members = object.members();
                match (members.next(), members.next()) {
                    (Some(Ok((name, Json::String(value)))), None) => name.is(&self.text) && value.is(&self.text),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    #[inline]
    fn is_text(&self, text: Text<'_>) -> bool {
        match text.plain() {
            Some(text) if text.len() == self.text.len() => text == self.text,
            Some(text) if text.len() == self.base64.len() => text == self.base64 || text == self.base64_url,
            Some(text) => text == self.hex,
            None => text.is(&self.text) || text.is(&self.hstore),
        }
    }

    /// An array of numbers has the placeholder's bytes.
    fn is_numbers(&self, array: super::super::json::Array<'_>) -> bool {
        let mut bytes = self.text.iter();
        let all = array.elements().all(|element| match (element, bytes.next()) {
            (Ok(Json::Number(token)), Some(byte)) => {
                // Of doubles it has a zero behind the point.
                let whole = token.strip_suffix(b".0").unwrap_or(token);
                crate::decode::number::integer(whole) == Ok(i64::from(*byte))
            }
            _ => false,
        });
        all && bytes.next().is_none()
    }
}

/// What Java's `UUID.nameUUIDFromBytes` makes of a text.
fn named_uuid(text: &[u8]) -> Vec<u8> {
    let mut hex = Vec::with_capacity(36);
    for (place, byte) in Md5::digest(text).iter().enumerate() {
        let byte = match place {
            6 => byte & 0x0f | 0x30,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        if matches!(place, 4 | 6 | 8 | 10) {
            hex.push(b'-');
        }
        hex.extend(format!("{byte:02x}").into_bytes());
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::super::super::json::Cursor;
    use super::*;

    #[test]
    fn takes_each_form() {
        let default = Placeholder::new(b"__debezium_unavailable_value");
        let numbers: Vec<String> = b"__debezium_unavailable_value".iter().map(u8::to_string).collect();
        let numbers = format!("[{}]", numbers.join(","));
        for form in [
            "\"__debezium_unavailable_value\"",
            "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"",
            "[\"__debezium_unavailable_value\"]",
            "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]",
            "{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}",
            r#""{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}""#,
            &numbers,
        ] {
            assert!(default.is(Cursor::new(form.as_bytes()).value().unwrap()), "{form}");
        }
        for other in [
            "\"__debezium_unavailable_valuE\"",
            "\"\"",
            "null",
            "[]",
            "{}",
            "[95,95]",
            "[\"__debezium_unavailable_value\",\"x\"]",
            "\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"",
            "{\"__debezium_unavailable_value\":\"x\"}",
            "95",
        ] {
            assert!(!default.is(Cursor::new(other.as_bytes()).value().unwrap()), "{other}");
        }
        let own = Placeholder::new(b"a\"b");
        assert!(own.is(Cursor::new(br#""a\"b""#).value().unwrap()));
    }
}
