//! One Clerk instance: its issuer, Frontend API host, cookie suffix and keys' prefixes.

use std::fmt;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE},
};

const BASE64_ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Clerk instance: one application environment.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Instance {
    issuer: String,
    frontend_api: Option<String>,
    cookie_suffix: Option<String>,
    kind: InstanceKind,
}

/// Whether an instance is for development or production.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum InstanceKind {
    /// `pk_test_…`, or not known.
    Development,
    /// `pk_live_…`.
    Production,
}

/// A publishable key, `pk_test_…` or `pk_live_…`: public, and naming the Frontend API's host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishableKey {
    text: String,
    frontend_api: String,
    kind: InstanceKind,
}

/// Why a text is not an instance's identity.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// The issuer is not an `https://` origin (`http://` only on loopback).
    #[error(
        "issuer {0:?} must be an https:// origin without a trailing slash, as in https://clerk.example.com"
    )]
    Issuer(String),
    /// The publishable key does not have Clerk's form.
    #[error(
        "the publishable key is not one: it must be pk_test_… or pk_live_… as the Clerk dashboard shows it"
    )]
    PublishableKey,
}

impl PublishableKey {
    /// Parses a publishable key: `pk_<env>_` and base64 of `<frontend api host>$`.
    ///
    /// # Errors
    ///
    /// [`InstanceError::PublishableKey`] where the text does not have that form.
    pub fn parse(text: &str) -> Result<Self, InstanceError> {
        let (kind, encoded) = match (text.strip_prefix("pk_live_"), text.strip_prefix("pk_test_")) {
            (Some(rest), _) => (InstanceKind::Production, rest),
            (_, Some(rest)) => (InstanceKind::Development, rest),
            _ => return Err(InstanceError::PublishableKey),
        };
        let decoded = BASE64_ANY_PADDING
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(InstanceError::PublishableKey)?;
        let host = decoded
            .strip_suffix('$')
            .filter(|host| is_host(host))
            .ok_or(InstanceError::PublishableKey)?;
        Ok(Self {
            text: text.to_owned(),
            frontend_api: host.to_owned(),
            kind,
        })
    }

    /// Returns the publishable key of a development instance whose Frontend API is at `host`.
    ///
    /// # Errors
    ///
    /// [`InstanceError::PublishableKey`] where `host` is not a host with an optional port.
    pub fn for_development(host: &str) -> Result<Self, InstanceError> {
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("{host}$"));
        Self::parse(&format!("pk_test_{encoded}"))
    }

    /// Returns the key's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the Frontend API's host.
    pub fn frontend_api(&self) -> &str {
        &self.frontend_api
    }

    /// Returns the suffix of this instance's cookies: 8 characters, as in `__session_QvfNY2dr`.
    pub fn cookie_suffix(&self) -> String {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes());
        let mut suffix = URL_SAFE.encode(hash.as_ref());
        suffix.truncate(8);
        suffix
    }
}

impl Instance {
    /// Names an instance by its issuer alone.
    ///
    /// # Errors
    ///
    /// [`InstanceError::Issuer`] where it is not an origin.
    pub fn from_issuer(issuer: &str) -> Result<Self, InstanceError> {
        if !is_origin(issuer) {
            return Err(InstanceError::Issuer(issuer.to_owned()));
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            frontend_api: None,
            cookie_suffix: None,
            kind: InstanceKind::Development,
        })
    }

    /// Names an instance by its publishable key: `https://<frontend api host>` is the issuer.
    pub fn from_publishable_key(key: &PublishableKey) -> Self {
        Self {
            issuer: format!("https://{}", key.frontend_api),
            frontend_api: Some(key.frontend_api.clone()),
            cookie_suffix: Some(key.cookie_suffix()),
            kind: key.kind,
        }
    }

    /// Replaces the issuer, for an instance whose tokens name another than its Frontend API.
    ///
    /// # Errors
    ///
    /// [`InstanceError::Issuer`] where it is not an origin.
    pub fn with_issuer(self, issuer: &str) -> Result<Self, InstanceError> {
        let named = Self::from_issuer(issuer)?;
        Ok(Self {
            issuer: named.issuer,
            ..self
        })
    }

    /// Returns the issuer that tokens must name (`iss`).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the Frontend API's host, where a publishable key gave it.
    pub fn frontend_api(&self) -> Option<&str> {
        self.frontend_api.as_deref()
    }

    /// Returns the suffix of this instance's cookies, where a publishable key gave it.
    pub fn cookie_suffix(&self) -> Option<&str> {
        self.cookie_suffix.as_deref()
    }

    /// Returns the instance's kind.
    pub fn kind(&self) -> InstanceKind {
        self.kind
    }
}

impl fmt::Display for PublishableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    let Some(authority) = uri.authority() else {
        return false;
    };
    let scheme_fits = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback(authority.host()),
        _ => false,
    };
    scheme_fits && text.ends_with(authority.as_str()) && !authority.as_str().contains('@')
}

/// Tells whether a URL's host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn is_host(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    text.contains('.') && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIXES: [(&str, &str); 4] = [
        ("pk_live_Y2xlcmsuY2xlcmsuZGV2JA", "1Z8AzTQD"),
        ("pk_test_Y2xlcmsuY2xlcmsuZGV2JA", "QvfNY2dr"),
        (
            "pk_test_Y2xlcmsuaW5zcGlyZWQucHVtYS03NC5sY2wuZGV2JA",
            "vWCgMp3A",
        ),
        (
            "pk_live_Y2xlcmsuaW5zcGlyZWQucHVtYS03NC5sY2wuZGV2JA",
            "MqCvchyS",
        ),
    ];

    #[test]
    fn cookie_suffixes_match_clerks_sdk() {
        for (key, suffix) in SUFFIXES {
            assert_eq!(PublishableKey::parse(key).unwrap().cookie_suffix(), suffix);
        }
    }

    #[test]
    fn a_publishable_key_names_the_issuer() {
        let key = PublishableKey::parse("pk_test_Y2xlcmsuY2xlcmsuZGV2JA==").unwrap();
        assert_eq!(
            Instance::from_publishable_key(&key).issuer(),
            "https://clerk.clerk.dev"
        );
    }

    #[test]
    fn what_is_no_publishable_key_is_refused() {
        for text in [
            "",
            "pk_test_",
            "pk_test_!!!",
            "sk_test_Y2xlcmsuY2xlcmsuZGV2JA",
            "pk_test_Y2xlcmsuY2xlcmsuZGV2",
            "pk_test_Y2xlcmskJA",
        ] {
            assert!(PublishableKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_issuer_is_an_origin() {
        for (issuer, good) in [
            ("https://clerk.example.com", true),
            ("http://127.0.0.1:4000", true),
            ("http://clerk.example.com", false),
            ("https://clerk.example.com/", false),
            ("https://clerk.example.com/x", false),
            ("clerk.example.com", false),
            ("https://a@clerk.example.com", false),
            ("", false),
        ] {
            assert_eq!(Instance::from_issuer(issuer).is_ok(), good, "{issuer}");
        }
    }
}
