//! `[[route]]` as it is written: which requests, what they need, what the upstream is told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mutate::managed_headers::SessionField;

use super::{
    cors::CorsSection,
    header::HeaderEntry,
    rate::RateLimitSection,
    require::RequireSection,
    session::{CredentialSection, VerifyMode},
    token::TokenSection,
};

/// Whether a route looks at sessions.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    /// Never looks at credentials.
    None,
    /// Passes with and without a session, never with a bad one.
    Optional,
    /// Passes with a session only.
    #[default]
    Required,
}

/// What becomes of the caller's own credential.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CredentialFate {
    /// It goes on to the upstream.
    Forward,
    /// It stays here.
    Remove,
}

/// One `[[route]]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSection {
    /// The path: exact, with {name} for one segment, or with a trailing /* for all below.
    pub(crate) path: String,
    /// The host; any unless set.
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// The methods; any unless set. HEAD goes with GET.
    #[serde(default)]
    pub(crate) methods: Option<Vec<String>>,
    /// Whether a session is needed.
    #[serde(default)]
    pub(crate) auth: Auth,
    /// The name of the upstream; may be left out where there is only one.
    #[serde(default)]
    pub(crate) upstream: Option<String>,
    /// What the session must have.
    #[serde(default)]
    pub(crate) require: Option<RequireSection>,
    /// The template token that the upstream gets.
    #[serde(default)]
    pub(crate) token: Option<TokenSection>,
    /// Whether the upstream is a Hasura in JWT mode: a caller may wish for a role that the token allows.
    #[serde(default)]
    pub(crate) hasura: bool,
    /// What becomes of the caller's own credential: removed, but forwarded where auth is none.
    #[serde(default)]
    pub(crate) credential: Option<CredentialFate>,
    /// The headers that tell the upstream about the session.
    #[serde(default = "headers")]
    pub(crate) headers: BTreeMap<String, HeaderEntry>,
    /// How sessions are proven here, instead of `session.verify`.
    #[serde(default)]
    pub(crate) verify: Option<VerifyMode>,
    /// Where credentials are looked for here, instead of `session.credentials`.
    #[serde(default)]
    pub(crate) credentials: Option<Vec<CredentialSection>>,
    /// The origins that count here, instead of `clerk.authorized_parties`.
    #[serde(default)]
    pub(crate) authorized_parties: Option<Vec<String>>,
    /// How large a request's body may be, instead of `server.max_body_bytes`.
    #[serde(default)]
    pub(crate) max_body_bytes: Option<u64>,
    /// More request headers that the upstream does not get.
    #[serde(default)]
    pub(crate) strip_headers: Vec<String>,
    /// Whether a template token may be for another organization than the presented token's.
    #[serde(default)]
    pub(crate) any_organization: bool,
    /// Which pages of other origins may read the answers; none unless set.
    #[serde(default)]
    pub(crate) cors: Option<CorsSection>,
    /// Whether requests that a cookie authenticates are refused where another site made them.
    #[serde(default = "on")]
    pub(crate) csrf: bool,
    /// How many requests one session or client address may make; any number unless set.
    #[serde(default)]
    pub(crate) rate_limit: Option<RateLimitSection>,
    /// What is taken off the path before it is forwarded, by whole segments.
    #[serde(default)]
    pub(crate) strip_prefix: Option<String>,
    /// Where browsers go whose user is signed out, instead of `session.sign_in_url`.
    #[serde(default)]
    pub(crate) sign_in_url: Option<String>,
}

impl RouteSection {
    /// Returns the route that stands where there is none: everything, to the only upstream.
    pub(crate) fn everything() -> Self {
        Self {
            path: "/*".to_owned(),
            host: None,
            methods: None,
            auth: Auth::Required,
            upstream: None,
            require: None,
            token: None,
            hasura: false,
            credential: None,
            headers: headers(),
            verify: None,
            credentials: None,
            authorized_parties: None,
            max_body_bytes: None,
            strip_headers: Vec::new(),
            any_organization: false,
            cors: None,
            csrf: on(),
            rate_limit: None,
            strip_prefix: None,
            sign_in_url: None,
        }
    }

    /// Writes down what depends on other keys, so that what is shown is what runs.
    pub(crate) fn fill(&mut self, only_upstream: Option<&str>) {
        if self.upstream.is_none() {
            self.upstream = only_upstream.map(ToOwned::to_owned);
        }
        self.credential.get_or_insert(match self.auth {
            Auth::None => CredentialFate::Forward,
            Auth::Optional | Auth::Required => CredentialFate::Remove,
        });
    }
}

fn headers() -> BTreeMap<String, HeaderEntry> {
    [
        ("X-Clerk-User-Id", SessionField::UserId),
        ("X-Clerk-Session-Id", SessionField::SessionId),
        ("X-Clerk-Org-Id", SessionField::OrgId),
        ("X-Clerk-Org-Role", SessionField::OrgRole),
        ("X-Clerk-Actor", SessionField::Actor),
    ]
    .map(|(name, field)| (name.to_owned(), HeaderEntry::Field(field)))
    .into()
}

fn on() -> bool {
    true
}
