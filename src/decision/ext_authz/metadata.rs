//! The session's fields for Envoy's later filters and its logs.

use super::messages::{Struct, Value};
use crate::session::Session;

/// Returns the fields of a request that passes; what there is not is left out.
pub(crate) fn metadata(session: Option<&Session>, route: &str, reason: &str) -> Struct {
    let mut fields = Struct::default();
    fields.text("route", Some(route));
    fields.text("reason", Some(reason));
    let Some(session) = session else {
        return fields;
    };
    let organization = session.organization();
    fields.text("user_id", Some(session.user_id()));
    fields.text("session_id", Some(session.id()));
    fields.text("org_id", organization.map(|org| org.id.as_str()));
    fields.text("org_role", organization.and_then(|org| org.role.as_deref()));
    fields.text("org_slug", organization.and_then(|org| org.slug.as_deref()));
    fields.text("status", Some(session.status().as_str()));
    fields.text("actor", session.actor().map(|actor| actor.sub.as_str()));
    let expires_at = Value {
        // Seconds are far below what a double holds exactly.
        number_value: Some(session.expires_at().as_secs() as f64),
        string_value: None,
    };
    fields.fields.insert("expires_at".to_owned(), expires_at);
    fields
}

impl Struct {
    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            let value = Value {
                number_value: None,
                string_value: Some(value.to_owned()),
            };
            self.fields.insert(name.to_owned(), value);
        }
    }
}
