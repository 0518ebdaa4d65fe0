//! Which pages of other origins may read a route's answers (the Fetch standard's CORS protocol).

use http::{
    HeaderMap, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// The response headers that are the gateway's to set on a route with CORS.
const OURS: [http::HeaderName; 5] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE,
];

/// A route's CORS policy.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    /// Compared byte for byte.
    pub(crate) origins: Vec<HeaderValue>,
    /// The methods, as a preflight's answer lists them.
    pub(crate) methods: HeaderValue,
    /// The request headers, as a preflight's answer lists them.
    pub(crate) headers: HeaderValue,
    /// Set where pages may send cookies.
    pub(crate) credentials: Option<HeaderValue>,
    /// How many seconds a preflight's answer is kept.
    pub(crate) max_age: Option<HeaderValue>,
    pub(crate) preflight: Preflight,
}

/// Who answers preflights.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    PartialEq,
    schemars::JsonSchema,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preflight {
    /// The gateway, without credentials.
    #[default]
    Answer,
    /// The upstream, which then answers for its other responses too.
    Pass,
}

/// Returns the method that a preflight asks for; `None` where the request is none.
pub(crate) fn preflight_for(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let mut wanted = headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter();
    let only = wanted.next().filter(|_| wanted.next().is_none())?;
    Method::from_bytes(only.as_bytes()).ok()
}

impl Cors {
    /// Returns the headers that answer a preflight; an origin that may not read gets none that let it.
    pub(crate) fn preflight(&self, origin: Option<&HeaderValue>) -> HeaderMap {
        let mut answer = HeaderMap::new();
        let asked = "origin, access-control-request-method, access-control-request-headers";
        answer.insert(VARY, HeaderValue::from_static(asked));
        if self.allow(origin, &mut answer) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            if let Some(secs) = &self.max_age {
                answer.insert(ACCESS_CONTROL_MAX_AGE, secs.clone());
            }
        }
        answer
    }

    /// Marks an upstream's answer: what it says of CORS itself counts only where it answers preflights.
    pub(crate) fn mark_answer(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.preflight == Preflight::Answer {
            for name in OURS {
                answer.remove(name);
            }
            self.mark_own(origin, answer);
        }
    }

    /// Marks an answer of the gateway's own, so that a page may read why it was refused.
    pub(crate) fn mark_own(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("origin"));
        if self.allow(origin, answer) {
            let readable = HeaderValue::from_static("retry-after, www-authenticate, x-request-id");
            answer
                .entry(ACCESS_CONTROL_EXPOSE_HEADERS)
                .or_insert(readable);
        }
    }

    fn allow(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) -> bool {
        let Some(origin) = origin.filter(|origin| self.origins.contains(origin)) else {
            return false;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if let Some(yes) = &self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes.clone());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_preflight_has_an_origin_and_asks_for_one_method() {
        let origin = ("origin", "https://a.test");
        let put = ("access-control-request-method", "PUT");
        let found = |method, pairs: &[_]| preflight_for(&method, &headers(pairs));
        assert_eq!(found(Method::OPTIONS, &[origin, put]), Some(Method::PUT));
        assert_eq!(found(Method::POST, &[origin, put]), None);
        assert_eq!(found(Method::OPTIONS, &[put]), None);
        assert_eq!(found(Method::OPTIONS, &[origin]), None);
        assert_eq!(found(Method::OPTIONS, &[origin, put, put]), None);
        let bad = ("access-control-request-method", "P T");
        assert_eq!(found(Method::OPTIONS, &[origin, bad]), None);
    }

    fn cors(preflight: Preflight) -> Cors {
        Cors {
            origins: vec![HeaderValue::from_static("https://a.test")],
            methods: HeaderValue::from_static("GET"),
            headers: HeaderValue::from_static("authorization"),
            credentials: None,
            max_age: None,
            preflight,
        }
    }

    #[test]
    fn an_upstreams_word_on_cors_counts_only_where_it_answers_preflights() {
        let theirs = ("access-control-allow-origin", "*");
        let origin = HeaderValue::from_static("https://a.test");
        for (preflight, origin, allowed) in [
            (Preflight::Answer, Some(&origin), Some("https://a.test")),
            (Preflight::Answer, None, None),
            (Preflight::Pass, Some(&origin), Some("*")),
        ] {
            let mut answer = headers(&[theirs]);
            cors(preflight).mark_answer(origin, &mut answer);
            let found = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(found.map(HeaderValue::as_bytes), allowed.map(str::as_bytes));
        }
    }

    #[test]
    fn a_page_may_read_why_it_was_refused() {
        let origin = HeaderValue::from_static("https://a.test");
        let mut answer = HeaderMap::new();
        cors(Preflight::Pass).mark_own(Some(&origin), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
        assert_eq!(answer[VARY], "origin");
        assert!(answer.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
    }

    #[test]
    fn an_origin_is_allowed_byte_for_byte() {
        let cors = cors(Preflight::Answer);
        for (origin, allowed) in [
            ("https://a.test", true),
            ("https://A.test", false),
            ("https://a.test/", false),
            ("https://a.test.evil.test", false),
            ("http://a.test", false),
            ("null", false),
            ("*", false),
        ] {
            let origin = HeaderValue::from_static(origin);
            let answer = cors.preflight(Some(&origin));
            assert_eq!(
                answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN),
                allowed,
                "{origin:?}"
            );
            assert_eq!(answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS), allowed);
            assert!(answer.contains_key(VARY));
        }
    }
}
