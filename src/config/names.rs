//! What pipectl calls its own things at the source, unless the configuration says otherwise.

/// The slot and the publication of a pipeline.
pub(super) fn own_name(pipeline: &str) -> String {
    format!("pipectl_{pipeline}")
}

/// The publication of tables without a key, whose inserts alone are sent; it stands beside the pipeline's publication.
pub fn inserts_publication(publication: &str) -> String {
    format!("{publication}_inserts")
}
