//! `[decision]`: where other proxies ask, and who may.

use std::net::SocketAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checks,
    error::Findings,
    hasura_webhook::{HasuraContext, HasuraSection, HasuraSettings},
};

/// `[decision]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DecisionSection {
    /// Where other programs ask over HTTP, as Hasura does at /hasura; nowhere unless set.
    pub(crate) listen: Option<String>,
    /// Where Envoy asks over gRPC (ext_authz); nowhere unless set.
    pub(crate) grpc: Option<String>,
    /// The networks of those who may ask.
    pub(crate) trusted_callers: Vec<String>,
    /// The policy of Hasura's webhook, at /hasura; there is none unless set.
    pub(crate) hasura: Option<HasuraSection>,
}

/// `[decision]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct DecisionSettings {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) trusted_callers: Vec<IpNet>,
    /// `None`: Hasura asks nothing.
    pub(crate) hasura: Option<HasuraSettings>,
}

impl DecisionSettings {
    /// Tells whether decisions are made for others at all.
    pub(crate) fn is_on(&self) -> bool {
        self.listen.is_some() || self.grpc.is_some()
    }

    /// Names the keys that differ and that only a restart can change.
    pub(crate) fn restart_only(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("decision.listen", self.listen != other.listen),
            ("decision.grpc", self.grpc != other.grpc),
        ];
        let differing = keys.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(key, _)| key).collect()
    }
}

impl Default for DecisionSection {
    fn default() -> Self {
        Self {
            listen: None,
            grpc: None,
            trusted_callers: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            hasura: None,
        }
    }
}

impl DecisionSection {
    /// Tells whether decisions are to be made for others at all.
    pub(crate) fn is_on(&self) -> bool {
        self.listen.is_some() || self.grpc.is_some()
    }

    /// Returns the settings, or `None` after noting why there are none.
    pub(crate) fn check(
        &self,
        hasura: &HasuraContext<'_>,
        findings: &mut Findings,
    ) -> Option<DecisionSettings> {
        let listen = self
            .listen
            .as_deref()
            .map(|text| checks::address("decision.listen", text, findings));
        let grpc = self
            .grpc
            .as_deref()
            .map(|text| checks::address("decision.grpc", text, findings));
        let callers = "decision.trusted_callers";
        let trusted_callers = checks::networks(callers, &self.trusted_callers, findings);
        if self.is_on() && self.trusted_callers.is_empty() {
            let fix = "name the networks of those who ask, as in 10.0.0.0/8";
            findings.problem(callers, "is empty, so that nobody could ask", fix);
        }
        let hasura = self
            .hasura
            .as_ref()
            .map(|section| section.check(hasura, findings));
        if self.hasura.is_some() && self.listen.is_none() {
            let fix = "set decision.listen, as in \"127.0.0.1:8081\"";
            findings.problem("decision.hasura", "is there, and nowhere to ask at", fix);
        }
        Some(DecisionSettings {
            listen: match listen {
                Some(address) => Some(address?),
                None => None,
            },
            grpc: match grpc {
                Some(address) => Some(address?),
                None => None,
            },
            trusted_callers,
            hasura: match hasura {
                Some(hasura) => Some(hasura?),
                None => None,
            },
        })
    }
}
