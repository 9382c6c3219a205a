//! Why a TLS handshake failed, in words that say what to do.

use rustls::{CertificateError, Error as TlsError};
use std::error::Error as StdError;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsFault {
    /// What answered does not speak TLS.
    Plain,
    /// No authority that is trusted vouches for the certificate.
    Untrusted,
    /// The certificate is made out to somebody else.
    OtherName,
    /// The certificate is not valid yet, or no longer.
    OutOfDate,
}

impl TlsFault {
    /// Looks for a verdict of TLS among an error and its causes.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(verdict) = error.downcast_ref::<TlsError>() {
                return Self::of_verdict(verdict);
            }
            // What an `io::Error` wraps is not its source, but what it was made of.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match wrapped {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    fn of_verdict(verdict: &TlsError) -> Option<Self> {
        use CertificateError as C;
        match verdict {
            TlsError::InvalidMessage(_) => Some(Self::Plain),
            TlsError::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => Some(Self::Untrusted),
            TlsError::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                Some(Self::OtherName)
            }
            TlsError::InvalidCertificate(
                C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. },
            ) => Some(Self::OutOfDate),
            _ => None,
        }
    }

    /// Whether another attempt can come out otherwise: a proxy may stand in for the server for a while, a certificate may be renewed.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::Plain | Self::OutOfDate)
    }

    /// What to do; `authority` is the setting that names the file of authorities, `plain` what to do where TLS is not spoken.
    pub(super) fn hint(self, authority: &str, plain: &str) -> String {
        match self {
            Self::Plain => format!("what answers there does not speak TLS: {plain}"),
            Self::Untrusted => {
                format!(
                    "the server's certificate is of an authority that is not trusted: name its file in `{authority}`"
                )
            }
            Self::OtherName => {
                "the server's certificate is made out to another name: use the name that it has in the URL".to_owned()
            }
            Self::OutOfDate => {
                "the server's certificate has expired or is not valid yet: renew it, or mend the clock".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};

    #[test]
    fn a_verdict_is_found_below_other_errors() {
        let verdict = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let outer = Error::new(Kind::Source, "no").because(std::io::Error::other(std::io::Error::other(verdict)));
        assert_eq!(TlsFault::of(&outer), Some(TlsFault::Untrusted));
        let plain = std::io::Error::other(TlsError::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert_eq!(TlsFault::of(&plain), Some(TlsFault::Plain));
        assert_eq!(TlsFault::of(&std::io::Error::other("reset")), None);
    }
}
