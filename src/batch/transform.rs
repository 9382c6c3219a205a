//! What is stored in a value's place, where the value itself must not leave the source.

use super::leb128::push_leb128;
use crate::config::Secret;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// What stands in the place of every value of a column that is not NULL. Always text; NULL stays NULL.
#[derive(Clone, PartialEq, Eq)]
pub enum Transform {
    /// SHA-256 of the salt and, right behind it, the value as Postgres' output function writes it in UTF-8: 64 hexadecimal digits in lower case.
    Sha256 {
        /// Goes before every value; may be empty.
        salt: Secret,
    },
    /// A fixed text.
    Mask(Arc<str>),
}

/// Digits of a hash.
const HEX: &[u8; 16] = b"0123456789abcdef";

impl Transform {
    /// What it is, for people and for the column's comment: of the salt only so much as tells one from another.
    pub fn described(&self) -> String {
        match self {
            Self::Sha256 { salt } if salt.is_empty() => "pipectl: sha256 of the value, without a salt".to_owned(),
            Self::Sha256 { salt } => {
                let print = Sha256::new().chain_update("pipectl salt ").chain_update(salt.expose()).finalize();
                let mut digits = Vec::with_capacity(64);
                push_hex(&print, &mut digits);
                let digits = String::from_utf8_lossy(digits.get(..8).unwrap_or_default()).into_owned();
                format!("pipectl: sha256 of salt and value, salt {digits}")
            }
            Self::Mask(text) => format!("pipectl: masked as {text}"),
        }
    }

    /// What is stored of a value, as text.
    pub fn applied(&self, value: &str) -> String {
        let mut out = Vec::new();
        Stand::new(self).push_text(value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

impl fmt::Debug for Transform {
    /// Without the salt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described())
    }
}

/// A transform at work: the salt is hashed once a column, not once a value.
#[derive(Clone)]
pub(super) enum Stand {
    Sha256(Sha256),
    Mask(Arc<str>),
}

impl Stand {
    pub(super) fn new(transform: &Transform) -> Self {
        match transform {
            Transform::Sha256 { salt } => Self::Sha256(Sha256::new().chain_update(salt.expose())),
            Transform::Mask(text) => Self::Mask(Arc::clone(text)),
        }
    }

    /// Appends what stands for a value, as a string of ClickHouse's.
    #[inline]
    pub(super) fn push(&self, value: &[u8], data: &mut Vec<u8>) {
        push_leb128(self.width(), data);
        self.push_text(value, data);
    }

    fn width(&self) -> usize {
        match self {
            Self::Sha256(_) => 64,
            Self::Mask(text) => text.len(),
        }
    }

    fn push_text(&self, value: &[u8], data: &mut Vec<u8>) {
        match self {
            Self::Sha256(salted) => {
                push_hex(&salted.clone().chain_update(value).finalize(), data);
            }
            Self::Mask(text) => data.extend_from_slice(text.as_bytes()),
        }
    }
}

fn push_hex(bytes: &[u8], data: &mut Vec<u8>) {
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    data.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

impl fmt::Debug for Stand {
    /// Without the state, which the salt can be told from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256",
            Self::Mask(_) => "Mask",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salt_goes_before_the_value() {
        let plain = Transform::Sha256 { salt: Secret::default() };
        assert_eq!(plain.applied("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let salted = Transform::Sha256 { salt: Secret::new("a") };
        assert_eq!(salted.applied("bc"), plain.applied("abc"));
        assert_eq!(Transform::Mask("***".into()).applied("abc"), "***");
    }

    #[test]
    fn nothing_prints_the_salt() {
        let salted = Transform::Sha256 { salt: Secret::new("pepper") };
        let shown = format!("{salted:?} {} {:?}", salted.described(), Stand::new(&salted));
        assert!(!shown.contains("pepper"), "{shown}");
        assert_ne!(salted.described(), Transform::Sha256 { salt: Secret::new("other") }.described());
    }
}
