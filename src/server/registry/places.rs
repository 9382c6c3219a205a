//! Where a registry keeps its schemas: the paths of the interfaces that a URL may mean.

use super::client::SchemaId;

const CCOMPAT: [&str; 2] = ["/apis/ccompat/v7", "/apis/ccompat/v6"];
const NATIVE: [&str; 2] = ["/apis/registry/v3", "/apis/registry/v2"];

/// The server's address without the interface's own path, and that path, where the URL names one.
pub(super) fn root(address: &str) -> (&str, Option<&str>) {
    match address.find("/apis/") {
        Some(at) => address.split_at_checked(at).map_or((address, None), |(root, own)| (root, Some(own))),
        None => (address, None),
    }
}

/// The bases that may answer for an id, likeliest first, each without a slash at its end.
pub(super) fn bases(own: Option<&str>, id: SchemaId) -> Vec<String> {
    let (known, bare): (&[&str], &[&str]) = match id {
        // Confluent's own registry has no path before /schemas.
        SchemaId::Confluent(_) => (&CCOMPAT, &[""]),
        SchemaId::GlobalId(_) | SchemaId::ContentId(_) => (&NATIVE, &[]),
    };
    let mut bases: Vec<String> = own.filter(|own| known.contains(own)).map(str::to_owned).into_iter().collect();
    let others = bare.iter().filter(|_| own.is_none()).chain(known);
    for other in others {
        if !bases.iter().any(|base| base == other) {
            bases.push((*other).to_owned());
        }
    }
    bases
}

/// The path of a schema below its base.
pub(super) fn of(id: SchemaId) -> String {
    match id {
        SchemaId::Confluent(id) => format!("/schemas/ids/{id}"),
        SchemaId::GlobalId(id) => format!("/ids/globalIds/{id}"),
        SchemaId::ContentId(id) => format!("/ids/contentIds/{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_the_interface_or_the_server_alone() {
        assert_eq!(root("http://r:8080"), ("http://r:8080", None));
        assert_eq!(root("http://r:8080/apis/registry/v2"), ("http://r:8080", Some("/apis/registry/v2")));
        assert_eq!(root("https://r/sub/apis/ccompat/v7"), ("https://r/sub", Some("/apis/ccompat/v7")));
        let bases = |own, id| super::bases(own, id).join(" ");
        assert_eq!(bases(None, SchemaId::Confluent(1)), " /apis/ccompat/v7 /apis/ccompat/v6");
        assert_eq!(bases(Some("/apis/ccompat/v6"), SchemaId::Confluent(1)), "/apis/ccompat/v6 /apis/ccompat/v7");
        assert_eq!(bases(Some("/apis/registry/v2"), SchemaId::Confluent(1)), "/apis/ccompat/v7 /apis/ccompat/v6");
        assert_eq!(bases(Some("/apis/registry/v2"), SchemaId::GlobalId(1)), "/apis/registry/v2 /apis/registry/v3");
        assert_eq!(bases(None, SchemaId::ContentId(1)), "/apis/registry/v3 /apis/registry/v2");
    }
}
