//! The whole file: its sections, what they are called, and their values as a flat list.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    cache::CacheSection, clerk::ClerkSection, decision::DecisionSection, env::KnownKeys,
    log::LogSection, route::RouteSection, server::ServerSection, session::SessionSection,
    shared::SharedSection, sign_out::SignOutSection, upstream::UpstreamSection,
    webhooks::WebhooksSection,
};

/// The configuration file of clerk-gateway.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// The Clerk instance.
    pub(crate) clerk: ClerkSection,
    /// What a request may present, and how it is proven.
    pub(crate) session: SessionSection,
    /// How much is kept, and for how long.
    pub(crate) cache: CacheSection,
    /// The gateway itself.
    pub(crate) server: ServerSection,
    /// Where other programs ask whether a request may pass.
    pub(crate) decision: DecisionSection,
    /// Clerk's webhooks, by which what is revoked at Clerk is refused here at once.
    pub(crate) webhooks: WebhooksSection,
    /// Where callers end their own session.
    pub(crate) sign_out: SignOutSection,
    /// What replicas share.
    pub(crate) shared: SharedSection,
    /// What is written of each request.
    pub(crate) log: LogSection,
    /// The services behind the gateway.
    pub(crate) upstream: Vec<UpstreamSection>,
    /// Which requests need what, and where they go.
    pub(crate) route: Vec<RouteSection>,
}

/// The sections, in the file's order.
pub(crate) const SECTIONS: [&str; 11] = [
    "clerk", "session", "cache", "server", "decision", "webhooks", "sign_out", "shared", "log",
    "upstream", "route",
];

impl File {
    /// Returns the file's JSON schema.
    pub(crate) fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Returns the keys of the sections that are no lists.
    pub(crate) fn known_keys() -> KnownKeys {
        let defaults = Self::default().to_value();
        SECTIONS
            .iter()
            .filter_map(|section| {
                let keys = defaults.get(section)?.as_object()?;
                Some((*section, keys.keys().cloned().collect()))
            })
            .collect()
    }

    /// Returns every key that has a value, with its value as TOML writes it and secrets redacted.
    pub(crate) fn flatten(&self) -> Vec<(String, String)> {
        let value = self.to_value();
        let mut flat = Vec::new();
        for section in SECTIONS {
            if let Some(value) = value.get(section) {
                flatten(section.to_owned(), value, &mut flat);
            }
        }
        flat
    }

    fn to_value(&self) -> Value {
        // Only maps with keys that are no strings could fail, and there are none.
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn flatten(path: String, value: &Value, flat: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten(format!("{path}.{key}"), value, flat);
            }
        }
        Value::Array(items) if is_list_of_tables(&path) => {
            for (index, item) in items.iter().enumerate() {
                flatten(format!("{path}[{index}]"), item, flat);
            }
        }
        scalar => flat.push((path, inline(scalar))),
    }
}

fn is_list_of_tables(path: &str) -> bool {
    matches!(path, "upstream" | "route")
}

/// Writes a value as TOML does on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::String(text) if text == "(set)" => text.clone(),
        scalar => scalar.to_string(),
    }
}
