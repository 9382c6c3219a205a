//! What pipectl calls its own things at the source, unless the configuration says otherwise.

/// How many bytes of a name count, `max_identifier_length`: Postgres cuts the others off without a word
/// (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>).
pub(super) const LONGEST_NAME: usize = 63;

/// The slot and the publication of a pipeline.
pub(super) fn own_name(pipeline: &str) -> String {
    format!("pipectl_{pipeline}")
}

/// The publication of tables without a key, whose inserts alone are sent; it stands beside the pipeline's publication.
pub fn inserts_publication(publication: &str) -> String {
    format!("{publication}_inserts")
}

/// A slot that goes with its session: the one of a copy, by the process that makes it and the attempt's number there.
pub fn copy_slot(slot: &str, (process, attempt): (u32, u32)) -> String {
    let end = format!("_copy_{process}_{attempt}");
    // The names of slots have letters of one byte.
    slot.chars().take(LONGEST_NAME.saturating_sub(end.len())).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_copy_has_a_name_of_its_own_that_is_not_too_long() {
        let long = "s".repeat(LONGEST_NAME);
        let names = [copy_slot(&long, (7, 0)), copy_slot(&long, (7, 1)), copy_slot("short", (7, 1))];
        assert!(names[0] != names[1] && names[0].len() == LONGEST_NAME && names[0].starts_with("sss"), "{names:?}");
        assert_eq!(names[2], "short_copy_7_1");
    }
}
