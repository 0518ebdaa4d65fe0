//! A session token in `Authorization: Bearer` (RFC 6750 §2.1).

use http::{HeaderMap, header::AUTHORIZATION};

use super::{Carrier, Credential, CredentialError, PresentedToken};

const SCHEME: &[u8] = b"Bearer";

/// Finds the one bearer token.
///
/// Another scheme (`Basic …`) is not this source's and counts as absent. So does a value without a
/// scheme, which Clerk's SDK takes for a token. The scheme is compared without case (RFC 9110
/// §11.1), which Clerk's SDK does not. Two `Authorization` headers are bad whatever they hold.
pub(super) fn extract(headers: &HeaderMap) -> Result<Option<Credential<'_>>, CredentialError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(CredentialError::Several);
    }
    let value = value.as_bytes().trim_ascii();
    // As nearly everyone spells it.
    if let Some(token) = value.strip_prefix(b"Bearer ") {
        return Ok(Some(presented(token)));
    }
    let (scheme, rest) = value.split_at(SCHEME.len().min(value.len()));
    let is_longer_word = rest
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    if !scheme.eq_ignore_ascii_case(SCHEME) || is_longer_word {
        return Ok(None);
    }
    let token = rest
        .strip_prefix(b" ")
        .ok_or(CredentialError::MalformedBearer)?;
    Ok(Some(presented(token)))
}

fn presented(bytes: &[u8]) -> Credential<'_> {
    Credential::SessionToken {
        token: PresentedToken {
            bytes,
            carrier: Carrier::Bearer,
        },
        client_uat: None,
    }
}

/// Reads what follows the scheme.
pub(super) fn text(token: &[u8]) -> Result<&str, CredentialError> {
    match str::from_utf8(token) {
        Ok(text) if is_token68(token) => Ok(text),
        _ => Err(CredentialError::MalformedBearer),
    }
}

/// Tells whether `text` is `b64token`: no space and no comma, so one token and no more.
fn is_token68(text: &[u8]) -> bool {
    // Without a branch for each byte: who comes with many tokens pays for this each time.
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            | (byte == b'-')
            | (byte == b'.')
            | (byte == b'_')
            | (byte == b'~')
            | (byte == b'+')
            | (byte == b'/')
            | (byte == b'=')
    };
    !text.is_empty() && text.iter().fold(true, |all, byte| all & is_allowed(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token68_is_of_the_bytes_that_rfc_9110_names() {
        for byte in 0..=u8::MAX {
            let named = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            assert_eq!(is_token68(&[b'a', byte]), named, "{byte}");
        }
        assert!(!is_token68(b""));
    }
}
