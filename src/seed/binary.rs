//! Rows in the binary format of COPY, as <https://www.postgresql.org/docs/current/sql-copy.html> describes it, and the binary form
//! of the types that the shop has, as their `*_recv` functions read it.

use bytes::{BufMut, Bytes, BytesMut};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Microseconds from 1970-01-01 to 2000-01-01, where Postgres counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;
const NULL: i32 = -1;
const TEXT_OID: u32 = 25;
const INT4_OID: u32 = 23;

/// A buffer of rows.
#[derive(Debug, Default)]
pub(super) struct BinaryRows {
    buffer: BytesMut,
}

impl BinaryRows {
    /// The head of the stream: signature, flags, length of the extension.
    pub(super) fn start(&mut self) {
        self.buffer.put_slice(SIGNATURE);
        self.buffer.put_i64(0);
    }

    /// The end of the stream.
    pub(super) fn finish(&mut self) {
        self.buffer.put_i16(-1);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Takes the bytes out.
    pub(super) fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Begins a row of so many fields, which have to follow.
    pub(super) fn row(&mut self, fields: i16) {
        self.buffer.put_i16(fields);
    }

    pub(super) fn null(&mut self) {
        self.buffer.put_i32(NULL);
    }

    /// Writes a value where there is one, and NULL where not.
    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.buffer.put_i32(value.len() as i32);
        self.buffer.put_slice(value);
    }

    /// text, varchar, char(n) and enums: their text.
    pub(super) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.bytes(&[u8::from(value)]);
    }

    pub(super) fn int2(&mut self, value: i16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn int4(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    /// bigint; the shop's keys are counted from 1 and stay far below its end.
    pub(super) fn int8(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn float4(&mut self, value: f32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn float8(&mut self, value: f64) {
        self.bytes(&value.to_be_bytes());
    }

    /// timestamptz: microseconds since 2000-01-01 UTC, given as microseconds since 1970-01-01.
    pub(super) fn timestamp(&mut self, unix_micros: i64) {
        self.bytes(&(unix_micros - EPOCH_MICROS).to_be_bytes());
    }

    /// date: days since 2000-01-01, given as days since 1970-01-01.
    pub(super) fn date(&mut self, unix_days: i32) {
        self.bytes(&(unix_days - EPOCH_DAYS).to_be_bytes());
    }

    /// inet of an IPv4 host: family (2 for IPv4), bits of the mask, whether a cidr, length, address.
    pub(super) fn inet(&mut self, address: [u8; 4]) {
        let [a, b, c, d] = address;
        self.bytes(&[2, 32, 0, 4, a, b, c, d]);
    }

    /// jsonb: a version byte and the text.
    pub(super) fn jsonb(&mut self, json: &str) {
        self.buffer.put_i32(json.len() as i32 + 1);
        self.buffer.put_u8(1);
        self.buffer.put_slice(json.as_bytes());
    }

    /// numeric: a count of base-10000 digits, the weight of the first, the sign, the digits after the point, the digits. Takes the
    /// number without its point (1234 with scale 2 is 12.34); not negative, scale up to 4.
    pub(super) fn numeric(&mut self, unscaled: u64, scale: u16) {
        let unit = 10_u64.pow(u32::from(scale));
        let mut digits = [0_u16; 6];
        let mut length = 0_usize;
        let mut push = |digit: u64| {
            if let Some(slot) = digits.get_mut(length) {
                *slot = digit as u16;
                length += 1;
            }
        };
        let whole = unscaled / unit;
        let groups = (0..5_u32).rev().map(|power| whole / 10_000_u64.pow(power) % 10_000);
        groups.skip_while(|&digit| digit == 0).for_each(&mut push);
        push(unscaled % unit * (10_000 / unit));
        let whole_digits = length as i16 - 1;
        let used = digits.get(..length).unwrap_or_default();
        let used = used.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
        let written = digits.get(..used).unwrap_or_default();
        self.buffer.put_i32(8 + 2 * written.len() as i32);
        self.buffer.put_i16(written.len() as i16);
        self.buffer.put_i16(if written.is_empty() { 0 } else { whole_digits - 1 });
        self.buffer.put_i16(0);
        self.buffer.put_u16(scale);
        for &digit in written {
            self.buffer.put_u16(digit);
        }
    }

    pub(super) fn text_array(&mut self, values: &[&str]) {
        let body = values.iter().map(|value| 4 + value.len()).sum();
        self.array_head(TEXT_OID, values.len(), body);
        for value in values {
            self.text(value);
        }
    }

    pub(super) fn int4_array(&mut self, values: &[i32]) {
        self.array_head(INT4_OID, values.len(), 8 * values.len());
        for &value in values {
            self.int4(value);
        }
    }

    /// Dimensions, whether there are NULLs, the elements' type, then length and lower bound of the one dimension; an empty array has
    /// no dimension.
    fn array_head(&mut self, element: u32, count: usize, body: usize) {
        let dimensions = i32::from(count > 0);
        self.buffer.put_i32(12 + 8 * dimensions + body as i32);
        self.buffer.put_i32(dimensions);
        self.buffer.put_i32(0);
        self.buffer.put_u32(element);
        if count > 0 {
            self.buffer.put_i32(count as i32);
            self.buffer.put_i32(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(unscaled: u64, scale: u16) -> Vec<i16> {
        let mut rows = BinaryRows::default();
        rows.numeric(unscaled, scale);
        let bytes = rows.take();
        assert_eq!(bytes.len() - 4, i32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
        bytes[4..].chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn numeric_digits() {
        // Count, weight, sign, scale, digits: what numeric_send writes for these numbers.
        assert_eq!(numeric(0, 2), [0, 0, 0, 2]);
        assert_eq!(numeric(1, 2), [1, -1, 0, 2, 100]);
        assert_eq!(numeric(1234, 2), [2, 0, 0, 2, 12, 3400]);
        assert_eq!(numeric(1200, 2), [1, 0, 0, 2, 12]);
        assert_eq!(numeric(100_000_000, 2), [1, 1, 0, 2, 100]);
        assert_eq!(numeric(1_234_567_890, 2), [3, 1, 0, 2, 1234, 5678, 9000]);
        assert_eq!(numeric(125, 1), [2, 0, 0, 1, 12, 5000]);
    }
}
