//! What a column's name says of its values.

/// What a text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Email,
    Username,
    FirstName,
    LastName,
    FullName,
    Phone,
    Street,
    City,
    Country,
    CountryCode,
    Postcode,
    Currency,
    Company,
    Job,
    Industry,
    Url,
    Domain,
    Slug,
    UserAgent,
    Address,
    Hash,
    Language,
    File,
    Color,
    Code,
    Title,
    Sentence,
    Paragraph,
}

/// Names of columns, and what they hold. The first that fits counts, so that the longer names stand before the shorter.
const TEXTS: [(Words, &[&str]); 27] = [
    (Words::Address, &["ip", "ip_address", "ip_addr", "remote_addr", "host_ip"]),
    (Words::Email, &["email", "e_mail", "mail", "email_address"]),
    (Words::UserAgent, &["user_agent", "useragent", "browser"]),
    (Words::File, &["file", "file_name", "filename", "path", "file_path", "attachment"]),
    (Words::Username, &["username", "user_name", "login", "nick", "nickname", "handle", "screen_name"]),
    (Words::FirstName, &["first_name", "firstname", "given_name", "forename", "fname"]),
    (Words::LastName, &["last_name", "lastname", "surname", "family_name", "lname"]),
    (
        Words::Company,
        &["company", "company_name", "organisation", "organization", "employer", "brand", "vendor", "supplier"],
    ),
    (Words::Phone, &["phone", "mobile", "tel", "telephone", "cell", "fax", "phone_number"]),
    (Words::Street, &["street", "address", "address_line", "line1", "address1", "street_address"]),
    (Words::City, &["city", "town", "place", "birthplace", "location"]),
    (Words::CountryCode, &["country_code", "country_iso", "iso_country"]),
    (Words::Country, &["country", "nationality", "country_name"]),
    (Words::Postcode, &["zip", "zipcode", "zip_code", "postcode", "postal_code", "post_code", "plz"]),
    (Words::Currency, &["currency", "currency_code", "ccy"]),
    (Words::Job, &["job", "job_title", "profession", "occupation", "position"]),
    (Words::Industry, &["industry", "sector", "branch", "department", "category"]),
    (Words::Url, &["url", "link", "website", "homepage", "uri", "href", "avatar", "image", "photo", "picture"]),
    (Words::Domain, &["domain", "hostname", "host", "domain_name"]),
    (Words::Slug, &["slug", "permalink"]),
    (
        Words::Hash,
        &["hash", "token", "secret", "password", "digest", "checksum", "api_key", "fingerprint", "sha256", "md5"],
    ),
    (Words::Language, &["language", "lang", "locale"]),
    (Words::Color, &["color", "colour"]),
    (
        Words::Code,
        &["sku", "code", "ref", "reference", "number", "serial", "isbn", "ean", "iban", "order_no", "invoice_no"],
    ),
    (
        Words::Paragraph,
        &["description", "body", "text", "content", "bio", "about", "article", "message", "review", "details"],
    ),
    (Words::Sentence, &["note", "notes", "comment", "comments", "remark", "summary", "reason", "subject", "headline"]),
    (Words::Title, &["title", "label", "caption", "product_name", "item_name"]),
];

/// Tables whose `name` is a person's.
const PEOPLE: [&str; 24] = [
    "user",
    "users",
    "customer",
    "customers",
    "person",
    "persons",
    "people",
    "employee",
    "employees",
    "contact",
    "contacts",
    "member",
    "members",
    "author",
    "authors",
    "patient",
    "patients",
    "student",
    "students",
    "staff",
    "client",
    "clients",
    "account",
    "accounts",
];

/// A span of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Digits after the point, where the type has any.
    pub(super) decimals: u8,
}

const NUMBERS: [(f64, f64, u8, &[&str]); 17] = [
    (-90.0, 90.0, 6, &["lat", "latitude"]),
    (-180.0, 180.0, 6, &["lon", "lng", "long", "longitude"]),
    (1990.0, 2026.0, 0, &["year"]),
    (1.0, 12.0, 0, &["month"]),
    (1.0, 28.0, 0, &["day"]),
    (0.0, 23.0, 0, &["hour"]),
    (18.0, 90.0, 0, &["age"]),
    (1.0, 5.0, 1, &["rating", "stars", "score", "grade"]),
    (0.0, 100.0, 2, &["percent", "percentage", "pct", "rate", "ratio", "share", "discount", "vat"]),
    (1024.0, 65535.0, 0, &["port"]),
    (10_000.0, 99_999.0, 0, &["zip", "zipcode", "postcode", "plz"]),
    (20_000.0, 150_000.0, 2, &["salary", "income", "wage"]),
    (
        0.99,
        999.99,
        2,
        &["price", "amount", "total", "cost", "fee", "balance", "revenue", "tax", "subtotal", "budget", "sum"],
    ),
    (1.0, 20.0, 0, &["quantity", "qty", "pieces"]),
    (0.0, 500.0, 0, &["count", "stock", "votes", "likes", "views", "attempts", "retries"]),
    (0.1, 500.0, 2, &["weight", "height", "width", "length", "depth", "size", "temperature", "kg", "cm", "mm"]),
    (1.0, 36_000.0, 0, &["duration", "seconds", "ms", "minutes", "millis", "elapsed", "timeout"]),
];

/// When something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// A person's birth.
    Birth,
    /// The row's own moment.
    Then,
    /// Some time after the row's own moment.
    Later,
    /// Years after it.
    Future,
}

const TIMES: [(When, &[&str]); 3] = [
    (When::Birth, &["birth", "birthday", "birthdate", "birth_date", "date_of_birth", "dob", "born"]),
    (When::Future, &["expires", "expiry", "valid_until", "due", "until", "renewal", "expiration"]),
    (
        When::Later,
        &[
            "updated",
            "modified",
            "changed",
            "edited",
            "shipped",
            "paid",
            "delivered",
            "completed",
            "finished",
            "closed",
            "end",
            "ended",
            "ends",
            "deleted",
            "cancelled",
            "last_login",
            "last_seen",
            "resolved",
            "stop",
            "stopped",
        ],
    ),
];

/// What a text column of this name holds, in a table of this name.
pub(super) fn words(column: &str, table: &str) -> Words {
    let name = normal(column);
    if let Some((words, _)) = TEXTS.iter().find(|(_, names)| names.iter().any(|word| has(&name, word))) {
        return *words;
    }
    let of_person = |text: &str| PEOPLE.iter().any(|person| has(text, person));
    let is_name = has(&name, "name");
    if has(&name, "full_name") || has(&name, "fullname") || (is_name && (of_person(&name) || of_person(&normal(table))))
    {
        return Words::FullName;
    }
    if is_name { Words::Title } else { Words::Sentence }
}

/// The span of a number column of this name.
pub(super) fn span(column: &str) -> Span {
    let name = normal(column);
    let found = NUMBERS.iter().find(|(.., names)| names.iter().any(|word| has(&name, word)));
    found.map_or(Span { low: 1.0, high: 10_000.0, decimals: 2 }, |&(low, high, decimals, _)| Span {
        low,
        high,
        decimals,
    })
}

/// The moment that a time column of this name speaks of.
pub(super) fn when(column: &str) -> When {
    let name = normal(column);
    TIMES.iter().find(|(_, names)| names.iter().any(|word| has(&name, word))).map_or(When::Then, |&(when, _)| when)
}

/// Whether the row is rarely marked so: `deleted_at`, `cancelled_on`.
pub(super) fn is_rare(column: &str) -> bool {
    let name = normal(column);
    ["deleted", "cancelled", "canceled", "archived", "blocked", "banned", "error"].iter().any(|word| has(&name, word))
}

/// Lower case, words parted by `_`: `createdAt` and `Created At` become `created_at`.
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for char in name.chars() {
        if !char.is_alphanumeric() {
            normal.push('_');
        } else if char.is_uppercase() && after_lower {
            normal.push('_');
            normal.extend(char.to_lowercase());
        } else {
            normal.extend(char.to_lowercase());
        }
        after_lower = char.is_lowercase() || char.is_ascii_digit();
    }
    normal
}

/// Whether the words stand in the name, whole.
fn has(name: &str, words: &str) -> bool {
    name.match_indices(words).any(|(start, found)| {
        let before = name.get(..start).unwrap_or_default();
        let after = name.get(start + found.len()..).unwrap_or_default();
        (before.is_empty() || before.ends_with('_')) && (after.is_empty() || after.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood() {
        let cases = [
            ("email", "t", Words::Email),
            ("billing_email", "t", Words::Email),
            ("customerEmail", "t", Words::Email),
            ("phone", "t", Words::Phone),
            ("First Name", "t", Words::FirstName),
            ("city", "t", Words::City),
            ("country", "t", Words::Country),
            ("country_code", "t", Words::CountryCode),
            ("website_url", "t", Words::Url),
            ("name", "users", Words::FullName),
            ("name", "products", Words::Title),
            ("customer_name", "orders", Words::FullName),
            ("shipping", "t", Words::Sentence),
            ("client_ip", "t", Words::Address),
        ];
        for (column, table, expected) in cases {
            assert_eq!(words(column, table), expected, "{column} of {table}");
        }
    }

    #[test]
    fn numbers_and_times_are_understood() {
        assert_eq!(span("unit_price").decimals, 2);
        assert_eq!(span("age"), Span { low: 18.0, high: 90.0, decimals: 0 });
        assert_eq!(span("storage"), Span { low: 1.0, high: 10_000.0, decimals: 2 });
        assert_eq!(when("created_at"), When::Then);
        assert_eq!(when("updatedAt"), When::Later);
        assert_eq!(when("date_of_birth"), When::Birth);
        assert_eq!(when("expires_at"), When::Future);
        assert!(is_rare("deleted_at") && !is_rare("created_at"));
    }
}
