//! Lengths as ClickHouse writes them.

/// Writes a length in LEB128.
#[inline]
pub(crate) fn push_leb128(mut value: usize, data: &mut Vec<u8>) {
    while value >= 0x80 {
        data.push((value as u8) | 0x80);
        value >>= 7;
    }
    data.push(value as u8);
}
