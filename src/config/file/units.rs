//! Values as people write them: `16MiB`, `true`. Each reading says what it wants where it cannot read.

use crate::config::duration::number_and_unit;

/// A number of bytes: a whole number, alone or with `B`, `KiB`, `MiB`, `GiB` (1024) or `kB`, `MB`, `GB` (1000).
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let wanted = || format!("\"{text}\" is not a number of bytes, such as 512KiB, 16MiB or 1GiB");
    let (number, unit) = number_and_unit(text).ok_or_else(wanted)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(wanted()),
    };
    number.checked_mul(factor).and_then(|total| usize::try_from(total).ok()).ok_or_else(wanted)
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("\"{text}\" is neither true nor false")),
    }
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse::<u16>()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("\"{text}\" is not a port, a number from 1 to 65535"))
}

/// A whole number within bounds.
pub(super) fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    text.replace('_', "")
        .parse::<usize>()
        .ok()
        .filter(|count| (least..=most).contains(count))
        .ok_or_else(|| format!("\"{text}\" is not a whole number from {least} to {most}"))
}

/// The nearest of some names, where one is near enough to be a slip of the fingers.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.chars().count() {
        0..=2 => 1,
        3..=7 => 2,
        _ => 3,
    };
    let word = word.to_lowercase();
    names
        .into_iter()
        .map(|name| (distance(&word, name), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.len())
        .min()
        .map(|(_, name)| name)
}

/// Letters to add, drop, change, or swap with their neighbour, to get from one word to the other (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=to.len()).collect());
    let mut last = None;
    for (i, letter) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (j, other) in to.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut cost = (left + 1).min(at(&row, j + 1) + 1).min(at(&row, j) + usize::from(letter != *other));
            let swapped = j > 0 && last == Some(*other) && to.get(j - 1) == Some(&letter);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            next.push(cost);
            left = cost;
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read() {
        assert_eq!(bytes("16MiB"), Ok(16 << 20));
        assert_eq!(bytes("1 GB"), Ok(1_000_000_000));
        assert_eq!(bytes("4096"), Ok(4096));
        for wrong in ["", "MiB", "1mb", "1.5GiB", "99999999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_slip_finds_its_key() {
        let keys = ["source", "target", "order_by", "partition_by", "max_rows"];
        assert_eq!(nearest("soruce", keys), Some("source"));
        assert_eq!(nearest("orderby", keys), Some("order_by"));
        assert_eq!(nearest("maxrows", keys), Some("max_rows"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn distances() {
        assert_eq!((distance("", "ab"), distance("ab", "ba"), distance("kitten", "sitting")), (2, 1, 3));
    }
}
