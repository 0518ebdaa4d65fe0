//! Which URLs we talk to: `https`, or `http` on this machine; no user, no fragment.

use reqwest::Url;

use super::ClientError;
use crate::instance::is_loopback;

/// Parses a URL that may be fetched.
pub(super) fn parse(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::Url)?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or(ClientError::Url)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.fragment().is_some() {
        return Err(ClientError::Url);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        "http" => Err(ClientError::PlainHttp(host.to_owned())),
        _ => Err(ClientError::Url),
    }
}

/// Parses an API URL into its base: no `/v1`, no slash at the end, no query.
pub(super) fn parse_base(text: &str) -> Result<Url, ClientError> {
    let mut url = parse(text)?;
    if url.query().is_some() {
        return Err(ClientError::Url);
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Appends a path under `/v1` to a base.
///
/// Every part of `path` that comes from outside must be a checked ID or name.
pub(super) fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/v1{path}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_takes_a_v1_at_the_end_or_none() {
        for (text, sessions) in [
            ("https://api.clerk.com", "https://api.clerk.com/v1/sessions"),
            (
                "https://api.clerk.com/",
                "https://api.clerk.com/v1/sessions",
            ),
            (
                "https://api.clerk.com/v1",
                "https://api.clerk.com/v1/sessions",
            ),
            (
                "https://api.clerk.com/v1/",
                "https://api.clerk.com/v1/sessions",
            ),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000/v1/sessions"),
            ("http://[::1]:4000", "http://[::1]:4000/v1/sessions"),
            (
                "https://h.example/clerk",
                "https://h.example/clerk/v1/sessions",
            ),
        ] {
            let base = parse_base(text).unwrap();
            assert_eq!(under(&base, "/sessions").as_str(), sessions, "{text}");
        }
    }

    #[test]
    fn what_must_not_be_talked_to_is_refused() {
        for text in [
            "",
            "api.clerk.com",
            "ftp://api.clerk.com",
            "http://api.clerk.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://user:pass@api.clerk.com",
            "https://user@api.clerk.com",
            "https://api.clerk.com/#x",
            "https://api.clerk.com/?x=1",
            "file:///etc/passwd",
        ] {
            assert!(parse_base(text).is_err(), "{text}");
        }
    }
}
