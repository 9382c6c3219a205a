//! Numbers: integers, floats and decimals, from text and from Postgres' binary forms.
//!
//! The binary form of `numeric` is that of `numeric_send` in
//! <https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c>: a count of base-10000 digits, the weight of the
//! first one, a sign, the display scale, then the digits.

use super::wire::{Malformed, Reader};

/// A signed integer of 256 bits in two's complement, least significant limb first: ClickHouse's Decimal256.
pub type Limbs = [u64; 4];

/// The text of an integer.
///
/// # Errors
/// [`Malformed`] where it is not one, or is out of the range of 64 bits.
#[inline]
pub fn integer(text: &[u8]) -> Result<i64, Malformed> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Malformed("an integer"));
    }
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Malformed("an integer"));
        }
        // Built towards the sign, so that the least value fits.
        let digit = if negative { -i64::from(digit) } else { i64::from(digit) };
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit))
            .ok_or(Malformed("an integer of 64 bits"))?;
    }
    Ok(value)
}

/// The text of a float, as Postgres writes it with `extra_float_digits` of 1 or more.
///
/// # Errors
/// [`Malformed`] where it is not one.
pub fn float<T: std::str::FromStr>(text: &[u8]) -> Result<T, Malformed> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Malformed("a float"))
}

/// The text of a decimal as an integer of `10^-scale` units. `None` where it does not fit without loss: NaN, an infinity, more digits after
/// the point than the scale, or more than `precision` digits.
///
/// # Errors
/// [`Malformed`] where it is not a decimal.
pub fn decimal_text(text: &[u8], precision: u8, scale: u8) -> Result<Option<Limbs>, Malformed> {
    if matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
        return Ok(None);
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Malformed("a decimal"));
    }
    let mut sum = Magnitude::default();
    let mut after_point: Option<u32> = None;
    for &byte in digits {
        if byte == b'.' && after_point.is_none() {
            after_point = Some(0);
            continue;
        }
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Malformed("a decimal"));
        }
        if let Some(count) = &mut after_point {
            if *count == u32::from(scale) {
                // Digits beyond the scale are only borne where they are zero.
                if digit != 0 {
                    return Ok(None);
                }
                continue;
            }
            *count += 1;
        }
        sum.push(10, u64::from(digit));
    }
    for _ in after_point.unwrap_or(0)..u32::from(scale) {
        sum.push(10, 0);
    }
    Ok(sum.finish(negative, precision))
}

/// The binary form of `numeric`, as [`decimal_text`].
///
/// # Errors
/// [`Malformed`] where it is not one.
pub fn decimal_binary(bytes: &[u8], precision: u8, scale: u8) -> Result<Option<Limbs>, Malformed> {
    const NEGATIVE: u16 = 0x4000;
    let mut reader = Reader::new(bytes);
    let count = reader.u16()?;
    let weight = i32::from(reader.i16()?);
    let sign = reader.u16()?;
    reader.u16()?;
    match sign {
        0 | NEGATIVE => {}
        0xC000 | 0xD000 | 0xF000 => return Ok(None),
        _ => return Err(Malformed("the sign of a numeric")),
    }
    let mut sum = Magnitude::default();
    // Digits after the point that the sum holds so far; negative while groups before the point are still to come.
    let mut held = -4 * (weight + 1);
    for _ in 0..count {
        let group = reader.u16()?;
        if group > 9999 {
            return Err(Malformed("a digit of a numeric"));
        }
        for power in [1000, 100, 10, 1] {
            let digit = u64::from(group / power % 10);
            held += 1;
            if held > i32::from(scale) {
                if digit != 0 {
                    return Ok(None);
                }
            } else {
                sum.push(10, digit);
            }
        }
    }
    if count > 0 {
        for _ in held.min(i32::from(scale))..i32::from(scale) {
            sum.push(10, 0);
        }
    }
    Ok(sum.finish(sign == NEGATIVE, precision))
}

/// A whole number without sign; stays in one machine word pair for as long as it fits there.
#[derive(Default)]
struct Magnitude {
    small: u128,
    large: Option<Limbs>,
    overflow: bool,
}

impl Magnitude {
    #[inline]
    fn push(&mut self, factor: u64, digit: u64) {
        if self.large.is_none() {
            if let Some(sum) =
                self.small.checked_mul(u128::from(factor)).and_then(|product| product.checked_add(u128::from(digit)))
            {
                self.small = sum;
                return;
            }
            self.large = Some([self.small as u64, (self.small >> 64) as u64, 0, 0]);
        }
        if let Some(limbs) = &mut self.large {
            let mut carry = u128::from(digit);
            for limb in limbs.iter_mut() {
                let sum = u128::from(*limb) * u128::from(factor) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
            self.overflow |= carry != 0;
        }
    }

    fn finish(self, negative: bool, precision: u8) -> Option<Limbs> {
        let limbs = self.large.unwrap_or([self.small as u64, (self.small >> 64) as u64, 0, 0]);
        if self.overflow || !less(&limbs, &power_of_ten(precision)) {
            return None;
        }
        Some(if negative { negate(limbs) } else { limbs })
    }
}

/// `10^exponent`, for exponents up to 76, which is the precision of a Decimal256.
fn power_of_ten(exponent: u8) -> Limbs {
    let mut power = Magnitude { small: 1, ..Magnitude::default() };
    if let Some(small) = 10u128.checked_pow(u32::from(exponent)) {
        power.small = small;
    } else {
        for _ in 0..exponent {
            power.push(10, 0);
        }
    }
    power.large.unwrap_or([power.small as u64, (power.small >> 64) as u64, 0, 0])
}

fn less(left: &Limbs, right: &Limbs) -> bool {
    left.iter().rev().lt(right.iter().rev())
}

/// The number with the other sign.
pub fn negate(limbs: Limbs) -> Limbs {
    let mut carry = true;
    limbs.map(|limb| {
        let (negated, overflow) = (!limb).overflowing_add(u64::from(carry));
        carry = overflow;
        negated
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small(limbs: Limbs) -> i128 {
        (u128::from(limbs[0]) | u128::from(limbs[1]) << 64) as i128
    }

    #[test]
    fn integers_to_their_ends() {
        assert_eq!(integer(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer(b"9223372036854775807"), Ok(i64::MAX));
        for bad in [&b""[..], b"-", b"1x", b"9223372036854775808", b"+1"] {
            assert!(integer(bad).is_err());
        }
    }

    #[test]
    fn decimals_scale_and_refuse_what_does_not_fit() {
        let read = |text: &str, precision, scale| decimal_text(text.as_bytes(), precision, scale).unwrap().map(small);
        assert_eq!(read("12345678.90", 10, 2), Some(1_234_567_890));
        assert_eq!(read("-0.5", 3, 2), Some(-50));
        assert_eq!(read("7", 3, 2), Some(700));
        assert_eq!(read("12345678.905", 10, 2), None);
        assert_eq!(read("1.500", 3, 1), Some(15));
        assert_eq!(read("99999", 4, 0), None);
        assert_eq!(read("NaN", 4, 0), None);
        assert!(decimal_text(b"1.2.3", 9, 3).is_err());
        assert!(decimal_text(b"", 9, 3).is_err());
    }

    #[test]
    fn the_widest_decimal() {
        let nines = "9".repeat(76);
        let limbs = decimal_text(nines.as_bytes(), 76, 0).unwrap().unwrap();
        assert!(less(&limbs, &power_of_ten(76)) && !less(&limbs, &power_of_ten(75)));
        assert_eq!(decimal_text("9".repeat(77).as_bytes(), 76, 0).unwrap(), None);
        assert_eq!(decimal_text("9".repeat(200).as_bytes(), 76, 0).unwrap(), None);
        let negative = decimal_text(format!("-{nines}").as_bytes(), 76, 0).unwrap().unwrap();
        assert_eq!(negate(negative), limbs);
    }

    fn binary(groups: &[u16], weight: i16, sign: u16) -> Vec<u8> {
        let mut bytes = (groups.len() as u16).to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(0u16.to_be_bytes());
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        bytes
    }

    #[test]
    fn binary_decimals_equal_their_text() {
        let read = |groups: &[u16], weight, sign, precision, scale| {
            decimal_binary(&binary(groups, weight, sign), precision, scale).unwrap().map(small)
        };
        assert_eq!(read(&[1234, 5678, 9000], 1, 0, 10, 2), Some(1_234_567_890));
        assert_eq!(read(&[5000], -1, 0x4000, 3, 2), Some(-50));
        assert_eq!(read(&[], 0, 0, 3, 2), Some(0));
        assert_eq!(read(&[7], 0, 0, 5, 2), Some(700));
        assert_eq!(read(&[1], 1, 0, 9, 2), Some(1_000_000));
        assert_eq!(read(&[1], -2, 0, 9, 8), Some(1));
        assert_eq!(read(&[1], -2, 0, 9, 7), None);
        assert_eq!(read(&[], 0, 0xC000, 9, 7), None);
        assert!(decimal_binary(&binary(&[10_000], 0, 0), 9, 0).is_err());
    }

    proptest! {
        #[test]
        fn any_decimal_reads_back(value in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0u8..=18) {
            let digits = format!("{:0>19}", value.unsigned_abs());
            let (whole, fraction) = digits.split_at(19 - usize::from(scale));
            let text = format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" });
            prop_assert_eq!(decimal_text(text.as_bytes(), 18, scale).unwrap().map(small), Some(i128::from(value)));
        }

        #[test]
        fn binary_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), precision in 1u8..=76, scale in 0u8..=76) {
            std::hint::black_box(decimal_binary(&bytes, precision, scale)).ok();
            std::hint::black_box(decimal_text(&bytes, precision, scale)).ok();
        }
    }
}
