//! A bare session ID, from peers that may present one: in a header, or in a query parameter.

use http::{HeaderMap, header::HeaderName};

use super::{Carrier, Credential, CredentialError, SessionIds, only};

const MAX_LEN: usize = 128;

/// Finds the one session ID in the header `name`.
pub(super) fn from_header<'a>(
    headers: &'a HeaderMap,
    name: &'a HeaderName,
    session_ids: SessionIds,
) -> Result<Option<Credential<'a>>, CredentialError> {
    let values = headers.get_all(name).iter().map(|value| value.as_bytes());
    one(values, Carrier::Header(name), session_ids)
}

/// Finds the one session ID in the query parameter `name`; a percent-encoded ID is refused.
pub(super) fn from_query<'a>(
    query: &'a str,
    name: &'a str,
    session_ids: SessionIds,
) -> Result<Option<Credential<'a>>, CredentialError> {
    let values = query
        .split('&')
        .filter(|parameter| is_named(parameter, name))
        .map(|parameter| parameter.split_once('=').unwrap_or_default().1.as_bytes());
    one(values, Carrier::Query(name), session_ids)
}

/// Tells whether a query parameter's name, percent-decoded, is `name`.
pub(super) fn is_named(parameter: &str, name: &str) -> bool {
    let spelt = parameter
        .split_once('=')
        .map_or(parameter, |(name, _)| name);
    let mut rest = spelt.as_bytes();
    for wanted in name.bytes() {
        let (byte, length) = match rest {
            [b'%', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high * 16 + low, 3),
                _ => (b'%', 1),
            },
            [byte, ..] => (*byte, 1),
            [] => return false,
        };
        if byte != wanted {
            return false;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    rest.is_empty()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

fn one<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    carrier: Carrier<'a>,
    session_ids: SessionIds,
) -> Result<Option<Credential<'a>>, CredentialError> {
    let Some(value) = only(values)? else {
        return Ok(None);
    };
    if session_ids == SessionIds::Refused {
        return Err(CredentialError::UntrustedPeer);
    }
    let id = str::from_utf8(value)
        .ok()
        .filter(|id| is_session_id(id))
        .ok_or(CredentialError::MalformedSessionId)?;
    Ok(Some(Credential::SessionId { id, carrier }))
}

fn is_session_id(text: &str) -> bool {
    let rest = text.strip_prefix("sess_").unwrap_or_default();
    text.len() <= MAX_LEN && !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric())
}
