//! Requests that a page of another site makes in a browser's name (cross-site request forgery).
//!
//! A browser adds its cookies to them by itself, so only requests that a cookie authenticates are judged.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{HOST, ORIGIN, SEC_WEBSOCKET_KEY, UPGRADE},
};
use tower_http::csrf::{Csrf, CsrfLayer};
use tower_layer::Layer;
use tower_service::Service;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Judges where a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct SameSite {
    checked: Csrf<Passed>,
    /// Compared with `Origin` byte for byte.
    trusted: Vec<String>,
}

/// A page of another site made the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request is authenticated by cookie and was made by a page of another site")]
pub(crate) struct CrossSite;

/// What a request reaches that is no forgery.
#[derive(Clone, Debug)]
struct Passed;

/// Refuses what a page of another site made, where only `Sec-Fetch-Site` can tell.
///
/// # Errors
///
/// [`CrossSite`] where it does.
pub(crate) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), CrossSite> {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    match sites.any(|site| site == "cross-site") {
        true => Err(CrossSite),
        false => Ok(()),
    }
}

impl SameSite {
    /// Takes the origins whose pages may make requests, beside the request's own host.
    pub(crate) fn new(trusted: Vec<String>) -> Self {
        Self {
            checked: CsrfLayer::new().layer(Passed),
            trusted,
        }
    }

    /// Tells whether a request is one to judge: one that may change something.
    pub(crate) fn concerns(method: &Method, headers: &HeaderMap) -> bool {
        let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        !is_safe || is_upgrade(headers)
    }

    /// Judges a request to `host`; a safe method passes, unless it asks for an upgrade.
    ///
    /// # Errors
    ///
    /// [`CrossSite`] where `Sec-Fetch-Site`, or without it `Origin`, tells of another site.
    pub(crate) fn judge(
        &self,
        method: &Method,
        host: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> Result<(), CrossSite> {
        // What is upgraded writes as well as it reads, and a WebSocket begins with a GET. In HTTP/2 it is a
        // CONNECT, which no route takes.
        let judged = match is_upgrade(headers) {
            true => &Method::POST,
            false => method,
        };
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        if origin.is_some_and(|origin| self.trusted.iter().any(|known| known == origin)) {
            return Ok(());
        }
        let mut request = Request::new(());
        *request.method_mut() = judged.clone();
        for (name, value) in [
            (HOST, host),
            (ORIGIN, headers.get(ORIGIN)),
            (SEC_FETCH_SITE, headers.get(SEC_FETCH_SITE)),
        ] {
            if let Some(value) = value {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let answer = self.checked.clone().call(request).now_or_never();
        match answer {
            Some(Ok(response)) if response.status().is_success() => Ok(()),
            _ => Err(CrossSite),
        }
    }
}

impl Service<Request<()>> for Passed {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// A proxy that asks for a decision keeps `Upgrade` to itself; what a browser sends with it no page can leave out.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) || headers.contains_key(SEC_WEBSOCKET_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let same_site = SameSite::new(vec!["https://app.test".to_owned()]);
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("api.test");
        same_site.judge(&method, Some(&host), &headers).is_ok()
    }

    #[test]
    fn unsafe_methods_of_other_sites_are_refused() {
        for (pairs, passes) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://api.test")], true),
            (&[("origin", "https://evil.test")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://app.test")], true),
            (&[("origin", "https://app.test.evil.test")], false),
            (
                &[
                    ("origin", "https://app.test"),
                    ("sec-fetch-site", "cross-site"),
                ],
                true,
            ),
            (
                &[
                    ("origin", "https://evil.test"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ] {
            assert_eq!(judged(Method::POST, pairs), passes, "{pairs:?}");
            assert_eq!(judged(Method::DELETE, pairs), passes, "{pairs:?}");
            assert!(judged(Method::GET, pairs), "{pairs:?}");
            for sign in [("upgrade", "websocket"), ("sec-websocket-key", "a2V5")] {
                let upgrade = [pairs, &[sign]].concat();
                assert_eq!(judged(Method::GET, &upgrade), passes, "{upgrade:?}");
            }
        }
    }

    #[test]
    fn a_page_of_another_site_is_told_by_any_line_of_sec_fetch_site() {
        for (sites, passes) in [
            (&[][..], true),
            (&["same-site"], true),
            (&["none"], true),
            (&["cross-site"], false),
            (&["same-origin", "cross-site"], false),
        ] {
            let mut headers = HeaderMap::new();
            for site in sites {
                headers.append(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            assert_eq!(refuse_other_sites(&headers).is_ok(), passes, "{sites:?}");
        }
    }

    #[test]
    fn what_may_change_something_is_judged() {
        let mut upgrade = HeaderMap::new();
        upgrade.insert("upgrade", HeaderValue::from_static("websocket"));
        for (method, is_judged) in [
            (Method::GET, false),
            (Method::HEAD, false),
            (Method::OPTIONS, false),
            (Method::POST, true),
            (Method::DELETE, true),
        ] {
            let concerns = SameSite::concerns(&method, &HeaderMap::new());
            assert_eq!(concerns, is_judged, "{method}");
            assert!(SameSite::concerns(&method, &upgrade), "{method}");
        }
    }
}
