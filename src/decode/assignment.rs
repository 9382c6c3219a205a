//! What a member of a consumer group was assigned, as its leader wrote it.
//!
//! `ConsumerProtocolAssignment` of <https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message>: the version, then topics with their
//! partitions, the same in all versions; what follows is the assignor's own.

use super::wire::{Malformed, Reader};

/// The topics of an assignment, each with its partitions. A member without any may have no bytes at all.
///
/// # Errors
/// [`Malformed`] where the bytes are no assignment.
pub fn partitions(bytes: &[u8]) -> Result<Vec<(&str, Vec<i32>)>, Malformed> {
    let mut found = Vec::new();
    if bytes.is_empty() {
        return Ok(found);
    }
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    for _ in 0..reader.i32()? {
        let length = usize::try_from(reader.i16()?).map_err(|_| Malformed("a topic's name"))?;
        let topic = std::str::from_utf8(reader.take(length)?).map_err(|_| Malformed("UTF-8"))?;
        // How many there are is only said: what is there counts.
        let mut partitions = Vec::new();
        for _ in 0..reader.i32()? {
            partitions.push(reader.i32()?);
        }
        found.push((topic, partitions));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_their_partitions_are_read() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x05\0\x02bc\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff";
        assert_eq!(partitions(bytes).unwrap(), [("a", vec![0, 5]), ("bc", vec![1])]);
        assert_eq!(partitions(b"").unwrap(), []);
        assert_eq!(partitions(b"\0\x01\0\0\0\0\0\0\0\0").unwrap(), []);
        assert!(partitions(b"\0\x01\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0").is_err());
        assert!(partitions(b"\0\x01\x7f\xff\xff\xff").is_err());
    }
}
