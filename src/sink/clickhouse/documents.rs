//! What a server is told for the sake of columns of the type `JSON`.
//!
//! Documents go as strings in both directions, and the server's own parser takes them apart. Left to itself it makes dates of strings that look like
//! some and numbers of booleans in arrays, and escapes dots; under these settings it keeps what [`crate::decode::document`] lets through.

use crate::batch::{Layout, ValueType};
use crate::error::{Error, Kind, Result};
use crate::server::clickhouse::Server;

const PROBE: &str = include_str!("../../../sql/clickhouse/exact_documents.sql");

/// What stands before a column of documents in Native where they are strings: `SerializationObject`'s version of that name, in
/// <https://github.com/ClickHouse/ClickHouse/blob/master/src/DataTypes/Serializations/SerializationObject.h>.
pub(super) const AS_STRINGS: [u8; 8] = 1_u64.to_le_bytes();

/// Under which settings documents are parsed.
pub(super) const PARSED: [(&str, &str); 14] = [
    // The other parser takes numbers for their neighbours.
    ("allow_simdjson", "1"),
    ("input_format_try_infer_dates", "0"),
    ("input_format_try_infer_datetimes", "0"),
    ("input_format_json_try_infer_numbers_from_strings", "0"),
    ("input_format_json_read_bools_as_numbers", "0"),
    ("input_format_json_read_bools_as_strings", "0"),
    ("input_format_json_read_numbers_as_strings", "0"),
    ("input_format_json_read_arrays_as_strings", "0"),
    ("input_format_json_read_objects_as_strings", "0"),
    ("input_format_json_infer_array_of_dynamic_from_array_of_different_types", "1"),
    ("input_format_json_infer_incomplete_types_as_strings", "1"),
    ("schema_inference_make_columns_nullable", "1"),
    ("json_type_escape_dots_in_keys", "0"),
    ("input_format_json_max_depth", "1000"),
];

/// Under which settings a query answers documents in RowBinary; its end.
pub(super) const ANSWERED: &str = " SETTINGS output_format_binary_write_json_as_string = 1, output_format_json_quote_64bit_integers = 0, output_format_json_quote_64bit_floats = 0";

/// Sees to it that the server's parser takes no number for its neighbour.
///
/// # Errors
/// [`Kind::Destination`] where it does, or what the server answers.
pub(super) async fn keeps_digits(server: &Server) -> Result<()> {
    let rows = server.rows(PROBE, &[]).await?;
    if rows.first().and_then(|row| row.get("exact")?.as_u64()) == Some(1) {
        return Ok(());
    }
    Err(Error::new(Kind::Destination, "this ClickHouse's parser of JSON rounds numbers")
        .hint("store the columns as String, without `type: JSON`"))
}

/// Whether a column of the layout holds documents.
pub(super) fn has_documents(layout: &Layout) -> bool {
    layout.columns.iter().any(|column| column.column_type.value == ValueType::Json)
}
