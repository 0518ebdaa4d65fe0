//! Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`.
//!
//! A question becomes the request that it is about ([`original()`]), with the client of Envoy as the peer; the pipeline
//! decides on it like on any other. What it makes of the head is told as changes to the head that Envoy holds
//! ([`allowed`]), and a refusal as the answer that a client of the gateway would get ([`denied`]).
//!
//! | what | gRPC | `CheckResponse.status` | Envoy's client gets |
//! |---|---|---|---|
//! | allowed | 0 | 0 | the upstream's answer |
//! | signed out, or a bad token | 0 | 16 | 401, or 302 to the sign-in page |
//! | Clerk cannot be asked | 0 | 14 | 503 with `Retry-After` |
//! | any other refusal | 0 | 7 | 400, 403, 404, 429 … with the problem |
//! | a preflight that the route answers | 0 | 7 | 204 with the CORS headers |
//! | a message that cannot be read, or too large | 3, 8 | | `status_on_error` |
//! | a caller that is not trusted | 7 | | `status_on_error` |
//! | no such method, a compressed message | 12 | | `status_on_error` |
//! | the gateway is down, or slower than `grpc_service.timeout` | | | `status_on_error` |
//!
//! `status_on_error` (403 unless set; 503 says more) holds as long as `failure_mode_allow` is false, as it is unless
//! set: true would let every request pass where there is no verdict. Envoy's own time-out is 200 ms; a cold session
//! waits for Clerk, so that a few seconds are right. `allowed_headers` must stay unset: what Envoy does not tell of, it
//! cannot be told to remove. Bodies (`with_request_body`) are of no use and make messages too large.

mod answer;
mod frame;
mod messages;
mod metadata;
mod original;

pub(crate) use answer::{Sent, allowed, denied};
pub(crate) use frame::{CallError, framed, unframed};
pub(crate) use messages::{CheckRequest, CheckResponse, HealthCheckResponse, SERVING};
pub(crate) use metadata::metadata;
pub(crate) use original::original;

#[cfg(test)]
mod tests;
