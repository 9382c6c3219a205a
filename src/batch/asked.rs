//! Values of the types that only the configuration asks for, appended where they fit.

use super::codec::{Stored, push_uuid, uuid};
use crate::decode::Malformed;
use std::net::IpAddr;

/// Stored only where the same text comes back from it, so that no two texts become one: in lower case, with its four hyphens.
pub(super) fn push_written_uuid(text: &[u8], data: &mut Vec<u8>) -> Stored {
    let hyphens = [8, 13, 18, 23];
    let written = text.len() == 36
        && text.iter().enumerate().all(|(place, byte)| {
            if hyphens.contains(&place) { *byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') }
        });
    match uuid(text) {
        Ok(bytes) if written => {
            push_uuid(bytes, data);
            Stored::Value
        }
        _ => Stored::OutOfRange,
    }
}

pub(super) fn push_short_days(days: Option<i64>, data: &mut Vec<u8>) -> Stored {
    let Some(days) = days.and_then(|days| u16::try_from(days).ok()) else { return Stored::OutOfRange };
    data.extend_from_slice(&days.to_le_bytes());
    Stored::Value
}

pub(super) fn push_seconds(micros: Option<i64>, data: &mut Vec<u8>) -> Stored {
    let seconds = micros.and_then(|micros| u32::try_from(micros.div_euclid(1_000_000)).ok());
    let Some(seconds) = seconds else { return Stored::OutOfRange };
    data.extend_from_slice(&seconds.to_le_bytes());
    Stored::Value
}

pub(super) fn push_fixed(bytes: &[u8], len: u32, data: &mut Vec<u8>) -> Stored {
    if bytes.len() != len as usize {
        return Stored::OutOfRange;
    }
    data.extend_from_slice(bytes);
    Stored::Value
}

/// The address of a host; none of a network, whose text ends with its mask.
fn host(text: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    const BAD: Malformed = Malformed("an address");
    if text.contains(&b'/') {
        return Ok(None);
    }
    std::str::from_utf8(text).map_err(|_| BAD)?.parse().map(Some).map_err(|_| BAD)
}

/// ClickHouse holds an IPv4 address as a number of 32 bits, little-endian as all numbers.
pub(super) fn push_ipv4(text: &[u8], data: &mut Vec<u8>) -> Result<Stored, Malformed> {
    let Some(IpAddr::V4(address)) = host(text)? else { return Ok(Stored::OutOfRange) };
    data.extend_from_slice(&address.to_bits().to_le_bytes());
    Ok(Stored::Value)
}

/// An IPv6 address is its bytes, and an IPv4 address is `::ffff:` before its own, as ClickHouse has it. So an IPv6 address that has that form itself is
/// not held: it would come out as the IPv4 one.
pub(super) fn push_ipv6(text: &[u8], data: &mut Vec<u8>) -> Result<Stored, Malformed> {
    let address = match host(text)? {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
        Some(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => address,
        _ => return Ok(Stored::OutOfRange),
    };
    data.extend_from_slice(&address.octets());
    Ok(Stored::Value)
}

#[cfg(test)]
mod tests {
    use super::super::codec::Codec;
    use super::super::{Ranges, ValueType};
    use super::*;
    use crate::change::SourceType;

    fn codec(source: &SourceType, value: &ValueType) -> Codec {
        Codec::new(source, value, Ranges::default()).unwrap()
    }

    #[test]
    fn addresses_lie_as_clickhouse_has_them() {
        let (four, six) = (codec(&SourceType::Inet, &ValueType::Ipv4), codec(&SourceType::Inet, &ValueType::Ipv6));
        let stored = |codec: Codec, text: &str| {
            let mut data = Vec::new();
            codec.text(text.as_bytes(), &mut data).map(|stored| (stored == Stored::Value).then_some(data))
        };
        assert_eq!(stored(four, "10.0.0.1"), Ok(Some(vec![1, 0, 0, 10])));
        assert_eq!(stored(six, "10.0.0.1"), Ok(Some([&[0; 10][..], &[255, 255, 10, 0, 0, 1]].concat())));
        assert_eq!(stored(six, "::1"), Ok(Some([&[0; 15][..], &[1]].concat())));
        for network in ["10.0.0.0/8", "::/0"] {
            assert_eq!((stored(four, network), stored(six, network)), (Ok(None), Ok(None)));
        }
        assert_eq!((stored(four, "::1"), stored(six, "::ffff:10.0.0.1")), (Ok(None), Ok(None)));
        assert!(stored(six, "10.0.0").is_err());
    }

    #[test]
    fn a_text_is_held_as_a_uuid_or_of_fixed_length_only_as_it_is() {
        let uuid = codec(&SourceType::String, &ValueType::Uuid);
        let mut data = Vec::new();
        assert_eq!(uuid.text(b"00112233-4455-6677-8899-aabbccddeeff", &mut data), Ok(Stored::Value));
        for other in ["00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff", "", "no"] {
            assert_eq!(uuid.text(other.as_bytes(), &mut data), Ok(Stored::OutOfRange), "{other}");
        }
        let bytes = codec(&SourceType::Bytea, &ValueType::FixedString(2));
        data.clear();
        assert_eq!(bytes.text(b"\\x00ff", &mut data), Ok(Stored::Value));
        assert_eq!(bytes.binary(&[1, 0], &mut data), Ok(Stored::Value));
        assert_eq!(data, [0, 255, 1, 0]);
        assert_eq!(bytes.text(b"\\x00", &mut data), Ok(Stored::OutOfRange));
        assert_eq!(bytes.binary(&[1], &mut data), Ok(Stored::OutOfRange));
    }
}
