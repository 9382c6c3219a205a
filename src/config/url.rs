//! Connection URLs, taken apart by pipectl itself: the libraries below know neither `sslmode=verify-full` nor a user in a
//! ClickHouse URL, and people write passwords unencoded.
//!
//! Forms and parameters as in <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.

use super::{Secret, SslMode};
use std::path::PathBuf;

/// Parameters of libpq that change nothing here, and stand in the URLs of hosted databases.
const WITHOUT_EFFECT: [&str; 10] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "target_session_attrs",
];

/// What a URL says; what it leaves out is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PostgresUrl {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// The password as it stands in the URL, before decoding.
    pub(super) written_password: Secret,
    pub(super) database: Option<String>,
    pub(super) sslmode: Option<SslMode>,
    pub(super) sslrootcert: Option<PathBuf>,
    pub(super) sslcert: Option<PathBuf>,
    pub(super) sslkey: Option<PathBuf>,
}

/// What a ClickHouse URL says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClickHouseUrl {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// The password as it stands in the URL, before decoding.
    pub(super) written_password: Secret,
    pub(super) database: Option<String>,
}

/// Takes a `postgres://` URL apart. What is wrong is said without showing the URL.
pub(super) fn postgres(url: &str) -> Result<PostgresUrl, String> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or("must look like postgres://user:password@host:port/database")?;
    let parts = split(rest)?;
    let mut parsed = PostgresUrl {
        host: (!parts.host.is_empty()).then(|| decode(parts.host)),
        port: parts.port,
        user: parts.user.filter(|user| !user.is_empty()).map(decode),
        password: parts.password.map(|password| Secret::new(decode(password))),
        written_password: Secret::new(parts.password.unwrap_or_default()),
        database: (!parts.path.is_empty()).then(|| decode(parts.path)),
        ..PostgresUrl::default()
    };
    for pair in parts.query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter after ? must be of the form name=value")?;
        parameter(&mut parsed, name, decode(value))?;
    }
    Ok(parsed)
}

fn parameter(parsed: &mut PostgresUrl, name: &str, value: String) -> Result<(), String> {
    match name {
        "host" => parsed.host = Some(value),
        "port" => parsed.port = Some(value.parse().map_err(|_| "port must be a number from 1 to 65535")?),
        "user" => parsed.user = Some(value),
        "password" => {
            parsed.written_password = Secret::new(value.clone());
            parsed.password = Some(Secret::new(value));
        }
        "dbname" => parsed.database = Some(value),
        "sslmode" => {
            parsed.sslmode =
                Some(sslmode(&value).ok_or_else(|| format!("sslmode must be one of {}", SSL_MODES.join(", ")))?);
        }
        "sslrootcert" => parsed.sslrootcert = Some(value.into()),
        "sslcert" => parsed.sslcert = Some(value.into()),
        "sslkey" => parsed.sslkey = Some(value.into()),
        _ if WITHOUT_EFFECT.contains(&name) => {}
        _ => return Err(format!("the parameter \"{name}\" is not supported")),
    }
    Ok(())
}

/// The names of `sslmode`.
pub(super) const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The mode of a name. `allow` is `prefer`: encrypted where the server can.
pub(super) fn sslmode(name: &str) -> Option<SslMode> {
    Some(match name {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return None,
    })
}

/// Takes an `http://` or `https://` URL apart. What is wrong is said without showing the URL.
pub(super) fn clickhouse(url: &str) -> Result<ClickHouseUrl, String> {
    let (secure, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme @ ("clickhouse" | "tcp" | "native"), _)) => {
            return Err(format!(
                "pipectl uses ClickHouse's HTTP port: http://…:8123 or https://…:8443 instead of {scheme}://"
            ));
        }
        _ => return Err("must look like http://user:password@host:8123".to_owned()),
    };
    let parts = split(rest)?;
    if parts.host.is_empty() {
        return Err("must name a host: http://user:password@host:8123".to_owned());
    }
    if !parts.query.is_empty() {
        return Err("takes no parameters after ?".to_owned());
    }
    Ok(ClickHouseUrl {
        secure,
        host: decode(parts.host),
        port: parts.port,
        user: parts.user.filter(|user| !user.is_empty()).map(decode),
        password: parts.password.map(|password| Secret::new(decode(password))),
        written_password: Secret::new(parts.password.unwrap_or_default()),
        database: Some(parts.path.trim_end_matches('/')).filter(|path| !path.is_empty()).map(decode),
    })
}

/// An `http://` or `https://` URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Whether it is `https://`.
    pub secure: bool,
    /// Host name or address.
    pub host: String,
    /// Port; the scheme's own where absent.
    pub port: Option<u16>,
    /// User, where a login stands in it.
    pub user: Option<String>,
    /// Its password; empty for none.
    pub password: Secret,
    /// What stands behind the host: empty, or with a slash before it and none behind.
    pub path: String,
}

impl HttpUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (secure, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err("must look like http://host:port".to_owned()),
        };
        let parts = split(rest)?;
        if parts.host.is_empty() {
            return Err("must name a host: http://host:port".to_owned());
        }
        if !parts.query.is_empty() {
            return Err("takes no parameters after ?".to_owned());
        }
        let path = parts.path.trim_matches('/');
        Ok(Self {
            secure,
            host: decode(parts.host),
            port: parts.port,
            user: parts.user.filter(|user| !user.is_empty()).map(decode),
            password: parts.password.map(|password| Secret::new(decode(password))).unwrap_or_default(),
            path: if path.is_empty() { String::new() } else { format!("/{path}") },
        })
    }

    /// The URL without its login and without a slash at its end.
    pub fn address(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}{}", self.path)
    }
}

struct Parts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
    query: &'a str,
}

/// Splits what stands behind `://`. First as the standard has it; where that gives no host, or leaves an `@` in the path, a password
/// was written unencoded, and the last `@` ends it.
fn split(rest: &str) -> Result<Parts<'_>, String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let strict = rest.split_at_checked(end).and_then(|(authority, tail)| {
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let parts = place_and_tail(login, place, tail).ok()?;
        let bare = parts.query.split('&').any(|pair| !pair.is_empty() && !pair.contains('='));
        (!parts.path.contains('@') && !bare && !tail.starts_with('#')).then_some(parts)
    });
    if let Some(parts) = strict {
        return Ok(parts);
    }
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let end = place.find(['/', '?']).unwrap_or(place.len());
    let (place, tail) = place.split_at_checked(end).unwrap_or((place, ""));
    place_and_tail(login, place, tail)
}

fn place_and_tail<'a>(login: Option<&'a str>, place: &'a str, tail: &'a str) -> Result<Parts<'a>, String> {
    let (user, password) = match login.map(|login| login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)))) {
        Some((user, password)) => (Some(user), password),
        None => (None, None),
    };
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if place.contains(',') {
        return Err("names several hosts; pipectl follows one server".to_owned());
    }
    let known = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '%' | ':');
    if !host.chars().all(known) || (host.is_empty() && !place.is_empty()) {
        return Err(
            "has no readable host name; percent-encode special characters of the password (@ is %40, / is %2F)"
                .to_owned(),
        );
    }
    let port = match port {
        "" => None,
        digits => {
            Some(digits.parse::<u16>().ok().filter(|port| *port > 0).ok_or("port must be a number from 1 to 65535")?)
        }
    };
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    Ok(Parts { user, password, host, port, path: path.strip_prefix('/').unwrap_or(path), query })
}

/// Undoes percent-encoding; a `%` that begins no two hexadecimal digits, or no UTF-8, stands for itself.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|b| char::from(*b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (byte, digit(1), digit(2)) {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn password(url: &str) -> String {
        postgres(url).unwrap().password.unwrap().expose().to_owned()
    }

    #[test]
    fn takes_a_url_apart() {
        let url =
            postgres("postgresql://al%20ice:s3cret@db.example:5433/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem")
                .unwrap();
        assert_eq!(url.host.as_deref(), Some("db.example"));
        assert_eq!(
            (url.port, url.user.as_deref(), url.database.as_deref()),
            (Some(5433), Some("al ice"), Some("shop"))
        );
        assert_eq!((url.sslmode, url.sslrootcert), (Some(SslMode::VerifyFull), Some("/etc/ca.pem".into())));
        assert_eq!(url.password.unwrap().expose(), "s3cret");
    }

    #[test]
    fn reads_a_difficult_password_encoded_and_raw() {
        assert_eq!(password("postgres://u:p%40%3A%2F%25%23@localhost:5432/db"), "p@:/%#");
        assert_eq!(password("postgres://u:p@:/%#@localhost:5432/db"), "p@:/%#");
        assert_eq!(password("postgres://u:a?b=c@localhost/db?sslmode=disable"), "a?b=c");
        assert_eq!(password("postgres://u:a@b/c@localhost/db"), "a@b/c");
        let url = clickhouse("http://u:p@:/%#@localhost:8123").unwrap();
        assert_eq!((url.host.as_str(), url.password.unwrap().expose()), ("localhost", "p@:/%#"));
    }

    #[test]
    fn reads_sockets_addresses_and_little() {
        let url = postgres("postgres:///shop?host=/var/run/postgresql&user=u").unwrap();
        assert_eq!((url.host.as_deref(), url.user.as_deref()), (Some("/var/run/postgresql"), Some("u")));
        let url = postgres("postgres://u@[::1]:5433").unwrap();
        assert_eq!((url.host.as_deref(), url.port, url.database), (Some("::1"), Some(5433), None));
        let url = clickhouse("https://ch.example/shop/").unwrap();
        assert_eq!((url.secure, url.port, url.database.as_deref()), (true, None, Some("shop")));
        assert_eq!(postgres("postgres://u@h/db?application_name=a@b").unwrap().host.as_deref(), Some("h"));
    }

    #[test]
    fn takes_an_http_url_apart() {
        let url = HttpUrl::parse("https://me:p%40@registry.example/apis/ccompat/v7/").unwrap();
        assert_eq!((url.secure, url.port, url.user.as_deref()), (true, None, Some("me")));
        assert_eq!((url.password.expose(), url.path.as_str()), ("p@", "/apis/ccompat/v7"));
        assert_eq!(url.address(), "https://registry.example/apis/ccompat/v7");
        assert_eq!(HttpUrl::parse("http://[::1]:8083").unwrap().address(), "http://[::1]:8083");
        for url in ["localhost:8083", "http://", "http://h?x=1", "http://me:hunter2@h:x"] {
            assert!(!HttpUrl::parse(url).unwrap_err().contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn says_what_is_wrong_without_the_password() {
        for url in [
            "mysql://u:hunter2@h/db",
            "postgres://u:hunter2@h:x/db",
            "postgres://u:hunter2@h,i/db",
            "postgres://u:hunter2@h/db?sslmode=maybe",
            "postgres://u:hunter2@h/db?options=x",
        ] {
            let error = postgres(url).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(clickhouse("clickhouse://u@h:9000").unwrap_err().contains("8123"));
        assert!(clickhouse("http://:8123").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(rest in ".*") {
            postgres(&format!("postgres://{rest}")).ok();
            clickhouse(&format!("http://{rest}")).ok();
        }

        #[test]
        fn an_encoded_password_comes_back(password in "[ -~]{1,20}") {
            let encoded = password.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"));
            let url = postgres(&format!("postgres://u:{encoded}@h:1/d")).unwrap();
            let read = url.password.unwrap();
            prop_assert_eq!(read.expose(), password);
        }
    }
}
