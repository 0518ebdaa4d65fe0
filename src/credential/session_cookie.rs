//! A session token in Clerk's session cookie, and the `__client_uat` that stands beside it.

use http::{HeaderMap, header::COOKIE};

use super::{Carrier, ClientUat, Credential, CredentialError, PresentedToken, only};

const SESSION: &str = "__session";
const CLIENT_UAT: &str = "__client_uat";

/// The names of an instance's own cookies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Names {
    session: String,
    client_uat: String,
}

impl Names {
    /// Returns the names with an instance's suffix, as in `__session_QvfNY2dr`.
    pub(super) fn suffixed(suffix: &str) -> Self {
        Self {
            session: format!("{SESSION}_{suffix}"),
            client_uat: format!("{CLIENT_UAT}_{suffix}"),
        }
    }
}

/// Finds the session cookie: the suffixed one first, the plain one only where that is absent.
///
/// A cookie without a value is absent: that is how a browser's cookie is cleared. A `__client_uat`
/// of the same spelling must be an integer; its absence, which Clerk's SDK refuses, is let pass.
pub(super) fn extract<'a>(
    headers: &'a HeaderMap,
    suffixed: Option<&Names>,
) -> Result<Option<Credential<'a>>, CredentialError> {
    if let Some(names) = suffixed
        && let Some(found) = find(headers, &names.session, &names.client_uat)?
    {
        return Ok(Some(found));
    }
    find(headers, SESSION, CLIENT_UAT)
}

fn find<'a>(
    headers: &'a HeaderMap,
    session: &str,
    client_uat: &str,
) -> Result<Option<Credential<'a>>, CredentialError> {
    let Some(token) = only(values(headers, session))? else {
        return Ok(None);
    };
    let client_uat = only(values(headers, client_uat))?
        .map(parse_client_uat)
        .transpose()?;
    Ok(Some(Credential::SessionToken {
        token: PresentedToken {
            bytes: token,
            carrier: Carrier::Cookie,
        },
        client_uat,
    }))
}

/// Reads a session cookie's value.
pub(super) fn text(token: &[u8]) -> Result<&str, CredentialError> {
    match str::from_utf8(token) {
        Ok(text) if is_visible(token) => Ok(text),
        _ => Err(CredentialError::MalformedCookie),
    }
}

// Without a branch for each byte, as for a bearer token.
fn is_visible(token: &[u8]) -> bool {
    token
        .iter()
        .fold(true, |all, byte| all & byte.is_ascii_graphic())
}

fn parse_client_uat(value: &[u8]) -> Result<ClientUat, CredentialError> {
    str::from_utf8(value)
        .ok()
        .and_then(|value| value.parse().ok())
        .map(ClientUat)
        .ok_or(CredentialError::MalformedClientUat)
}

/// Returns the values of every cookie of that exact name that has one, undecoded.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    // HTTP/2 may send one `Cookie` field a cookie (RFC 9113 §8.2.3).
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter(move |pair| cookie_name(pair) == name.as_bytes())
        .map(cookie_value)
        .filter(|value| !value.is_empty())
}

/// Returns a cookie's name; split on `;` first, so that no encoded one can forge a cookie.
pub(super) fn cookie_name(pair: &[u8]) -> &[u8] {
    let end = pair
        .iter()
        .position(|byte| *byte == b'=')
        .unwrap_or(pair.len());
    pair.get(..end).unwrap_or_default().trim_ascii()
}

fn cookie_value(pair: &[u8]) -> &[u8] {
    let start = pair
        .iter()
        .position(|byte| *byte == b'=')
        .map_or(pair.len(), |at| at + 1);
    pair.get(start..).unwrap_or_default().trim_ascii()
}
