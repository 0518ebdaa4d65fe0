//! What Envoy is told.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, header::FORWARDED, header::HOST};

use super::messages::{
    self, APPEND, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpStatus, OVERWRITE,
    OkHttpResponse, Status,
};
use crate::request::is_forwarding_name;

/// The head that Envoy holds.
pub(crate) struct Sent {
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
}

/// Builds the answer that lets a request pass, whose head is to become `headers` and `uri`.
///
/// Whatever the upstream is not to see is removed by the name that the client sent it under.
pub(crate) fn allowed(sent: &Sent, headers: &HeaderMap, uri: &Uri) -> CheckResponse {
    let mut ok = OkHttpResponse {
        query_parameters_to_remove: gone_from_query(&sent.uri, uri),
        ..OkHttpResponse::default()
    };
    for name in headers.keys() {
        if !is_ours(name) || headers.get_all(name) == sent.headers.get_all(name) {
            continue;
        }
        if headers.get_all(name).iter().all(is_text) {
            ok.headers.extend(set(name, headers));
        } else if sent.headers.contains_key(name) {
            // A message takes no such bytes; less is safe, the client's own is not.
            ok.headers_to_remove.push(name.as_str().to_owned());
        }
    }
    for name in sent.headers.keys() {
        if is_removed(name) && (!headers.contains_key(name) || name == FORWARDED) {
            ok.headers_to_remove.push(name.as_str().to_owned());
        }
    }
    CheckResponse {
        status: Some(Status::default()),
        ok_response: Some(ok),
        ..CheckResponse::default()
    }
}

/// Builds the answer that refuses a request, in the words that a client of the gateway would read.
pub(crate) fn denied(answer: &Response<Bytes>, reason: &str) -> CheckResponse {
    let (status, headers) = (answer.status().as_u16(), answer.headers());
    let code = match status {
        401 => 16,
        503 => 14,
        _ => 7,
    };
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus {
            code: i32::from(status),
        }),
        headers: headers.keys().flat_map(|name| set(name, headers)).collect(),
        body: String::from_utf8_lossy(answer.body()).into_owned(),
    };
    CheckResponse {
        status: Some(Status {
            code,
            message: reason.to_owned(),
        }),
        denied_response: Some(denied),
        ..CheckResponse::default()
    }
}

/// Where a request comes from, Envoy tells the upstream itself.
fn is_ours(name: &HeaderName) -> bool {
    name != HOST && !is_forwarding_name(name.as_str())
}

/// Envoy's own names are Envoy's; spelled in another way they are a client's.
fn is_removed(name: &HeaderName) -> bool {
    let name = name.as_str();
    name != HOST && !name.starts_with("x-forwarded-") && !name.starts_with("x-envoy-")
}

/// The first value replaces what there is, the others join it.
fn set<'a>(
    name: &'a HeaderName,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = HeaderValueOption> + 'a {
    let actions = std::iter::once(OVERWRITE).chain(std::iter::repeat(APPEND));
    let values = headers.get_all(name).iter().zip(actions);
    values.map(|(value, append_action)| HeaderValueOption {
        header: Some(messages::HeaderValue {
            key: Bytes::copy_from_slice(name.as_str().as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
            raw_value: Bytes::new(),
        }),
        append_action,
    })
}

fn is_text(value: &HeaderValue) -> bool {
    std::str::from_utf8(value.as_bytes()).is_ok()
}

/// Names the query's parameters that carried a credential.
fn gone_from_query(sent: &Uri, kept: &Uri) -> Vec<String> {
    if sent.query() == kept.query() {
        return Vec::new();
    }
    let names = |uri: &Uri| -> Vec<String> {
        let pairs = uri.query().unwrap_or_default().split('&');
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        pairs.map(name).collect()
    };
    let kept = names(kept);
    let mut gone = names(sent);
    gone.retain(|name| !name.is_empty() && !kept.contains(name));
    gone
}
